"""Estimates of the probability that each position of a list is examined."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats
from stream_app.models.kernels.jit import SUMS, jit


class PositionModel(IntEnum):
    """The position models, as kernels take them."""

    POSITION = 0
    CASCADE = 1
    NONE = 2


class RankSum(IntEnum):
    """Columns of the sums of each position."""

    IMPRESSIONS = 0
    FIRST_REACTIONS = 1
    """First reactions of positive value."""
    VALUE = 2
    SQUARED_VALUE = 3
    REWARDS = 4
    """Number of rewards."""


class ExaminationModel(NamedTuple):
    """A position model."""

    model: int  # a `PositionModel`, as an int
    prior: NDArray[np.float64]  # shape (positions,): examination probabilities before any reward
    floor: float  # least examination probability
    prior_strength: float  # rewards per position that the prior counts for


@jit(fastmath=SUMS, numpy_errors=True)
def count_reward(rank_sums: Floats, rank: int, value: float, first: bool, weight: float) -> None:
    """Add a reward to the sums of its position.

    Parameters
    ----------
    rank_sums : ndarray of float64, shape (positions, len(RankSum))
        Changed; columns of `RankSum`.
    rank
        Position of the item on its list.
    value, first
        Value of the reward, and whether it is the first of its impression.
    weight
        Weight by event time.
    """
    if first and value > 0:
        rank_sums[rank, RankSum.FIRST_REACTIONS] += weight
    rank_sums[rank, RankSum.VALUE] += weight * value
    rank_sums[rank, RankSum.SQUARED_VALUE] += weight * value * value
    rank_sums[rank, RankSum.REWARDS] += weight


@jit(fastmath=SUMS, numpy_errors=True)
def estimate_examination(
    rank_sums: Floats, predicted: Floats, model: ExaminationModel, decay_factor: float, examination: Floats
) -> None:
    """Update the examination probabilities.

    Parameters
    ----------
    rank_sums : ndarray of float64, shape (positions, len(RankSum))
    predicted : ndarray of float64, shape (positions,)
        Reward that the items displayed at each position would have brought if all had been examined, in any unit.
    examination : ndarray of float64, shape (positions,)
        Input: the last estimate. Output: the next one.
    """
    if model.model == PositionModel.NONE:
        for rank in range(len(examination)):
            examination[rank] = 1.0
    elif model.model == PositionModel.CASCADE:
        _estimate_cascade(rank_sums, model, decay_factor, examination)
    else:
        _estimate_position_based(rank_sums, predicted, model, decay_factor, examination)


@jit(fastmath=SUMS, numpy_errors=True)
def _estimate_cascade(
    rank_sums: Floats, model: ExaminationModel, decay_factor: float, examination: Floats
) -> None:
    # the first choice ends the scan: users who chose above do not reach a position
    reached = 1.0
    for rank in range(len(examination)):
        examination[rank] = min(max(reached, model.floor), 1.0)
        reached -= (
            decay_factor
            * rank_sums[rank, RankSum.FIRST_REACTIONS]
            / (decay_factor * rank_sums[rank, RankSum.IMPRESSIONS] + model.prior_strength)
        )


@jit(fastmath=SUMS, numpy_errors=True)
def _estimate_position_based(
    rank_sums: Floats, predicted: Floats, model: ExaminationModel, decay_factor: float, examination: Floats
) -> None:
    n = len(examination)
    observed_reward = 0.0
    expected_reward = 0.0
    rewards = 0.0
    for rank in range(n):
        observed_reward += max(rank_sums[rank, RankSum.VALUE], 0.0)
        expected_reward += examination[rank] * max(predicted[rank], 0.0)
        rewards += rank_sums[rank, RankSum.REWARDS]
    if not (observed_reward > 0.0 and expected_reward > 0.0):
        for rank in range(n):
            examination[rank] = model.prior[rank]
        return
    # with few rewards the predictions may be off by a common factor: only their proportions count
    scale = observed_reward / expected_reward
    prior_reward = model.prior_strength * observed_reward / rewards
    first_estimate = 1.0
    for rank in range(n):
        estimate = (
            decay_factor * max(rank_sums[rank, RankSum.VALUE], 0.0) + prior_reward * model.prior[rank]
        ) / (decay_factor * scale * max(predicted[rank], 0.0) + prior_reward)
        if rank == 0:
            first_estimate = estimate
        examination[rank] = min(max(estimate / first_estimate, model.floor), 1.0)


@jit(fastmath=SUMS, numpy_errors=True)
def iterate_examination(
    rank_sums: Floats,
    predicted: Floats,
    model: ExaminationModel,
    decay_factor: float,
    n_iterations: int,
    examination: Floats,
) -> None:
    """Apply `estimate_examination` several times, starting from the prior.

    Parameters
    ----------
    rank_sums : ndarray of float64, shape (positions, len(RankSum))
        Columns of `RankSum`.
    predicted : ndarray of float64, shape (positions,)
        As for `estimate_examination`.
    examination : ndarray of float64, shape (positions,)
    """
    for rank in range(len(examination)):
        examination[rank] = model.prior[rank]
    for _ in range(n_iterations):
        estimate_examination(rank_sums, predicted, model, decay_factor, examination)
