"""The gradient of the shared parameters over the sessions of a sample of users, each user's clipped: for DP-SGD."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from stream_app.models.two_tower_network import NetworkShape
from stream_app.training.augmentation import make_views
from stream_app.training.batches import Packer, Tokens
from stream_app.training.loss import Array, Batch, LossOptions, Params, training_loss
from stream_app.training.sequences import Sequence as ItemSequence

_OPTIONS: Final = LossOptions()
_NEVER: Final = 1e6


def clipped_gradient_sum(
    parameters: Mapping[str, NDArray[np.float32]],
    shape: NetworkShape,
    users: Sequence[ItemSequence],
    contents: NDArray[np.float32],
    negatives: NDArray[np.int64],
    clip: float,
    capacity: int,
) -> dict[str, NDArray[np.float64]]:
    """The sum of the users' gradients, each scaled down to the norm `clip`.

    Items are represented by their content alone: a vector that was learned from the users would carry what they did
    past the clip. So a user changes the sum by `clip` at most.

    Parameters
    ----------
    users
        One sequence each; those beyond `capacity` are left out.
    contents : ndarray of float32, shape (items, dimensions)
        What the catalog says about each item; it must be public.
    negatives : ndarray of int, shape (n,)
        Items drawn uniformly from the catalog.
    capacity
        Rows of the batch, so that it has one shape.
    """
    packer = Packer(capacity, shape.context_length, shape.n_gaps)
    for row, sequence in enumerate(users[:capacity]):
        packer.add_to_row(row, sequence)
    tokens = packer.tokens
    expected = math.log(len(negatives) / len(contents))
    # a negative that a user chose counts for nothing in that user's loss
    is_chosen = (tokens.targets[:, :, None] == negatives[None, None, :]).any(axis=1)
    log_expected = np.where(is_chosen, _NEVER, expected).astype(np.float32)
    params = {name: jnp.asarray(value) for name, value in parameters.items()}
    total = _clipped_sum(
        params,
        tokens,
        log_expected,
        contents[tokens.items],
        contents[tokens.targets],
        contents[negatives],
        clip,
    )
    return {name: np.asarray(value, np.float64) for name, value in total.items()}


@jax.jit
def _clipped_sum(
    params: Params,
    tokens: Tokens,
    log_expected: Array,
    before: Array,
    chosen: Array,
    negatives: Array,
    clip: float,
) -> Params:
    n, length = len(negatives), tokens.items.shape[1]
    key = jax.random.key(0)  # of nothing: no value is dropped out
    no_views = make_views((), None, 0, length, 1)

    def of_user(row: Tokens, expected: Array, own: Array, targets: Array) -> Params:
        at = jnp.arange(2 * length + n)
        batch = Batch(
            at[None, :length],
            row.kinds[None],
            row.gaps[None],
            row.positions[None],
            row.sequences[None],
            at[None, length : 2 * length],
            row.heads[None],
            row.weights[None],
            at[2 * length :],
            expected,
            jnp.concatenate((own, targets, negatives)),
            no_views,
        )
        ids = jnp.zeros((len(at), params["position"].shape[1]))
        gradient = jax.grad(lambda values: training_loss(values, ids, batch, _OPTIONS, key))(params)
        squares = sum(jnp.sum(value * value) for value in gradient.values())
        factor = jnp.minimum(1.0, clip / jnp.sqrt(squares + 1e-12))
        return {name: factor * value for name, value in gradient.items()}

    each = jax.vmap(of_user)(tokens, log_expected, before, chosen)
    return {name: value.sum(axis=0) for name, value in each.items()}
