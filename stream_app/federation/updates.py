"""A shop gives a clipped, noisy change of the shared parameters; the mean of the shops' changes is learned."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Parameters = Mapping[str, NDArray[np.float32]]

_DEVIATIONS: Final = 6.0
"""Standard deviations by which the norm of an honest update may exceed its mean."""


class Privacy(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a shop's data may be seen in what it gives.

    Attributes
    ----------
    clip
        Largest Euclidean norm of a change; longer ones are scaled down.
    noise
        Standard deviation of the noise of each number, divided by `clip`; 0 protects nothing.
    """

    clip: float = 1.0
    noise: float = 8.0

    def largest_norm(self, n_parameters: int) -> float:
        """The norm that no honest update exceeds, but for chance below 1 in a billion.

        Examples
        --------
        >>> Privacy(clip=2.0, noise=0.0).largest_norm(100)
        2.0
        >>> Privacy(clip=2.0, noise=1.0).largest_norm(100)
        34.0
        """
        # without a clip there is no noise: infinity times 0 is no number
        deviation = self.noise * self.clip if self.noise > 0.0 else 0.0
        return self.clip + deviation * (math.sqrt(n_parameters) + _DEVIATIONS)


def shop_update(
    before: Parameters, after: Parameters, privacy: Privacy, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """What a shop gives after a round: the change of its parameters, clipped, with Gaussian noise.

    The noise is added before anything leaves the shop, so that neither the other shops nor the server must be
    trusted.

    Parameters
    ----------
    before, after
        `TwoTowerTraining.dense_parameters` at the start and at the end of the round.
    rng
        Must have a seed that is known to no one else, such as that of ``np.random.default_rng()``.

    References
    ----------
    McMahan et al.: Learning differentially private recurrent language models, ICLR 2018.

    Examples
    --------
    >>> zero, far = {"a": np.zeros(2, np.float32)}, {"a": np.array([30.0, 40.0], np.float32)}
    >>> shop_update(zero, far, Privacy(clip=1.0, noise=0.0), np.random.default_rng())["a"].tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    change = {name: np.asarray(after[name], np.float64) - before[name] for name in before}
    norm = norm_of(change)
    if not math.isfinite(norm):
        raise ValueError("the change of the parameters is not finite")
    factor = min(1.0, privacy.clip / norm) if norm > 0.0 else 1.0
    deviation = privacy.noise * privacy.clip if privacy.noise > 0.0 else 0.0
    return {
        name: (factor * values + deviation * rng.standard_normal(values.shape)).astype(np.float32)
        for name, values in change.items()
    }


def check_update(parameters: Parameters, update: Parameters, privacy: Privacy) -> None:
    """Check what a shop gave, so that one shop cannot spoil the model of all.

    Raises
    ------
    ValueError
        If it has other names or dimensions than the parameters, values that are not finite, or a norm that an honest
        update of this privacy does not have.
    """
    if _shapes(update) != _shapes(parameters):
        raise ValueError("the update has other parameters than the model")
    if not all(np.isfinite(values).all() for values in update.values()):
        raise ValueError("the update has values that are not finite")
    norm = norm_of(update)
    largest = privacy.largest_norm(sum(values.size for values in parameters.values()))
    # float32 on the way
    if norm > largest * 1.001:
        raise ValueError(f"the update has the norm {norm:.4g}; a clipped one has at most {largest:.4g}")


def add_mean_update(parameters: Parameters, updates: Sequence[Parameters]) -> dict[str, NDArray[np.float32]]:
    """The parameters of the next round: those of the last one plus the mean of the shops' updates.

    All shops count the same: the number of their sessions is not theirs to tell.

    Raises
    ------
    ValueError
        If there is no update.

    Examples
    --------
    >>> one = {"a": np.ones(1, np.float32)}
    >>> add_mean_update(one, [{"a": np.array([2.0])}, {"a": np.array([4.0])}])["a"].tolist()
    [4.0]
    """
    if not updates:
        raise ValueError("no shop gave an update")
    return {
        name: (values + np.mean([update[name] for update in updates], axis=0)).astype(np.float32)
        for name, values in parameters.items()
    }


def norm_of(update: Parameters | Mapping[str, NDArray[np.float64]]) -> float:
    """The Euclidean norm of all values together.

    Examples
    --------
    >>> norm_of({"a": np.array([3.0]), "b": np.array([[4.0]])})
    5.0
    """
    return math.sqrt(sum(float(np.sum(np.square(values, dtype=np.float64))) for values in update.values()))


def _shapes(parameters: Parameters) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(values) for name, values in parameters.items()}
