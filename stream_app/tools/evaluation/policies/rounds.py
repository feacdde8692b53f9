"""Logged rounds: displayed items, propensities and rewards."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import UserError

NO_CANDIDATE: Final = -1
"""Padding of rounds with fewer candidates than the largest."""

BATCH_SIZE: Final = 1024
"""Rounds whose features are in memory at the same time."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


class Design(Protocol):
    """Features for a reward model."""

    @property
    def width(self) -> int:
        """Number of features of a candidate, constants included."""

    @property
    def constants(self) -> int:
        """Number of leading features that depend on the position alone, not on the candidate."""

    def candidate_features(self, rows: NDArray[np.int64]) -> Floats:
        """Features of every candidate of the given rounds, at the position of the round.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,)
            Indices of rounds.

        Returns
        -------
        ndarray of float64, shape (m, a, width)
            Undefined for padding.
        """


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """A log of n rounds: in each, a policy put one of at most a candidates at a position of a list.

    Attributes
    ----------
    names
        Item ids.
    candidates : ndarray of int32, shape (n, a)
        Indices into `names`, padded with `NO_CANDIDATE`.
    chosen : ndarray of int32, shape (n,)
        Column of the displayed candidate.
    positions : ndarray of int32, shape (n,)
        Position, from 0.
    propensities : ndarray of float64, shape (n,)
        Probability that the logging policy put it there.
    rewards : ndarray of float64, shape (n,)
        Reward of the round.
    groups : ndarray of int64, shape (n,)
        Rounds of a user, which may depend on each other, have the same number.
    policies : tuple of str
        Names of the logging policies.
    policy : ndarray of int32, shape (n,)
        Policy of each round, an index into `policies`.
    design
        Features of the candidates.
    """

    names: tuple[str, ...]
    candidates: Integers
    chosen: Integers
    positions: Integers
    propensities: Floats
    rewards: Floats
    groups: NDArray[np.int64]
    policies: tuple[str, ...]
    policy: Integers
    design: Design

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def items(self) -> Integers:
        """Displayed item of each round, shape (n,)."""
        return self.candidates[np.arange(len(self)), self.chosen]

    @property
    def n_positions(self) -> int:
        """Number of positions of the longest list."""
        return int(self.positions.max()) + 1

    @property
    def binary(self) -> bool:
        """Whether every reward is 0 or 1."""
        return bool(np.isin(self.rewards, (0.0, 1.0)).all())

    def select(self, rows: NDArray[np.int64]) -> "Rounds":
        """Select rounds by their indices."""
        return replace(
            self,
            candidates=self.candidates[rows],
            chosen=self.chosen[rows],
            positions=self.positions[rows],
            propensities=self.propensities[rows],
            rewards=self.rewards[rows],
            groups=self.groups[rows],
            policy=self.policy[rows],
            design=_DesignSubset(self.design, rows),
        )

    def batches(self) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Iterate over all rounds with the features of their candidates, `BATCH_SIZE` at a time."""
        for start in range(0, len(self), BATCH_SIZE):
            rows = np.arange(start, min(start + BATCH_SIZE, len(self)))
            yield rows, self.design.candidate_features(rows)

    def chosen_features(self) -> Floats:
        """Features of the displayed items, shape (n, width)."""
        result = np.empty((len(self), self.design.width))
        for rows, features in self.batches():
            result[rows] = features[np.arange(len(rows)), self.chosen[rows]]
        return result

    def split(self, share: float) -> "tuple[Rounds, Rounds]":
        """Split into the rounds of the first groups, by their first round, and the others.

        Parameters
        ----------
        share
            Share of the groups in the first part.

        Raises
        ------
        UserError
            If a part is empty.
        """
        _, first, group_indices = np.unique(self.groups, return_index=True, return_inverse=True)
        order = np.empty(len(first), np.int64)
        order[np.argsort(first, kind="stable")] = np.arange(len(first))
        in_first_part = order[group_indices] < round(share * len(first))
        if not in_first_part.any() or in_first_part.all():
            raise UserError(
                f"{len(first)} users are too few to learn a policy from a part and evaluate it on the rest."
            )
        return self.select(np.flatnonzero(in_first_part)), self.select(np.flatnonzero(~in_first_part))


@dataclass(frozen=True)
class _DesignSubset:
    base: Design
    rows: NDArray[np.int64]

    @property
    def width(self) -> int:
        return self.base.width

    @property
    def constants(self) -> int:
        return self.base.constants

    def candidate_features(self, rows: NDArray[np.int64]) -> Floats:
        return self.base.candidate_features(self.rows[rows])


@dataclass(frozen=True, kw_only=True)
class ListDesign:
    """Features of the candidates of lists, and the position.

    Columns: one per position of the log, then the features.

    Attributes
    ----------
    features : ndarray of float32, shape (lists, a, d)
        Features of each candidate of each list.
    lists : ndarray of int64, shape (n,)
        List of each round.
    positions : ndarray of int32, shape (n,)
        Position of each round.
    n_positions
        Number of positions of the longest list.
    """

    features: NDArray[np.float32]
    lists: NDArray[np.int64]
    positions: Integers
    n_positions: int

    @property
    def width(self) -> int:
        """Number of positions and features."""
        return self.n_positions + int(self.features.shape[2])

    @property
    def constants(self) -> int:
        """Number of positions."""
        return self.n_positions

    def candidate_features(self, rows: NDArray[np.int64]) -> Floats:
        """Features of every candidate of the given rounds, shape (m, a, width)."""
        features_of_lists = self.features[self.lists[rows]]
        result = np.zeros((len(rows), features_of_lists.shape[1], self.width))
        result[np.arange(len(rows)), :, self.positions[rows]] = 1.0
        result[:, :, self.n_positions :] = features_of_lists
        return result
