"""One training step: the gradient, Adam for the dense parameters, lazy Adam for the item vectors of the batch."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import optax

from stream_app.training.config import TrainingConfig
from stream_app.training.loss import Batch, Params

BETAS: Final = (0.9, 0.98)
_EPSILON: Final = 1e-8


class RowMoments(NamedTuple):
    """Adam's moving averages for rows of the item vectors."""

    first: jax.Array  # float32, shape (n, factors): of the gradient
    second: jax.Array  # float32, shape (n, factors): of its square
    n_updates: jax.Array  # int32, shape (n,)


class Rates(NamedTuple):
    """Step sizes."""

    items: float | jax.Array
    dense: float | jax.Array
    content: float | jax.Array  # of the projection of contents


def rate_factor(step: int, half_time: float, last: float) -> float:
    """What a step size is multiplied with: it falls by the inverse root of the steps, from 1 to `last`.

    A stream has no epochs and no end that a schedule could refer to. A trainer without a past takes large steps; one
    that has learned for long follows the shop with steps of constant size.

    Parameters
    ----------
    step
        Steps so far.
    half_time
        Steps until the factor is the root of 1/2.

    References
    ----------
    Vaswani et al.: Attention is all you need, NeurIPS 2017 (decay by the inverse root).

    Examples
    --------
    >>> [round(rate_factor(step, 500, 0.25), 2) for step in (0, 500, 1_500, 1_000_000)]
    [1.0, 0.71, 0.5, 0.25]
    """
    return max(last, 1.0 / math.sqrt(1.0 + step / half_time))


def rates_at(step: int, config: TrainingConfig) -> Rates:
    """The step sizes after so many steps."""
    factor = rate_factor(step, config.rate_half_time, config.last_rate)
    # arrays: another number must not compile the step again
    rates = config.item_rate, config.dense_rate, config.content_rate
    return Rates(*(jnp.float32(rate * factor) for rate in rates))


Loss = Callable[[Params, jax.Array, Batch, Any], jax.Array]


DENSE: Final = optax.scale_by_adam(*BETAS, eps=_EPSILON)
"""Optax' Adam for the dense parameters; its result is multiplied by the step size."""


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3, 4))
def train_step(
    loss: Loss,
    params: Params,
    moments: optax.OptState,
    vectors: jax.Array,
    vector_moments: RowMoments,
    batch: Batch,
    key: jax.Array,
    rates: Rates,
) -> tuple[Params, optax.OptState, jax.Array, RowMoments, jax.Array]:
    """Take a step; return new parameters, moments, vectors and their moments, and the loss.

    Lazy Adam updates the rows that the batch used, each by its own number of updates.

    Parameters
    ----------
    vectors : array of float32, shape (n, factors)
        The rows of the item vectors that the batch refers to.
    vector_moments
        Of these rows; the numbers of updates have shape (n,).

    References
    ----------
    Kingma, Ba: Adam, ICLR 2015.
    """
    value, (dense_gradient, row_gradient) = jax.value_and_grad(loss, argnums=(0, 1))(
        params, vectors, batch, key
    )
    updates, moments = DENSE.update(dense_gradient, moments)
    params = optax.apply_updates(
        params,
        {
            name: -(rates.content if name == "content" else rates.dense) * update
            for name, update in updates.items()
        },
    )
    used = jnp.any(row_gradient != 0.0, axis=1)
    row_updates = vector_moments.n_updates + used
    row_first = BETAS[0] * vector_moments.first + (1 - BETAS[0]) * row_gradient
    row_second = BETAS[1] * vector_moments.second + (1 - BETAS[1]) * row_gradient * row_gradient
    moved = vectors - rates.items * _direction(row_first, row_second, jnp.maximum(row_updates, 1)[:, None])
    keep = used[:, None]
    return (
        params,
        moments,
        jnp.where(keep, moved, vectors),
        RowMoments(
            jnp.where(keep, row_first, vector_moments.first),
            jnp.where(keep, row_second, vector_moments.second),
            row_updates,
        ),
        value,
    )


def _direction(first: jax.Array, second: jax.Array, n_updates: jax.Array) -> jax.Array:
    """Adam's bias-corrected step of size 1."""
    t = n_updates.astype(jnp.float32)
    return first / (1 - BETAS[0] ** t) / (jnp.sqrt(second / (1 - BETAS[1] ** t)) + _EPSILON)
