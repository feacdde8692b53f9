"""The interface of policies: choose a slate from candidates, learn from impressions and rewards."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.models.decay_clock import DecayClock
from stream_app.models.estimator import Estimator
from stream_app.models.model_state import Restorable, State

Features = NDArray[np.float32]
Positions = NDArray[np.int32]
Keys = NDArray[np.uint64]

T = TypeVar("T", bound=np.generic)

NO_KEY = 0
"""Hash of an unknown item."""

MAX_ABS_REWARD = 1e30
"""Largest absolute value of a reward, so that no weighted sum of squares overflows; larger ones are clipped.

The bound is constant: one that follows the values seen so far would depend on their order, and replicas would differ.
"""


class Slate(NamedTuple):
    """The choice of a policy."""

    order: Positions  # shape (k,): rows of the chosen candidates, the first position first
    # shape (k,): probability, above 0, that the policy in its current state puts this candidate at this
    # position, over seeds
    propensities: NDArray[np.float64]
    # size of the ensemble that the policy chooses from, each member equally likely; 0 for other policies
    draws: int


class ItemReward(NamedTuple):
    """A finite, clipped reward for an item of a list; see `Policy.reward`."""

    position: int
    value: float
    ts: float
    item: int
    user: str
    first: bool


UINT64_MASK = (1 << 64) - 1


def to_seed(seed: int) -> np.uint64:
    """Truncate any integer to the 64 bits of a seed.

    Examples
    --------
    >>> int(to_seed(-1)) == 2**64 - 1
    True
    """
    return np.uint64(seed & UINT64_MASK)


def sample_seed(seed: int, n_updates: int) -> np.uint64:
    """Seed of the samples of a state: a restored policy has the same samples as the original."""
    return to_seed(seed * 0xD1342543DE82EF95 + n_updates)


def clip_reward(value: float) -> float:
    """Clip the value of a reward to `MAX_ABS_REWARD`.

    Examples
    --------
    >>> clip_reward(2), clip_reward(-1e300)
    (2.0, -1e+30)
    """
    return min(max(float(value), -MAX_ABS_REWARD), MAX_ABS_REWARD)


def as_contiguous(array: NDArray[Any], dtype: type[T]) -> NDArray[T]:
    """Convert to a contiguous, writable array of a dtype; such an array is returned as it is.

    Kernels are compiled for this layout at startup; for another one they would be compiled while a list is ranked.

    Examples
    --------
    >>> as_contiguous(np.arange(4)[::2], np.int32)
    array([0, 2], dtype=int32)
    """
    if array.dtype == dtype and array.flags.carray:
        return array
    contiguous = np.ascontiguousarray(array, dtype)
    return contiguous if contiguous.flags.writeable else contiguous.copy()


class PolicyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a policy: plain data, each with a default that works; see ``HEADRACE_POLICY_PARAMETERS``."""


class Policy(Estimator, Restorable):
    """Chooses a slate from candidates.

    `decide` does not change the policy, and the same seed gives the same slate. Impressions and rewards are separate
    events and may come in any order; a policy that does not learn ignores them.

    Parameters
    ----------
    features
        Number of features of a candidate.
    **parameters
        Fields of `config_class`; the state of a policy with other parameters is rejected.

    Raises
    ------
    ValueError
        If `features` is below 1, or a setting out of range.
    """

    name: ClassVar[str]
    """The name in settings, lists and metrics."""

    config_class: ClassVar[type[PolicyConfig]] = PolicyConfig
    """Class of its settings."""

    config: PolicyConfig

    learns: ClassVar[bool] = True
    """Whether impressions and rewards change its decisions."""

    def __init__(self, features: int, **parameters: Any) -> None:
        if features < 1:
            raise ValueError(f"features must be 1 or more, not {features!r}")
        self.features = features
        self.config = self.config_class(**parameters)
        self.parameters: dict[str, Any] = {"features": features, **msgspec.to_builtins(self.config)}

    def _get_params(self) -> dict[str, Any]:
        return dict(self.parameters)

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose a slate.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)
            Features of the candidates, in the fused order, which resolves ties.
        k
            Length of the slate, at most the number of candidates.
        seed
            Any integer; the only source of randomness.
        items : ndarray of uint64, shape (n,), optional
            Hashes of the candidates (`ItemIndex.hashes`), for policies with a state per item.
        """
        raise NotImplementedError

    def observe_impressions(
        self, features: Features, positions: Positions, ts: float, items: Keys | None = None
    ) -> None:
        """Learn impressions of one list, each once, with or without a reaction.

        Parameters
        ----------
        features : ndarray of float32, shape (m, features)
            Features that the items were ranked by.
        positions : ndarray of int32, shape (m,)
            Positions on the list, from 0.
        ts
            Event time, seconds since the epoch.
        items : ndarray of uint64, shape (m,), optional
            Hashes of the items.
        """

    def reward(
        self,
        features: Features,
        position: int,
        value: float,
        ts: float,
        *,
        item: int = NO_KEY,
        user: str = "",
        first: bool = True,
    ) -> None:
        """Learn a reward for an item of a list.

        Parameters
        ----------
        features : ndarray of float32, shape (features,)
            Features that the item was ranked by.
        position
            Position on the list, from 0.
        value
            Positive for a positive reaction, negative for a dislike; NaN and infinities are ignored.
        ts
            Event time of the reaction, seconds since the epoch.
        item
            Hash of the item.
        user
            User id.
        first
            Whether it is the first reaction to this item on this list.
        """
        if self.learns and math.isfinite(value):
            self._learn_reward(
                self._validated_row(features),
                ItemReward(int(position), clip_reward(value), float(ts), item, user, bool(first)),
            )

    def _learn_reward(self, features: Features, reward: ItemReward) -> None:
        """Learn a valid reward."""

    def use_decay_clock(self, clock: DecayClock) -> None:
        """Measure decay by another clock, before anything is learned; ignored by a policy without decay."""

    def forget_user(self, user: str) -> None:
        """Drop the data of a user."""

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        return 0

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.name, self.parameters

    def _get_state(self) -> State:
        return {}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        pass

    def _validated(self, features: Features) -> Features:
        """Check the features of candidates."""
        if features.ndim != 2 or features.shape[1] != self.features:
            raise ValueError(f"{self.name}: {self.features} features are expected, not {features.shape}")
        return as_contiguous(features, np.float32)

    def _validated_row(self, features: Features) -> Features:
        """Check the features of one item."""
        if features.shape != (self.features,):
            raise ValueError(f"{self.name}: {self.features} features are expected, not {features.shape}")
        return as_contiguous(features, np.float32)
