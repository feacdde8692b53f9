"""Prequential evaluation of result ranking: rerank each result list before the choice from it, then learn.

A choice is a purchase with the displayed items (`shown`). Events are processed as in a worker; the `ResultsRanker` is
the one that learns among the worker's models.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from time import perf_counter_ns
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.row import UserRow
from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.ranking.search.results_ranker import ResultsRanker
from stream_app.tools.evaluation.bootstrap import ConfidenceInterval, Values
from stream_app.tools.evaluation.latency import LatencyStats, latency_stats
from stream_app.tools.evaluation.log_evaluation import LogEvaluation
from stream_app.tools.evaluation.ranking_metrics import UNLISTED, Ranks, hit_rate, reciprocal_rank
from stream_app.tools.evaluation.split_metrics import SplitMetrics, metrics_by_split
from stream_app.tools.progress import OpenProgress, no_progress
from topics.event_types import BY_STRUCT, EventContent
from topics.events import UserEvent
from topics.records import NON_POSITIVE, REWARD_KINDS, Kind

LOG_PARTS: Final = 10
"""Number of parts, with equally many choices, in `RerankResults.mrr_by_part`."""

_WHOLE_LIST: Final = 1 << 30

_POSITIVE_KINDS: Final = frozenset(
    kind for kind, reward in REWARD_KINDS.items() if reward not in NON_POSITIVE
)
"""Kinds of reactions that count as an interaction with the item."""


class RerankSystem(StrEnum):
    """One way to order a list."""

    DISPLAYED = "displayed"
    """The displayed order."""
    POPULARITY = "popularity"
    """By the number of earlier choices of each item, by all users."""
    LAST_INTERACTION = "last interaction"
    """Items of the session first, latest interaction first (viewed, bought, searched for by id)."""
    LEARNED = "learned"
    """By the `ResultsRanker`."""


class RerankSplit(StrEnum):
    """A group of lists."""

    ALL = "all"
    LAST = "last of its session"
    """Last choice of its session, the task of the RecSys Challenge 2019."""
    INTERACTED = "interacted items"
    """The user had interacted with an item of the list in this session."""
    NOT_INTERACTED = "no interacted items"


class RerankMetricIntervals(msgspec.Struct, frozen=True):
    """Means of the metrics over whole lists, with intervals."""

    mrr: ConfidenceInterval
    hr1: ConfidenceInterval
    hr3: ConfidenceInterval


METRICS: Final = RerankMetricIntervals.__struct_fields__


class RerankResults(msgspec.Struct, frozen=True, kw_only=True):
    """Results of a log.

    Attributes
    ----------
    events
        Rows of the log by outcome, as in `LogEvaluation.row_counts`.
    unlisted_choices
        Choices of an item that is not on the list; they count 0 for every system.
    splits
        Metrics by split; splits without lists are left out. The difference is learned minus last interaction.
    mrr_by_part
        MRR of each system by tenths of the choices, in the order of the log.
    ms
        Wall time of ranking one list in milliseconds.
    memory
        Bytes of the results ranker at the end.
    """

    events: dict[str, int]
    mean_list_length: float
    unlisted_choices: int
    splits: dict[RerankSplit, SplitMetrics[RerankMetricIntervals]]
    mrr_by_part: dict[str, list[float]]
    ms: LatencyStats
    memory: int


class _RerankSession:
    """A session by the shop's session id, or by inactivity where events carry none."""

    def __init__(self, name: str | float, number: int) -> None:
        self.name = name
        self.number = number
        self.interacted: dict[str, int] = {}  # item -> order of its last interaction, from 1


class RerankEvaluation(LogEvaluation[RerankResults]):
    """Measure the `ResultsRanker` and three baselines on a log.

    Parameters
    ----------
    models
        Learn the log; a `ResultsRanker` must be among their learners.

    Raises
    ------
    ValueError
        If no `ResultsRanker` is among the learners.

    Examples
    --------
    >>> from stream_app.tools.feeds.rows import EventRow
    >>> from topics.events import OrderLine, Purchase
    >>> models = ModelSet(["popularity"])
    >>> models.learners.append(ResultsRanker())
    >>> evaluation = RerankEvaluation(models, session_gap=1800.0)
    >>> evaluation.consume(EventRow(1, Purchase(event_id="1", user_id="ann", ts=1_000, order_id="1",
    ...                                    items=[OrderLine(item_id="b")], shown=["a", "b"])))
    >>> evaluation.results().splits[RerankSplit.ALL].systems[RerankSystem.DISPLAYED].mrr.mean
    0.5
    """

    def __init__(
        self,
        models: ModelSet,
        *,
        session_gap: float,
        open_progress: OpenProgress = no_progress,
    ) -> None:
        results = models.learner(ResultsRanker)
        if results is None:
            raise ValueError(
                "the models have no ResultsRanker among their learners, so there is nothing to measure"
            )
        super().__init__(
            models, session_gap=session_gap, title="ordering and folding", open_progress=open_progress
        )
        self._results_ranker = results
        self._purchase_counts: Counter[str] = Counter()
        self._sessions: dict[str, _RerankSession] = {}
        self._session_count = 0
        # one entry per choice
        self._ranks: dict[RerankSystem, list[int]] = {system: [] for system in RerankSystem}
        self._session_numbers: list[int] = []
        self._interacted: list[bool] = []
        self._latencies_ns: list[int] = []
        self._displayed_count = 0

    def on_accepted(self, event: UserEvent, row_before: UserRow, row_after: UserRow) -> None:
        """Rank the list of a purchase by each system, then record the items of the event."""
        del row_before
        session = self._current_session(event, row_after)
        read = BY_STRUCT[type(event)].read
        content = read(event) if read is not None else None
        if content is None:
            return
        if content.kind is Kind.SEARCH:
            items = [content.query]  # a search by item id; other queries match no item of a list
        elif content.kind in _POSITIVE_KINDS:
            items = [line.item_id for line in content.lines]
        else:
            return
        if content.kind is Kind.PURCHASE:
            if content.shown:
                self._rerank(event, content, session)
            self._purchase_counts.update(items)
        for item in items:
            session.interacted.pop(item, None)
            session.interacted[item] = 1 + next(reversed(session.interacted.values()), 0)

    def _current_session(self, event: UserEvent, row: UserRow) -> _RerankSession:
        name = event.session_id or row.session.start
        session = self._sessions.get(event.user_id)
        if session is None or session.name != name:
            self._session_count += 1
            session = self._sessions[event.user_id] = _RerankSession(name, self._session_count)
        return session

    def _rerank(self, event: UserEvent, choice: EventContent, session: _RerankSession) -> None:
        """Rank the list of a choice by each system, and record the rank of the first chosen item."""
        displayed, prices = _deduplicate_list(choice)
        chosen = frozenset(line.item_id for line in choice.lines)
        bought, interacted = self._purchase_counts, session.interacted
        positions = range(len(displayed))
        started = perf_counter_ns()
        learned = self._results_ranker.order(event.user_id, displayed, prices, event.time)
        self._latencies_ns.append(perf_counter_ns() - started)
        orders: dict[RerankSystem, Sequence[int]] = {
            RerankSystem.DISPLAYED: positions,
            # stable: ties keep the displayed order
            RerankSystem.POPULARITY: sorted(positions, key=lambda position: -bought[displayed[position]]),
            RerankSystem.LAST_INTERACTION: sorted(
                positions, key=lambda position: -interacted.get(displayed[position], 0)
            ),
            RerankSystem.LEARNED: learned.tolist(),
        }
        for system, order in orders.items():
            chosen_ranks = (
                rank for rank, position in enumerate(order, start=1) if displayed[position] in chosen
            )
            self._ranks[system].append(next(chosen_ranks, UNLISTED))
        self.add_measured_list(event.user_id)
        self._session_numbers.append(session.number)
        self._interacted.append(not interacted.keys().isdisjoint(displayed))
        self._displayed_count += len(displayed)

    def results(self) -> RerankResults:
        """Results of the rows consumed so far.

        Raises
        ------
        UserError
            If there was no purchase with displayed items.
        """
        if not self.n_lists:
            raise UserError(
                "The log has no purchase with the displayed items in `shown` "
                f"({self.row_summary}); check --format."
            )
        ranks = {system: np.array(system_ranks, np.int32) for system, system_ranks in self._ranks.items()}
        values: dict[str, Values] = {
            system: _metric_values(system_ranks) for system, system_ranks in ranks.items()
        }
        return RerankResults(
            events=self.row_counts,
            mean_list_length=round(self._displayed_count / self.n_lists, 3),
            unlisted_choices=int(np.count_nonzero(ranks[RerankSystem.DISPLAYED] == UNLISTED)),
            splits=metrics_by_split(
                values,
                (RerankSystem.LEARNED, RerankSystem.LAST_INTERACTION),
                self.users,
                self._masks(),
                RerankMetricIntervals,
            ),
            mrr_by_part={
                system: [
                    round(float(part[:, 0].mean()), 6)
                    for part in np.array_split(system_values, min(LOG_PARTS, self.n_lists))
                ]
                for system, system_values in values.items()
            },
            ms=latency_stats(np.array(self._latencies_ns)),
            memory=self._results_ranker.memory(),
        )

    def _masks(self) -> dict[RerankSplit, NDArray[np.bool_]]:
        interacted = np.array(self._interacted, np.bool_)
        # np.unique returns first positions: reverse to find the last
        _, last_index = np.unique(np.array(self._session_numbers)[::-1], return_index=True)
        is_last = np.zeros(len(interacted), np.bool_)
        is_last[len(interacted) - 1 - last_index] = True
        return {
            RerankSplit.ALL: np.ones(len(interacted), np.bool_),
            RerankSplit.LAST: is_last,
            RerankSplit.INTERACTED: interacted,
            RerankSplit.NOT_INTERACTED: ~interacted,
        }


def _metric_values(ranks: Ranks) -> Values:
    """Values in the order of `METRICS`, shape (choices, metrics)."""
    return np.stack((reciprocal_rank(ranks, _WHOLE_LIST), hit_rate(ranks, 1), hit_rate(ranks, 3)), axis=1)


def _deduplicate_list(choice: EventContent) -> tuple[list[str], list[float]]:
    """The displayed items, each at its first rank, and their prices if every entry has one."""
    displayed, prices = choice.shown, choice.shown_prices
    if len(prices) != len(displayed):
        return list(dict.fromkeys(displayed)), []
    # reversed, so that the first price of an item overwrites the later ones
    price_of_item = dict(zip(reversed(displayed), reversed(prices), strict=True))
    names = list(dict.fromkeys(displayed))
    return names, [price_of_item[name] for name in names]
