"""Logged rounds: what was shown, with which propensity, and what it earned."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import UserError

NO_CANDIDATE: Final = -1
"""Fills the rows of rounds that have fewer candidates than the widest."""

BATCH_SIZE: Final = 1024
"""Rounds whose features are in memory at a time."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


class Design(Protocol):
    """The features that a reward model sees."""

    @property
    def width(self) -> int:
        """Features of one candidate, constants among them."""

    @property
    def constants(self) -> int:
        """The first so many features say nothing of the candidate, only of its place."""

    def candidate_features(self, rows: NDArray[np.int64]) -> Floats:
        """Features of every candidate of some rounds, each at the place of its round.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,)
            Rounds.

        Returns
        -------
        ndarray of float64, shape (m, a, width)
            Anything where there is no candidate.
        """


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """A log of n rounds: in each, a policy put one of at most a candidates in a place of a list.

    Attributes
    ----------
    names
        Item ids.
    candidates : ndarray of int32, shape (n, a)
        Indices into `names`; rows are filled up with `NO_CANDIDATE`.
    chosen : ndarray of int32, shape (n,)
        The column of the candidate that was shown.
    positions : ndarray of int32, shape (n,)
        The place, from 0.
    propensities : ndarray of float64, shape (n,)
        Chance that the logging policy put it there.
    rewards : ndarray of float64, shape (n,)
        What it earned.
    groups : ndarray of int64, shape (n,)
        Rounds that may depend on each other (of one shopper) have the same number.
    policies : tuple of str
        Names of the policies that chose.
    policy : ndarray of int32, shape (n,)
        The policy of each round, an index into `policies`.
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
        """The item shown in each round, shape (n,)."""
        return self.candidates[np.arange(len(self)), self.chosen]

    @property
    def n_positions(self) -> int:
        """Places of the longest list."""
        return int(self.positions.max()) + 1

    @property
    def binary(self) -> bool:
        """Whether every reward is 0 or 1."""
        return bool(np.isin(self.rewards, (0.0, 1.0)).all())

    def select(self, rows: NDArray[np.int64]) -> "Rounds":
        """Some of the rounds."""
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
        """All rounds with the features of their candidates, `BATCH_SIZE` of them at a time."""
        for start in range(0, len(self), BATCH_SIZE):
            rows = np.arange(start, min(start + BATCH_SIZE, len(self)))
            yield rows, self.design.candidate_features(rows)

    def chosen_features(self) -> Floats:
        """Features of what was shown, shape (n, width)."""
        result = np.empty((len(self), self.design.width))
        for rows, features in self.batches():
            result[rows] = features[np.arange(len(rows)), self.chosen[rows]]
        return result

    def split(self, share: float) -> "tuple[Rounds, Rounds]":
        """The rounds of the groups that came first, and the rest.

        Parameters
        ----------
        share
            Of the groups, in the first part.

        Raises
        ------
        UserError
            If a part would be empty.
        """
        _, first, group_indices = np.unique(self.groups, return_index=True, return_inverse=True)
        order = np.empty(len(first), np.int64)
        order[np.argsort(first, kind="stable")] = np.arange(len(first))
        in_first_part = order[group_indices] < round(share * len(first))
        if not in_first_part.any() or in_first_part.all():
            raise UserError(
                f"{len(first)} shoppers are too few to learn a policy from a part and evaluate it on the rest."
            )
        return self.select(np.flatnonzero(in_first_part)), self.select(np.flatnonzero(~in_first_part))


@dataclass(frozen=True)
class _DesignSubset:
    """The design of some rounds of another."""

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
    """Features of the candidates of lists, and the place.

    Columns: one a place (of all places the log has), then the features.

    Attributes
    ----------
    features : ndarray of float32, shape (lists, a, d)
        Of each candidate of each list.
    lists : ndarray of int64, shape (n,)
        The list of each round.
    positions : ndarray of int32, shape (n,)
        The place of each round.
    n_positions
        Places of the longest list.
    """

    features: NDArray[np.float32]
    lists: NDArray[np.int64]
    positions: Integers
    n_positions: int

    @property
    def width(self) -> int:
        """Places and features."""
        return self.n_positions + int(self.features.shape[2])

    @property
    def constants(self) -> int:
        """Places."""
        return self.n_positions

    def candidate_features(self, rows: NDArray[np.int64]) -> Floats:
        """Features of every candidate of some rounds, shape (m, a, width)."""
        features_of_lists = self.features[self.lists[rows]]
        result = np.zeros((len(rows), features_of_lists.shape[1], self.width))
        result[np.arange(len(rows)), :, self.positions[rows]] = 1.0
        result[:, :, self.n_positions :] = features_of_lists
        return result
