"""The training loss of the two-tower model, in JAX."""

import math
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
from numpy.typing import NDArray

Params = dict[str, jax.Array]
Array = jax.Array | NDArray[Any]

_MASKED: Final = -1e9


class Batch(NamedTuple):
    """Sequences packed into rows of equal length; all item numbers are positions in the gathered vectors."""

    items: Array  # int32, shape (rows, length): item of each token
    kinds: Array  # int32, shape (rows, length): head of each token
    gaps: Array  # int32, shape (rows, length): time bucket of each token
    positions: Array  # int32, shape (rows, length): position in its sequence
    sequences: Array  # int32, shape (rows, length): number of the sequence in the row; -1 for padding
    targets: Array  # int32, shape (rows, length): item chosen next
    heads: Array  # int32, shape (rows, length): kind of the next choice
    weights: Array  # float32, shape (rows, length): weight of each prediction; 0 for none
    negatives: Array  # int32, shape (negatives,)
    log_counts: Array  # float32, shape (negatives,): log of how often each is expected among the negatives


def encode(params: Params, x: jax.Array, batch: Batch) -> jax.Array:
    """The state after each token, shape (rows, length, factors), as `kernels.two_tower.encode` computes the last.

    Parameters
    ----------
    x : array of float32, shape (rows, length, factors)
        Item vectors of the tokens.
    """
    length, d = x.shape[1], x.shape[2]
    tokens = x + params["position"][batch.positions] + params["kind"][batch.kinds] + params["gap"][batch.gaps]
    queries, keys = tokens @ params["query"], tokens @ params["key"]
    at = jnp.arange(length)
    distance = at[:, None] - at[None, :]
    logits = jnp.einsum("bld,bmd->blm", queries, keys) / math.sqrt(d)
    logits += params["distance"][jnp.clip(distance, 0)]
    visible = (distance >= 0) & (batch.sequences[:, :, None] == batch.sequences[:, None, :])
    attention = jax.nn.softmax(jnp.where(visible, logits, _MASKED), axis=-1)
    mixed = jnp.einsum("blm,bmd->bld", attention, x) + params["last"][0] * x
    hidden = jax.nn.relu(mixed @ params["hidden"] + params["hidden_bias"])
    return mixed + hidden @ params["output"] + params["output_bias"]


def normalized(x: jax.Array) -> jax.Array:
    """Vectors scaled to length 1."""
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-12)


def dropout(x: jax.Array, rate: float, key: Any) -> jax.Array:
    """Set a share of the values to 0 and scale the others."""
    if rate <= 0.0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1.0 - rate, x.shape), x / (1.0 - rate), 0.0)


def sampled_softmax(params: Params, vectors: jax.Array, batch: Batch, rate: float, key: Any) -> jax.Array:
    """Mean loss of the predictions: the negative log probability of the item chosen next.

    The partition function is estimated from the target and the shared negatives, each weighted by the inverse of its
    expected count (logQ correction).

    Parameters
    ----------
    vectors : array of float32, shape (n, factors)
        Gathered item vectors, not scaled.
    rate
        Dropout of the inputs and of the state.

    References
    ----------
    Jean et al.: On using very large target vocabulary, ACL 2015. Yi et al.: Sampling-bias-corrected neural modeling,
    RecSys 2019 (logQ). Hou et al.: CORE, SIGIR 2022 (states in the space of items, cosines).
    """
    unit = normalized(vectors)
    first, second = jax.random.split(key)
    x = dropout(unit[batch.items], rate, first)
    state = dropout(encode(params, x, batch), rate, second)
    by_head = state[..., None, :] + jnp.einsum("bld,hde->blhe", state, params["heads"])
    chosen = jnp.take_along_axis(by_head, batch.heads[..., None, None], axis=2)[..., 0, :]
    user = normalized(chosen) * params["scale"][batch.heads][..., None]
    positive = jnp.sum(user * unit[batch.targets], axis=-1)
    negative = user @ unit[batch.negatives].T - batch.log_counts
    is_target = batch.targets[..., None] == batch.negatives
    negative = jnp.where(is_target, _MASKED, negative)
    log_partition = jax.nn.logsumexp(jnp.concatenate((positive[..., None], negative), axis=-1), axis=-1)
    total = jnp.sum(batch.weights * (log_partition - positive))
    return total / jnp.maximum(jnp.sum(batch.weights), 1.0)
