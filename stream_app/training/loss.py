"""The training loss of the two-tower model, in JAX."""

import math
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
from numpy.typing import NDArray

from stream_app.training.augmentation import Views
from stream_app.training.batches import Tokens

Params = dict[str, jax.Array]
Array = jax.Array | NDArray[Any]

_MASKED: Final = -1e9
_TEMPERATURE: Final = 0.1


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
    contents: Array  # float32, shape (n, dimensions): of the gathered items; no dimensions without contents
    views: Views  # pairs of changed copies of sequences, for the contrastive term; may be none
    segments: Array | None = None  # int32, shape (rows, length, n): as in `Tokens`
    starts: Array | None = None  # float32, shape (rows, length): as in `Tokens`


def encode(params: Params, x: jax.Array, batch: Batch | Tokens | Views) -> jax.Array:
    """The state after each token, shape (rows, length, factors), as `kernels.two_tower.encode` computes the last.

    Parameters
    ----------
    x : array of float32, shape (rows, length, factors)
        Item vectors of the tokens.
    """
    tokens = x + params["position"][batch.positions] + params["kind"][batch.kinds] + params["gap"][batch.gaps]
    mix = _recurrent if len(params["gate_bias"]) else _attention
    mixed = mix(params, tokens, x, batch) + params["last"][0] * x
    if (segments := getattr(batch, "segments", None)) is not None:
        gates = params["segment_gate"][jnp.asarray(batch.positions) + 1]
        mixed += gates[..., None] * _segment_sums(params, segments)
    return _feed_forward(params, mixed)


def encode_segments(params: Params, segments: Array) -> jax.Array:
    """The state of users of whom segments alone are known, shape (..., factors).

    Parameters
    ----------
    segments : array of int32, shape (..., n)
        Slots; -1 for none.
    """
    return _feed_forward(params, params["segment_gate"][0] * _segment_sums(params, segments))


def _segment_sums(params: Params, segments: Array) -> jax.Array:
    slots = jnp.asarray(segments)
    return jnp.sum(params["segment"][jnp.maximum(slots, 0)] * (slots >= 0)[..., None], axis=-2)


def _feed_forward(params: Params, mixed: jax.Array) -> jax.Array:
    hidden = jax.nn.relu(mixed @ params["hidden"] + params["hidden_bias"])
    return mixed + hidden @ params["output"] + params["output_bias"]


def _attention(params: Params, tokens: jax.Array, x: jax.Array, batch: Batch | Tokens | Views) -> jax.Array:
    length, d = x.shape[1], x.shape[2]
    queries, keys = tokens @ params["query"], tokens @ params["key"]
    at = jnp.arange(length)
    distance = at[:, None] - at[None, :]
    logits = jnp.einsum("bld,bmd->blm", queries, keys) / math.sqrt(d)
    logits += params["distance"][jnp.clip(distance, 0)]
    visible = (distance >= 0) & (batch.sequences[:, :, None] == batch.sequences[:, None, :])
    attention = jax.nn.softmax(jnp.where(visible, logits, _MASKED), axis=-1)
    return jnp.einsum("blm,bmd->bld", attention, x)


def _recurrent(params: Params, tokens: jax.Array, _x: jax.Array, batch: Batch | Tokens | Views) -> jax.Array:
    """The states of a gated recurrent unit, which is reset where a sequence begins."""
    of_tokens = jnp.moveaxis(tokens @ params["gates_of_token"] + params["gate_bias"], 1, 0)
    begins = jnp.asarray(batch.positions).T == 0

    def advance(state: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        of_token, is_first = step
        state = jnp.where(is_first[:, None], 0.0, state)
        keep_token, reset_token, new_token = jnp.split(of_token, 3, axis=-1)
        keep_state, reset_state, new_state = jnp.split(state @ params["gates_of_state"], 3, axis=-1)
        kept = jax.nn.sigmoid(keep_token + keep_state)
        proposed = jnp.tanh(new_token + jax.nn.sigmoid(reset_token + reset_state) * new_state)
        state = kept * state + (1.0 - kept) * proposed
        return state, state

    _, states = jax.lax.scan(advance, jnp.zeros_like(tokens[:, 0]), (of_tokens, begins))
    return jnp.moveaxis(states, 0, 1)


def normalized(x: jax.Array) -> jax.Array:
    """Vectors scaled to length 1."""
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-12)


def dropout(x: jax.Array, rate: float, key: Any) -> jax.Array:
    """Set a share of the values to 0 and scale the others."""
    if rate <= 0.0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1.0 - rate, x.shape), x / (1.0 - rate), 0.0)


class LossOptions(NamedTuple):
    """What is minimized."""

    kind: str = "softmax"  # or "sigmoid"
    dropout: float = 0.0  # share of the values of the inputs and of the state that are set to 0
    id_dropout: float = 0.0  # share of the items with a content that are represented by it alone, in a step
    contrast: float = 0.0  # weight of the contrastive term


def item_vectors(params: Params, ids: jax.Array, batch: Batch, rate: float, key: Any) -> jax.Array:
    """Item vectors of length 1: the vector of the id plus the projected content, where there is one.

    Parameters
    ----------
    ids : array of float32, shape (n, factors)
    rate
        Share of the items with a content that are represented by it alone, so that it can stand for itself.

    References
    ----------
    Volkovs, Yu, Poutanen: DropoutNet, NIPS 2017.
    """
    contents = jnp.asarray(batch.contents)
    if contents.shape[1] == 0:
        return normalized(ids)
    if rate > 0.0:
        has_content = jnp.any(contents != 0.0, axis=1)
        is_dropped = has_content & jax.random.bernoulli(key, rate, has_content.shape)
        ids = jnp.where(is_dropped[:, None], 0.0, ids)
    return normalized(ids + contents @ params["content"])


def training_loss(params: Params, ids: jax.Array, batch: Batch, options: LossOptions, key: Any) -> jax.Array:
    """Mean loss of the predictions of the item chosen next.

    Sampled softmax: the negative log probability; the partition function is estimated from the target and the shared
    negatives, each weighted by the inverse of its expected count (logQ correction). Sigmoid: binary cross-entropy of
    the target against all items, whose sum is estimated from the negatives in the same way.

    Parameters
    ----------
    ids : array of float32, shape (n, factors)
        Gathered vectors of ids, not scaled.

    References
    ----------
    Jean et al.: On using very large target vocabulary, ACL 2015. Yi et al.: Sampling-bias-corrected neural modeling,
    RecSys 2019 (logQ). Hou et al.: CORE, SIGIR 2022 (states in the space of items, cosines).
    """
    first, second, third = jax.random.split(key, 3)
    unit = item_vectors(params, ids, batch, options.id_dropout, third)
    x = dropout(unit[batch.items], options.dropout, first)
    state = dropout(encode(params, x, batch), options.dropout, second)
    losses = _losses(params, unit, state, (batch.heads, batch.targets), batch, options.kind)
    total, n = jnp.sum(batch.weights * losses), jnp.sum(batch.weights)
    if batch.segments is not None and batch.starts is not None:
        # what new users begin with is predicted from their segments
        new = encode_segments(params, batch.segments)
        losses = _losses(params, unit, new, (batch.kinds, batch.items), batch, options.kind)
        total, n = total + jnp.sum(batch.starts * losses), n + jnp.sum(batch.starts)
    loss = total / jnp.maximum(n, 1.0)
    if options.contrast > 0.0:
        loss += options.contrast * contrastive_loss(params, unit, batch.views)
    return loss


class TrainingLoss(NamedTuple):
    """`training_loss` with options: two trainings with equal ones share their compiled steps."""

    options: LossOptions

    def __call__(self, params: Params, ids: jax.Array, batch: Batch, key: Any) -> jax.Array:
        """The loss, as `training_loss`."""
        return training_loss(params, ids, batch, self.options, key)


def _losses(
    params: Params, unit: jax.Array, state: jax.Array, chosen: tuple[Array, Array], batch: Batch, kind: str
) -> jax.Array:
    """Loss of each prediction from a state, shape (rows, length); `chosen` are heads and items."""
    heads, targets = (jnp.asarray(each) for each in chosen)
    by_head = state[..., None, :] + jnp.einsum("bld,hde->blhe", state, params["heads"])
    of_head = jnp.take_along_axis(by_head, heads[..., None, None], axis=2)[..., 0, :]
    user = normalized(of_head) * params["scale"][heads][..., None]
    positive = jnp.sum(user * unit[targets], axis=-1)
    negative = user @ unit[batch.negatives].T - batch.log_counts
    is_target = targets[..., None] == batch.negatives
    reduce = _binary_cross_entropy if kind == "sigmoid" else _softmax_loss
    return reduce(params, positive, jnp.where(is_target, _MASKED, negative), jnp.asarray(batch.log_counts))


def contrastive_loss(params: Params, unit: jax.Array, views: Views) -> jax.Array:
    """Mean negative log probability that a copy of a sequence is told from those of others by its nearness.

    References
    ----------
    van den Oord, Li, Vinyals: Representation learning with contrastive predictive coding, 2018 (InfoNCE).
    """
    states = encode(params, unit[views.items], views)
    newest = normalized(jnp.take_along_axis(states, jnp.asarray(views.last)[:, None, None], axis=1)[:, 0])
    pairs = len(newest) // 2
    logits = newest[:pairs] @ newest[pairs:].T / _TEMPERATURE
    # empty rows, of short sequences, are all alike: they are neither compared nor compared with
    is_full = jnp.asarray(views.sequences)[:pairs, 0] >= 0
    logits = jnp.where(is_full[None, :], logits, _MASKED)
    own = jnp.diagonal(logits)
    losses = jax.nn.logsumexp(logits, axis=1) - own
    return jnp.sum(jnp.where(is_full, losses, 0.0)) / jnp.maximum(jnp.sum(is_full), 1)


def _softmax_loss(
    _params: Params, positive: jax.Array, corrected: jax.Array, _log_counts: jax.Array
) -> jax.Array:
    logits = jnp.concatenate((positive[..., None], corrected), axis=-1)
    return jax.nn.logsumexp(logits, axis=-1) - positive


def _binary_cross_entropy(
    params: Params, positive: jax.Array, corrected: jax.Array, log_counts: jax.Array
) -> jax.Array:
    offset = params["offset"][0]
    logits = corrected + log_counts - offset
    return jax.nn.softplus(offset - positive) + jnp.sum(
        jnp.exp(-log_counts) * jax.nn.softplus(logits), axis=-1
    )
