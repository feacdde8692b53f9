"""How often a list has the item that is chosen next, where no one has interacted with that item before."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.row import UserRow
from stream_app.errors import UserError
from stream_app.tools.evaluation.bootstrap import (
    ClusterBootstrap,
    ConfidenceInterval,
    Values,
    cluster_resample,
    sums_by_group,
)
from stream_app.tools.evaluation.cold_items.arms import Arm, has_interactions, is_described
from stream_app.tools.evaluation.log_evaluation import LogEvaluation, choice_request, chosen_items
from stream_app.tools.progress import OpenProgress, no_progress
from topics.events import UserEvent

OTHERS_MEASURED: Final = 8
"""Of the choices of items with interactions, one in this many is measured."""

FEW_INTERACTIONS: Final = 2
"""A user with at most so many interactions is new."""

_RESAMPLES: Final = 1_000
_SEED: Final = 7


class MeasuredChoices(NamedTuple):
    """Whether each list had the chosen item."""

    users: NDArray[np.int64]  # shape (n,): user of each choice
    is_cold: NDArray[np.bool_]  # shape (n,): whether the choice is the first interaction with the item
    n_before: NDArray[np.int64]  # shape (n,): events of the user before
    hits: dict[str, NDArray[np.bool_]]  # by arm, shape (n,)


class ArmMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Hit rates of one arm.

    Attributes
    ----------
    cold
        Share of the choices of items without interactions whose item was on the list.
    ratio
        That share divided by the baseline's.
    others
        The share for the choices of other items, but for the first one of a user.
    new_users
        The share for the choices of other items by new users, their first ones too; None without such choices.
    cold_by_seed
        The share in each shop.
    """

    cold: ConfidenceInterval
    ratio: ConfidenceInterval
    others: ConfidenceInterval
    new_users: ConfidenceInterval | None
    cold_by_seed: list[float]


class ColdItemsResults(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one kind of shop, or of a log.

    Attributes
    ----------
    cold_choices, other_choices, new_user_choices
        Measured choices of items without and with interactions, and of the latter those by new users.
    """

    cold_choices: int
    other_choices: int
    new_user_choices: int
    arms: dict[str, ArmMetrics]


class ColdItemsEvaluation(LogEvaluation[MeasuredChoices]):
    """Rank for the user before the first interaction of anyone with an item, and before some other choices.

    Choices count from a time on, so that the models have learned something, and within sessions, since the first
    choice of a session follows from nothing; but for the first one of a user at all.

    Parameters
    ----------
    arms
        By name; arms with the same models share them.
    start
        Event time from which on choices are measured, seconds since the epoch.
    k
        Length of the lists.
    """

    def __init__(
        self,
        arms: Mapping[str, Arm],
        *,
        start: float,
        k: int,
        session_gap: float,
        buy_again: float = 0.0,
        open_progress: OpenProgress = no_progress,
    ) -> None:
        models, *further = {id(arm.models): arm.models for arm in arms.values()}.values()
        super().__init__(
            models,
            *further,
            session_gap=session_gap,
            title="ranking and folding",
            open_progress=open_progress,
        )
        self._arms = dict(arms)
        self._start = start
        self._k = k
        self._buy_again = buy_again
        self._n_others = 0
        self._is_cold: list[bool] = []
        self._n_before: list[int] = []
        self._hits: dict[str, list[bool]] = {name: [] for name in arms}

    def on_accepted(self, event: UserEvent, row_before: UserRow, row_after: UserRow) -> None:
        """Compare the lists of all arms with the chosen item."""
        chosen = chosen_items(event)
        n_before = row_before.counts.total
        begins_session = row_after.session.start >= event.time
        if len(chosen) != 1 or (begins_session and n_before) or event.time < self._start:
            return
        [item] = chosen
        if not is_described(self._models, item):
            return
        is_cold = not has_interactions(self._models, item)
        if is_cold and begins_session:
            return
        if not is_cold:
            self._n_others += 1
            if self._n_others % OTHERS_MEASURED:
                return
        for name, arm in self._arms.items():
            request = choice_request(event, row_before, arm.models, self._buy_again)
            self._hits[name].append(item in arm.recommend(request)[: self._k])
        self._is_cold.append(is_cold)
        self._n_before.append(n_before)
        self.add_measured_list(event.user_id)

    def results(self) -> MeasuredChoices:
        """The measured choices so far.

        Raises
        ------
        UserError
            If no item without interactions was chosen.
        """
        if not any(self._is_cold):
            raise UserError(
                f"No item was chosen for the first time within a session ({self.row_summary}): the catalog must "
                "describe items before they are clicked."
            )
        hits = {name: np.array(found, np.bool_) for name, found in self._hits.items()}
        is_cold, n_before = np.array(self._is_cold, np.bool_), np.array(self._n_before, np.int64)
        return MeasuredChoices(self.users, is_cold, n_before, hits)


def summarize(measured: Sequence[MeasuredChoices], baseline: str) -> ColdItemsResults:
    """Pool the choices of several shops; intervals are by bootstrap over the users of all of them.

    Examples
    --------
    >>> users, cold = np.array([0, 1, 2]), np.array([True, True, False])
    >>> hits = {"a": np.array([True, False, True]), "b": np.array([True, True, False])}
    >>> results = summarize([MeasuredChoices(users, cold, np.array([1, 1, 9]), hits)], "a")
    >>> results.arms["b"].cold.mean, results.arms["b"].ratio.mean, results.arms["b"].others.mean
    (1.0, 2.0, 0.0)
    """
    users = np.concatenate(_numbered_apart([each.users for each in measured]))
    is_cold = np.concatenate([each.is_cold for each in measured])
    names = list(measured[0].hits)
    values = np.column_stack(
        [np.concatenate([each.hits[name] for each in measured]).astype(np.float64) for name in names]
    )
    bootstrap = ClusterBootstrap(users, resamples=_RESAMPLES, seed=_SEED)
    n_before = np.concatenate([each.n_before for each in measured])
    is_new_user, is_other = ~is_cold & (n_before <= FEW_INTERACTIONS), ~is_cold & (n_before > 0)
    cold, others, new_users = (bootstrap.intervals(values, mask) for mask in (is_cold, is_other, is_new_user))
    ratios = _ratios(values[is_cold], users[is_cold], names.index(baseline))
    return ColdItemsResults(
        cold_choices=int(is_cold.sum()),
        other_choices=int(is_other.sum()),
        new_user_choices=int(is_new_user.sum()),
        arms={
            name: ArmMetrics(
                cold=cold[at].rounded(),
                ratio=ratios[at].rounded(),
                others=others[at].rounded(),
                new_users=new_users[at].rounded() if is_new_user.any() else None,
                cold_by_seed=[round(float(each.hits[name][each.is_cold].mean()), 6) for each in measured],
            )
            for at, name in enumerate(names)
        },
    )


def _numbered_apart(users: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    numbered, first = [], 0
    for each in users:
        numbered.append(each + first)
        first += int(each.max(initial=-1)) + 1
    return numbered


def _ratios(values: Values, users: NDArray[np.int64], baseline: int) -> list[ConfidenceInterval]:
    """Column sums divided by that of the baseline, with percentile intervals over the same resamples."""
    _, groups = np.unique(users, return_inverse=True)
    sums = sums_by_group(values, groups, int(groups.max()) + 1)
    draws = cluster_resample(sums, _RESAMPLES, _SEED)
    divided = draws / np.maximum(draws[:, [baseline]], 1.0)
    total = values.sum(axis=0)
    low, high = np.quantile(divided, (0.025, 0.975), axis=0)
    means = total / max(total[baseline], 1.0)
    return [ConfidenceInterval(*map(float, bounds)) for bounds in zip(means, low, high, strict=True)]
