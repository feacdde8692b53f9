"""A whole log, prequentially: before each choice of an item the shopper's list is ranked, then the event is folded.

The way of an event is the workers': decoded and checked from its JSON, folded into the shopper's row, its
interaction learned. What is asked for is the list that would be in Redis by then, `Ranker.rank_user`, with its rules.
"""

import math
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from time import perf_counter_ns
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.fold import segments_of
from state.row import EMPTY_ROW, UserRow
from stream_app.errors import UserError
from stream_app.models.base import NO_ITEM, Context, Model
from stream_app.models.model_set import CONTEXT, ModelSet
from stream_app.models.popularity import Popularity
from stream_app.ranking.allowed_items import allowed_items
from stream_app.ranking.exposure import Exposure
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.request import RankRequest
from stream_app.ranking.row_request import request_of
from stream_app.tools.evaluation.log_fold import LogFold
from stream_app.tools.evaluation.progress import Watch, unwatched
from stream_app.tools.evaluation.sessions import FUSED
from stream_app.tools.evaluation.statistics import (
    Bootstrap,
    Hits,
    Interval,
    ListMetrics,
    Milliseconds,
    list_metrics,
    milliseconds,
)
from stream_app.tools.feeds.rows import Row
from topics.events import Click, Purchase, UserEvent

COLD_SECONDS: Final = 3_600.0
"""An item is cold until its first interaction is this old."""

METRICS: Final = ListMetrics._fields


class Split(StrEnum):
    """Which lists a figure is of."""

    ALL = "all"
    COLD_USERS = "cold users"
    """The shopper had clicked or bought nothing before."""
    WARM_USERS = "warm users"
    COLD_ITEMS = "cold items"
    """What was chosen had its first interaction less than `COLD_SECONDS` ago, or never."""
    WARM_ITEMS = "warm items"
    NEW = "new to the shopper"
    """What was chosen is none of the shopper's recent items."""
    AGAIN = "chosen again"


class Figures(msgspec.Struct, frozen=True):
    """The metrics of `ListMetrics`, each with its interval."""

    hit_rate: Interval
    mrr: Interval
    accuracy: Interval
    precision: Interval
    recall: Interval
    f1: Interval
    ndcg: Interval


class SplitFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one split.

    Attributes
    ----------
    lists, shoppers
        How many the figures are of.
    systems
        Figures by name: `FUSED`, popularity, and what else was asked for.
    fused_minus_popularity
        The paired differences.
    """

    lists: int
    shoppers: int
    systems: dict[str, Figures]
    fused_minus_popularity: Figures


class ExposureFigures(msgspec.Struct, frozen=True):
    """How the lists of one system, cut at k, shared their places out among the items known in the end.

    Attributes
    ----------
    coverage
        Share of the items that were on any list.
    gini
        Gini coefficient of the places: 0 where each item had as many, near 1 where few had all.
    new_items
        Share of the places that went to items that were new when they were listed.
    long_tail
        Share that went to the long tail. Both as `stream_app.ranking.exposure.ExposureReport` tells.
    """

    coverage: float
    gini: float
    new_items: float
    long_tail: float


class EventsFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a log came to.

    Attributes
    ----------
    events
        Rows of the log by what became of them: accepted, duplicate, catalogue, rejected (a worker would write
        it to the dead letters), unreadable, ignored.
    splits
        Figures by split; those without lists are left out.
    exposure
        How the lists shared out attention, by system.
    policies
        Fused lists by what ordered them: a fusion that learns is not asked before it has learned something, nor
        for a shopper who has done nothing yet.
    ms
        Wall time of ranking one list, by system.
    """

    events: dict[str, int]
    splits: dict[Split, SplitFigures]
    exposure: dict[str, ExposureFigures]
    policies: dict[str, int]
    ms: dict[str, Milliseconds]


def context_of(models: ModelSet, request: RankRequest) -> Context:
    """What a single model is asked with for a shopper's list: what the ranker asks it with."""
    start = max(0, len(request.items) - CONTEXT)
    return models.context(
        request.user_id,
        request.items[start:],
        request.times[start:],
        max(0, request.session_start - start),
        request.segments,
        request.now,
        models.tracker.query(request.user_id, request.now),
    )


class _System:
    """One way to rank, and what came of it."""

    def __init__(self, models: ModelSet) -> None:
        self.hits = bytearray()  # k flags a list
        self.took: list[int] = []
        self.exposure = Exposure(models, half_life=math.inf)

    def note(self, listed: Iterable[str | int], chosen: frozenset[str] | frozenset[int], k: int) -> None:
        flags = bytes([item in chosen for item in listed][:k])
        self.hits += flags.ljust(k, b"\0")

    def matrix(self, k: int) -> Hits:
        return np.frombuffer(self.hits, np.bool_).reshape(-1, k)


class EventsEvaluation:
    """Takes the rows of a log in order.

    Parameters
    ----------
    ranker
        Learns and ranks; its lists must be `k` long, and popularity among its models.
    k
        Places that count.
    session_gap
        Seconds of inactivity that close a session.
    buy_again
        Seconds after which a bought item may be listed again; 0 for never.
    each_model
        Measure each model alone, too.
    watch
        Opens progress bars.

    Raises
    ------
    UserError
        If popularity, the baseline, is not among the models.

    Examples
    --------
    >>> from stream_app.tools.feeds.rows import Mapped
    >>> from stream_app.models.model_set import ModelSet
    >>> ranker = Ranker(ModelSet(["popularity"]), per_source=100, length=2)
    >>> evaluation = EventsEvaluation(ranker, k=2, session_gap=1800.0)
    >>> click = Click(event_id="1", user_id="ann", ts=1_000, item_id="shoe")
    >>> evaluation.take(Mapped(1, click))
    >>> evaluation.take(Mapped(2, Click(event_id="2", user_id="bob", ts=2_000, item_id="shoe")))
    >>> figures = evaluation.figures()
    >>> figures.events, figures.splits[Split.ALL].systems["popularity"].hit_rate.mean
    ({'accepted': 2}, 0.5)
    """

    def __init__(
        self,
        ranker: Ranker,
        *,
        k: int,
        session_gap: float,
        buy_again: float = 0.0,
        each_model: bool = False,
        watch: Watch = unwatched,
    ) -> None:
        self._ranker = ranker
        self._models = ranker.models
        self._k = k
        self._buy_again = buy_again
        self._log = LogFold(ranker.models, session_gap, self._accepted)
        self._watch = watch
        self._alone: list[Model] = [
            model for model in self._models.models if each_model or isinstance(model, Popularity)
        ]
        if not any(isinstance(model, Popularity) for model in self._alone):
            raise UserError("Lists are compared with popularity: add popularity to the models.")
        names = (FUSED, *(model.name for model in self._alone))
        self._systems = {name: _System(ranker.models) for name in names}
        self._policies: Counter[str] = Counter()
        self._shoppers: dict[str, int] = {}
        self._of: list[int] = []
        self._chosen: list[int] = []
        self._splits: dict[Split, list[bool]] = {
            split: [] for split in (Split.COLD_USERS, Split.COLD_ITEMS, Split.AGAIN)
        }

    def run(self, rows: Iterable[Row], total: int) -> EventsFigures:
        """Take every row, and sum up.

        Raises
        ------
        UserError
            If the log has no choice of an item.
        """
        with self._watch("ranking and folding", total) as tell:
            for done, row in enumerate(rows, start=1):
                self.take(row)
                tell(done)
        return self.figures()

    def take(self, row: Row) -> None:
        """Take one row."""
        self._log.take(row)

    def _accepted(self, event: UserEvent, before: UserRow, _: UserRow) -> None:
        if isinstance(event, Click):
            self._rank(event, before, frozenset((event.item_id,)))
        elif isinstance(event, Purchase):
            self._rank(event, before, frozenset(line.item_id for line in event.items))

    def _rank(self, event: UserEvent, row: UserRow, chosen: frozenset[str]) -> None:
        """Rank for the row as it was before the event, in which `chosen` was chosen."""
        request = request_of(event.user_id, row, self._buy_again)
        if row is EMPTY_ROW:
            # Of a shopper never seen the web tier knows the country and the channel of the page it is asked for.
            request = request._replace(segments=segments_of(event), now=self._models.newest)
        began = perf_counter_ns()
        ranked = self._ranker.rank_user(request)
        fused = self._systems[FUSED]
        fused.took.append(perf_counter_ns() - began)
        listed_ids = [item.id for item in ranked.items]
        fused.note(listed_ids, chosen, self._k)
        fused.exposure.add(listed_ids[: self._k], event.time)
        self._policies[ranked.policy] += 1
        index = self._models.index
        places = frozenset(at for at in map(index.find, chosen) if at != NO_ITEM)
        context = context_of(self._models, request)
        with allowed_items(index, request.excluded) as allowed:
            for model in self._alone:
                began = perf_counter_ns()
                # as many more as may be cut out, so that the rules leave k
                items = model.candidates(context, self._k + len(request.excluded)).items
                listed = items[allowed[items]][: self._k]
                system = self._systems[model.name]
                system.took.append(perf_counter_ns() - began)
                system.note(listed.tolist(), places, self._k)
                system.exposure.add_items(listed, event.time)
        self._of.append(self._shoppers.setdefault(event.user_id, len(self._shoppers)))
        self._chosen.append(len(chosen))
        recent = {entry.item_id for entry in row.recent}
        first_seen = [index.first_seen[at] for at in places]
        self._splits[Split.COLD_USERS].append(not row.recent)
        self._splits[Split.COLD_ITEMS].append(all(event.time - ts < COLD_SECONDS for ts in first_seen))
        self._splits[Split.AGAIN].append(not chosen.isdisjoint(recent))

    def figures(self) -> EventsFigures:
        """Sum up what was taken so far.

        Raises
        ------
        UserError
            If nothing was chosen.
        """
        if not self._of:
            said = ", ".join(f"{count} {what}" for what, count in self._log.events.items()) or "no rows"
            raise UserError(f"The log has no click or purchase to predict ({said}); check --format.")
        chosen = np.array(self._chosen, np.int64)
        values = {
            name: np.stack(list_metrics(system.matrix(self._k), chosen), axis=1)
            for name, system in self._systems.items()
        }
        columns = np.hstack((*values.values(), values[FUSED] - values[Popularity.name]))
        shoppers = np.array(self._of, np.int64)
        bootstrap = Bootstrap(shoppers)
        splits = {}
        for split, within in self._masks().items():
            if not within.any():
                continue
            intervals = [each.rounded() for each in bootstrap.intervals(columns, within)]
            width = len(METRICS)
            figures = [Figures(*intervals[at : at + width]) for at in range(0, len(intervals), width)]
            splits[split] = SplitFigures(
                lists=int(within.sum()),
                shoppers=len(np.unique(shoppers[within])),
                systems=dict(zip(values, figures, strict=False)),  # the differences come last
                fused_minus_popularity=figures[-1],
            )
        return EventsFigures(
            events=dict(sorted(self._log.events.items())),
            splits=splits,
            exposure={name: self._exposed(one.exposure) for name, one in self._systems.items()},
            policies=dict(sorted(self._policies.items())),
            ms={name: milliseconds(np.array(one.took)) for name, one in self._systems.items()},
        )

    def _exposed(self, exposure: Exposure) -> ExposureFigures:
        return ExposureFigures(*(round(float(each), 6) for each in exposure.report(self._models.newest)))

    def _masks(self) -> dict[Split, NDArray[np.bool_]]:
        cold, items, again = (np.array(held, np.bool_) for held in self._splits.values())
        return {
            Split.ALL: np.ones(len(cold), np.bool_),
            Split.COLD_USERS: cold,
            Split.WARM_USERS: ~cold,
            Split.COLD_ITEMS: items,
            Split.WARM_ITEMS: ~items,
            Split.NEW: ~again,
            Split.AGAIN: again,
        }
