"""Federated DP-SGD on contents alone: an experiment that protects each session, for the benchmark of federations."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from stream_app.federation.updates import Parameters
from stream_app.training.private_gradient import clipped_gradient_sum
from stream_app.training.sequences import Sequence as ItemSequence
from stream_app.training.two_tower_training import TwoTowerTraining

N_NEGATIVES: Final = 96
RATE: Final = 0.01
_BETAS: Final = (0.9, 0.98)


class SessionPrivacy(NamedTuple):
    """How sessions are sampled and protected.

    Attributes
    ----------
    clip
        Norm of a session's gradient.
    noise
        Deviation of the noise of each number of a shop's sum, divided by `clip`.
    sessions
        Expected number of sessions of a shop in a round.
    rounds
        Steps of the server.
    """

    clip: float
    noise: float
    sessions: int
    rounds: int


def sequences_of(training: TwoTowerTraining) -> list[ItemSequence]:
    """All sequences of a training with a choice."""
    state = training.buffer.state()
    return [each for each in [*state.reservoir, *state.open] if len(each.items) > 1]


def learn_privately(
    trainings: Sequence[TwoTowerTraining], privacy: SessionPrivacy, rng: np.random.Generator
) -> Parameters:
    """The shared parameters after rounds of noisy gradients, by Adam at the server.

    In a round each shop draws every session with the same probability, and gives the sum of their clipped gradients
    with noise.

    References
    ----------
    Abadi et al.: Deep learning with differential privacy, CCS 2016.
    """
    parameters = trainings[0].dense_parameters()
    first = {name: np.zeros(value.shape) for name, value in parameters.items()}
    second = {name: np.zeros(value.shape) for name, value in parameters.items()}
    shops = [
        (sequences_of(each), each.contents.gather(np.arange(each.items.size)), each.shape)
        for each in trainings
    ]
    capacity = privacy.sessions + round(6 * np.sqrt(privacy.sessions))
    for number in range(1, privacy.rounds + 1):
        mean = {name: np.zeros(value.shape) for name, value in parameters.items()}
        for sequences, contents, shape in shops:
            drawn = rng.random(len(sequences)) < privacy.sessions / len(sequences)
            chosen = [each for each, is_drawn in zip(sequences, drawn, strict=True) if is_drawn]
            negatives = rng.integers(len(contents), size=N_NEGATIVES)
            total = clipped_gradient_sum(
                parameters, shape, chosen, contents, negatives, privacy.clip, capacity
            )
            for name, value in total.items():
                noisy = value + privacy.noise * privacy.clip * rng.standard_normal(value.shape)
                mean[name] += noisy / (privacy.sessions * len(shops))
        for name, value in mean.items():
            first[name] += (1 - _BETAS[0]) * (value - first[name])
            second[name] += (1 - _BETAS[1]) * (value * value - second[name])
            size = np.sqrt(second[name] / (1 - _BETAS[1] ** number)) + 1e-8
            moved = parameters[name] - RATE * first[name] / (1 - _BETAS[0] ** number) / size
            parameters[name] = moved.astype(np.float32)
    return parameters
