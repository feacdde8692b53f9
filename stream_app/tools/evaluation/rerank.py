"""Result lists put in order, prequentially: each list is ordered by what is known before the choice from it.

A choice is an order that says what it was chosen from (`shown`). The way of an event is the workers', and what orders
is the `ResultsRanker` that the workers' models carry, learning in the same fold.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
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
from stream_app.tools.evaluation.log_fold import LogFold
from stream_app.tools.evaluation.progress import Watch, unwatched
from stream_app.tools.evaluation.statistics import (
    UNLISTED,
    Bootstrap,
    Interval,
    Milliseconds,
    Values,
    hit_rate,
    milliseconds,
    reciprocal_rank,
)
from stream_app.tools.feeds.rows import Row
from topics.events import Click, Feedback, FeedbackKind, Purchase, Search, UserEvent

PARTS: Final = 10
"""Parts of the log, of as many choices each, that `RerankFigures.course` is by."""

_WHOLE_LIST: Final = 1 << 30


class System(StrEnum):
    """One way to order a list."""

    DISPLAYED = "displayed"
    """As it was shown."""
    POPULARITY = "popularity"
    """By how often each item was chosen before, by anyone."""
    LAST_TOUCHED = "last touched"
    """What the shopper touched last in this session (looked at, bought, searched for by its id) first."""
    LEARNED = "learned"
    """By the `ResultsRanker`."""


class Split(StrEnum):
    """Which lists a figure is of."""

    ALL = "all"
    LAST = "last of its session"
    """The session's last choice: what the RecSys Challenge 2019 asked for."""
    TOUCHED = "something touched"
    """The shopper had touched an item of the list in this session."""
    UNTOUCHED = "nothing touched"


class Figures(msgspec.Struct, frozen=True):
    """The metrics, over whole lists, each with its interval."""

    mrr: Interval
    hr1: Interval
    hr3: Interval


METRICS: Final = Figures.__struct_fields__


class SplitFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one split.

    Attributes
    ----------
    lists, shoppers
        How many the figures are of.
    systems
        Figures by system.
    gain
        The paired differences: `System.LEARNED` less `System.LAST_TOUCHED`.
    """

    lists: int
    shoppers: int
    systems: dict[System, Figures]
    gain: Figures


class RerankFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a log came to.

    Attributes
    ----------
    events
        Rows of the log by what became of them: accepted, duplicate, catalogue, rejected (a worker would write
        it to the dead letters), unreadable, ignored.
    length
        Mean length of a list.
    outside
        Choices that the list does not hold; they count 0 for every system.
    splits
        Figures by split; those without lists are left out.
    course
        MRR of each system by tenths of the choices, in the order of the log.
    ms
        Wall time of ordering one list.
    memory
        Bytes that the ranker held in the end.
    """

    events: dict[str, int]
    length: float
    outside: int
    splits: dict[Split, SplitFigures]
    course: dict[System, list[float]]
    ms: Milliseconds
    memory: int


class _Session:
    """A session by the word of the shop, or by inactivity where the shop says none."""

    def __init__(self, name: str | float, number: int) -> None:
        self.name = name
        self.number = number
        self.touched: dict[str, int] = {}  # item -> how many touches of the session came before its last


class RerankEvaluation:
    """Takes the rows of a log in order.

    Parameters
    ----------
    models
        Learn, with the `ResultsRanker` that listens to them and orders.
    session_gap
        Seconds of inactivity that close a session.
    watch
        Opens progress bars.

    Raises
    ------
    ValueError
        If no `ResultsRanker` listens.

    Examples
    --------
    >>> from stream_app.tools.feeds.rows import Mapped
    >>> from topics.events import OrderLine
    >>> models = ModelSet(["popularity"])
    >>> models.listeners.append(ResultsRanker())
    >>> evaluation = RerankEvaluation(models, session_gap=1800.0)
    >>> evaluation.take(Mapped(1, Purchase(event_id="1", user_id="ann", ts=1_000, order_id="1",
    ...                                    items=[OrderLine(item_id="b")], shown=["a", "b"])))
    >>> evaluation.figures().splits[Split.ALL].systems[System.DISPLAYED].mrr.mean
    0.5
    """

    def __init__(
        self,
        models: ModelSet,
        *,
        session_gap: float,
        watch: Watch = unwatched,
    ) -> None:
        results = models.listener(ResultsRanker)
        if results is None:
            raise ValueError("no ResultsRanker listens to the models, so there is nothing to measure")
        self._results = results
        self._watch = watch
        self._log = LogFold(models, session_gap, self._accepted)
        self._bought: Counter[str] = Counter()
        self._sessions: dict[str, _Session] = {}
        self._shoppers: dict[str, int] = {}
        self._opened = 0
        # a line a choice
        self._ranks: dict[System, list[int]] = {system: [] for system in System}
        self._of: list[int] = []
        self._session_of: list[int] = []
        self._touched: list[bool] = []
        self._took: list[int] = []
        self._shown = 0

    def run(self, rows: Iterable[Row], total: int) -> RerankFigures:
        """Take every row, and sum up.

        Raises
        ------
        UserError
            If the log has no choice from a list.
        """
        with self._watch("ordering and folding", total) as tell:
            for done, row in enumerate(rows, start=1):
                self.take(row)
                tell(done)
        return self.figures()

    def take(self, row: Row) -> None:
        """Take one row."""
        self._log.take(row)

    def _accepted(self, event: UserEvent, _: UserRow, after: UserRow) -> None:
        session = self._session(event, after)
        if isinstance(event, Purchase):
            items = [line.item_id for line in event.items]
            if event.shown:
                self._order(event, session, frozenset(items))
            self._bought.update(items)
        elif isinstance(event, Click):
            items = [event.item_id]
        elif isinstance(event, Search):
            items = [event.query]  # a search for words touches nothing that could be on a list
        elif isinstance(event, Feedback) and event.kind is FeedbackKind.LIKE:
            items = [event.item_id]
        else:
            return
        for item in items:
            session.touched.pop(item, None)
            session.touched[item] = 1 + next(reversed(session.touched.values()), 0)

    def _session(self, event: UserEvent, row: UserRow) -> _Session:
        name = event.session_id or row.session.start
        found = self._sessions.get(event.user_id)
        if found is None or found.name != name:
            self._opened += 1
            found = self._sessions[event.user_id] = _Session(name, self._opened)
        return found

    def _order(self, event: Purchase, session: _Session, chosen: frozenset[str]) -> None:
        """Order the list of a choice by each system, and note where that puts what was chosen."""
        shown, prices = _distinct(event)
        bought, touched = self._bought, session.touched
        places = range(len(shown))
        began = perf_counter_ns()
        learned = self._results.order(event.user_id, shown, prices, event.time)
        self._took.append(perf_counter_ns() - began)
        orders: dict[System, Sequence[int]] = {
            System.DISPLAYED: places,
            # stable, so that among equals the displayed order holds
            System.POPULARITY: sorted(places, key=lambda place: -bought[shown[place]]),
            System.LAST_TOUCHED: sorted(places, key=lambda place: -touched.get(shown[place], 0)),
            System.LEARNED: learned.tolist(),
        }
        for system, order in orders.items():
            found = (rank for rank, place in enumerate(order, start=1) if shown[place] in chosen)
            self._ranks[system].append(next(found, UNLISTED))
        self._of.append(self._shoppers.setdefault(event.user_id, len(self._shoppers)))
        self._session_of.append(session.number)
        self._touched.append(not touched.keys().isdisjoint(shown))
        self._shown += len(shown)

    def figures(self) -> RerankFigures:
        """Sum up what was taken so far.

        Raises
        ------
        UserError
            If nothing was chosen from a list.
        """
        choices = len(self._of)
        if not choices:
            said = ", ".join(f"{count} {what}" for what, count in self._log.events.items()) or "no rows"
            raise UserError(
                f"The log has no purchase that says what it was chosen from, in `shown` ({said}); check --format."
            )
        ranks = {system: np.array(found, np.int32) for system, found in self._ranks.items()}
        values = {
            system: np.stack([reciprocal_rank(one, _WHOLE_LIST), hit_rate(one, 1), hit_rate(one, 3)], axis=1)
            for system, one in ranks.items()
        }
        return RerankFigures(
            events=dict(sorted(self._log.events.items())),
            length=round(self._shown / choices, 3),
            outside=int(np.count_nonzero(ranks[System.DISPLAYED] == UNLISTED)),
            splits=self._by_split(values),
            course={
                system: [
                    round(float(part[:, 0].mean()), 6) for part in np.array_split(of, min(PARTS, choices))
                ]
                for system, of in values.items()
            },
            ms=milliseconds(np.array(self._took)),
            memory=self._results.memory(),
        )

    def _by_split(self, values: dict[System, Values]) -> dict[Split, SplitFigures]:
        columns = np.hstack((*values.values(), values[System.LEARNED] - values[System.LAST_TOUCHED]))
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
                gain=figures[-1],
            )
        return splits

    def _masks(self) -> dict[Split, NDArray[np.bool_]]:
        touched = np.array(self._touched, np.bool_)
        # the first of each from behind
        _, last = np.unique(np.array(self._session_of)[::-1], return_index=True)
        is_last = np.zeros(len(touched), np.bool_)
        is_last[len(touched) - 1 - last] = True
        return {
            Split.ALL: np.ones(len(touched), np.bool_),
            Split.LAST: is_last,
            Split.TOUCHED: touched,
            Split.UNTOUCHED: ~touched,
        }


def _distinct(choice: Purchase) -> tuple[list[str], list[float]]:
    """The list that was chosen from, each item in its first place, and its prices where each has one."""
    shown, prices = choice.shown, choice.shown_prices
    if len(prices) != len(shown):
        return list(dict.fromkeys(shown)), []
    # the first price of an item, as it is seen last from behind
    priced = dict(zip(reversed(shown), reversed(prices), strict=True))
    names = list(dict.fromkeys(shown))
    return names, [priced[name] for name in names]
