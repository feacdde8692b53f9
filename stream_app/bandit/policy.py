"""What every policy looks like: it makes a slate of candidates, and is told what was seen and what came of it."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.models.model_state import State, verify_state, versioned_state

Features = NDArray[np.float32]
Positions = NDArray[np.int32]
Keys = NDArray[np.uint64]

T = TypeVar("T", bound=np.generic)

NO_KEY = 0
"""Stands for an item that is not known by a hash."""

MAX_ABS_REWARD = 1e30
"""Values of rewards are kept within this of 0, so that no sum of their weighted squares overflows.

It is the same for all, whatever came before, so that replicas agree: a bound that follows the values seen so far
would depend on the order they came in.
"""


class Slate(NamedTuple):
    """What a policy shows.

    Attributes
    ----------
    order : ndarray of int32, shape (k,)
        Rows of the chosen among the candidates, for the best place first.
    propensities : ndarray of float64, shape (k,)
        For each of them the chance, above 0, that the policy, as it is, puts this candidate in this place; what is
        random is the seed.
    draws
        Sampled weightings that the policy chooses from, each equally likely; 0 where it is not made so.
    """

    order: Positions
    propensities: NDArray[np.float64]
    draws: int


def clip_reward(value: float) -> float:
    """The value of a reward, within `MAX_ABS_REWARD` of 0.

    Examples
    --------
    >>> clip_reward(2), clip_reward(-1e300)
    (2.0, -1e+30)
    """
    return min(max(float(value), -MAX_ABS_REWARD), MAX_ABS_REWARD)


def as_contiguous(array: NDArray[Any], dtype: type[T]) -> NDArray[T]:
    """The same numbers as one writable block of a kind; as a rule they are that already.

    For each other sort of array the kernels would be compiled anew, in the middle of the work.

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


class Policy:
    """One way to choose a slate from candidates.

    Deciding never changes the policy, and
    the same seed decides the same. What was seen and what came of it are told apart, in any order, as they become
    known; a policy that does not learn passes over them.

    Parameters
    ----------
    features
        Their number.
    **parameters
        Fields of `config_class`; a state taken under others is refused.

    Raises
    ------
    ValueError
        If `features` is below 1, or a setting out of range.
    """

    name: ClassVar[str]
    """In settings, lists and metrics."""

    config_class: ClassVar[type[PolicyConfig]] = PolicyConfig
    """Class of its settings."""

    config: PolicyConfig

    learns: ClassVar[bool] = True
    """Whether what it is told changes what it decides."""

    def __init__(self, features: int, **parameters: Any) -> None:
        if features < 1:
            raise ValueError(f"features must be 1 or more, not {features!r}")
        self.features = features
        self.config = self.config_class(**parameters)
        self.parameters: dict[str, Any] = {"features": features, **msgspec.to_builtins(self.config)}

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose what to show.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)
            Of the candidates, which come in the fused order: it settles ties.
        k
            Places; no more are filled than there are candidates.
        seed
            Any whole number; all that is random in the choice.
        items : ndarray of uint64, shape (n,), optional
            Hashes of the candidates (`ItemIndex.hashes`), for policies that remember single items.
        """
        raise NotImplementedError

    def observe_impressions(
        self, features: Features, positions: Positions, ts: float, items: Keys | None = None
    ) -> None:
        """Take note that items of one list were seen, each told once, whatever came of it.

        Parameters
        ----------
        features : ndarray of float32, shape (m, features)
            What they were ranked by.
        positions : ndarray of int32, shape (m,)
            Their places, from 0.
        ts
            Event time, seconds since the epoch.
        items : ndarray of uint64, shape (m,), optional
            Their hashes.
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
        """Take a reward for an item of a list.

        Parameters
        ----------
        features : ndarray of float32, shape (features,)
            What the item was ranked by.
        position
            Its place, from 0.
        value
            Above 0 if the shopper liked it, below if not; one that is no number counts for nothing.
        ts
            Event time of the reaction, seconds since the epoch.
        item
            Hash of the item.
        user
            The shopper.
        first
            Whether it is the first reaction to this item on this list.
        """

    def forget_user(self, user: str) -> None:
        """Drop what is held of one shopper."""

    def state(self) -> State:
        """All that was learned, as plain data."""
        return versioned_state(self.name, self.parameters, **self._state())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the policy that `state` was taken from.

        Raises
        ------
        ValueError
            If the state is of another format, of another policy or of other settings.
        """
        verify_state(state, self.name, self.parameters)
        self._restore(state)

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return 0

    def _state(self) -> dict[str, Any]:
        return {}

    def _restore(self, state: Mapping[str, Any]) -> None:
        pass

    def _validated(self, features: Features) -> Features:
        """Features as one block of memory, of the width that was agreed on."""
        if features.ndim != 2 or features.shape[1] != self.features:
            raise ValueError(f"{self.name}: {self.features} features are expected, not {features.shape}")
        return as_contiguous(features, np.float32)

    def _validated_row(self, features: Features) -> Features:
        """Check the features of one item."""
        if features.shape != (self.features,):
            raise ValueError(f"{self.name}: {self.features} features are expected, not {features.shape}")
        return as_contiguous(features, np.float32)
