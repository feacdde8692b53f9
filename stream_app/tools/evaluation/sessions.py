"""Next-click prediction on sessions: each model alone and the fused ranker, frozen and learning on.

The protocol of the session-based literature: after clicks 1..t of a test session, click t+1 is to be named among
all items. Every session is a shopper of its own; learning and ranking are the workers' own.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from time import perf_counter_ns
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Context, Items, Model
from stream_app.models.model_set import CONTEXT, ModelSet
from stream_app.ranking.ranker import Ranker
from stream_app.tools.evaluation.progress import Watch, unwatched
from stream_app.tools.evaluation.session_files import Visit
from stream_app.tools.evaluation.statistics import (
    Bootstrap,
    Interval,
    Milliseconds,
    Ranks,
    hit_rate,
    milliseconds,
    ranks_of,
    reciprocal_rank,
)

FUSED: Final = "fused"
"""Name of the ranker among the models."""

LONGEST_PREFIX: Final = 10
"""Prefixes of this length and longer are reported together."""

_EMPTY: Final = (
    -2
)  # fills up short lists: no item, and not NO_ITEM either, which stands for an unknown choice
_CHUNK: Final = 4_096

Ask = Callable[[Context], Items]


class Mode(StrEnum):
    """Whether test sessions are learned."""

    FROZEN = "frozen"
    """Nothing is learned after train."""

    PREQUENTIAL = "prequential"
    """Each test session is learned, whole, after its last click was predicted."""


class PrefixFigures(msgspec.Struct, frozen=True):
    """Figures of the predictions made from so many clicks (`LONGEST_PREFIX`: so many or more)."""

    clicks: int
    predictions: int
    hr: float
    mrr: float


class SystemFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How one model, or the fused ranker, did in one mode.

    Attributes
    ----------
    hr, mrr
        Hit rate and mean reciprocal rank, by cut-off.
    hr_interval, mrr_interval
        95 % intervals at the largest cut-off, of sessions drawn anew.
    coverage
        Share of the catalogue (the items known in the end) that was on any list, cut at the largest cut-off.
    mean_popularity
        Mean over everything listed of the item's clicks in train, over those of the most clicked item.
    listed
        Mean length of a list, at most the largest cut-off.
    ms
        Wall time of one prediction.
    by_prefix
        Hit rate and mean reciprocal rank at the largest cut-off, by the number of clicks predicted from.
    """

    hr: dict[int, float]
    mrr: dict[int, float]
    hr_interval: Interval
    mrr_interval: Interval
    coverage: float
    mean_popularity: float
    listed: float
    ms: Milliseconds
    by_prefix: list[PrefixFigures]


class ModeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass over the test sessions came to.

    Attributes
    ----------
    predictions
        How many each system made.
    seconds
        Of wall time, learning included.
    systems
        By name: the models, and `FUSED`.
    """

    predictions: int
    seconds: float
    systems: dict[str, SystemFigures]


class _Lists:
    """Sums up the lists of one system while they come."""

    def __init__(self, ask: Ask, length: int, predictions: int) -> None:
        self.ask = ask
        self.ranks: Ranks = np.zeros(predictions, np.int32)
        self.took: NDArray[np.int64] = np.zeros(predictions, np.int64)
        self.listings: NDArray[np.int64] = np.zeros(0, np.int64)
        self._rows: Items = np.empty((_CHUNK, length), np.int32)
        self._chosen: Items = np.empty(_CHUNK, np.int32)
        self._length = length
        self._held = 0
        self._done = 0

    def predict(self, context: Context, chosen: int) -> None:
        """Ask for a list, which is to name `chosen`."""
        began = perf_counter_ns()
        items = self.ask(context)
        self.took[self._done + self._held] = perf_counter_ns() - began
        row = self._rows[self._held]
        size = min(len(items), self._length)
        row[:size] = items[:size]
        row[size:] = _EMPTY
        self._chosen[self._held] = chosen
        self._held += 1
        if self._held == _CHUNK:
            self.flush()

    def flush(self) -> None:
        rows = self._rows[: self._held]
        self.ranks[self._done : self._done + self._held] = ranks_of(rows, self._chosen[: self._held])
        counts = np.bincount(rows[rows != _EMPTY], minlength=len(self.listings))
        counts[: len(self.listings)] += self.listings
        self.listings = counts
        self._done += self._held
        self._held = 0


class SessionsEvaluation:
    """Learns train sessions, then predicts test sessions.

    Parameters
    ----------
    models
        Measured each alone.
    ranker
        The ranker over these models, which is measured as `FUSED` and then does the learning; None leaves it out.
    cutoffs
        Places counted, k.
    min_prefix
        Clicks of a session that are given before the first prediction.
    alone
        Whether each model is measured alone.
    watch
        Opens progress bars.

    Examples
    --------
    In a shop where b always follows a, counting learns to say so:

    >>> from stream_app.tools.evaluation.session_files import SessionClock
    >>> from stream_app.models.model_set import ModelSet
    >>> evaluation = SessionsEvaluation(ModelSet(["item_to_item"]), cutoffs=(1, 20))
    >>> clock = SessionClock(1000)
    >>> evaluation.learn([clock.visit(["a", "b"]) for _ in range(5)])
    >>> figures = evaluation.evaluate([clock.visit(["a", "b"])], Mode.FROZEN)
    >>> figures.predictions, figures.systems["item_to_item"].hr
    (1, {1: 1.0, 20: 1.0})
    """

    def __init__(
        self,
        models: ModelSet,
        ranker: Ranker | None = None,
        *,
        cutoffs: Sequence[int] = (5, 10, 20),
        min_prefix: int = 1,
        alone: bool = True,
        watch: Watch = unwatched,
    ) -> None:
        self._alone: Final = alone
        self._models: Final = models
        self._ranker: Final = ranker
        self._learn: Final = models.learn if ranker is None else ranker.learn
        self._cutoffs: Final = sorted(cutoffs)
        self._min_prefix: Final = min_prefix
        self._watch: Final = watch
        self._clicks: dict[str, int] = {}

    def learn(self, train: Sequence[Visit]) -> None:
        """Learn sessions, click by click."""
        learn, clicks = self._learn, self._clicks
        with self._watch("learning train", len(train)) as tell:
            for done, visit in enumerate(train, start=1):
                for interaction in visit.interactions():
                    learn(interaction)
                for item in visit.items:
                    clicks[item] = clicks.get(item, 0) + 1
                tell(done)

    def evaluate(self, test: Sequence[Visit], mode: Mode) -> ModeFigures:
        """Predict the clicks of test sessions.

        Parameters
        ----------
        test
            In the order of time, after everything learned.
        mode
            Whether each is learned after it was predicted. A frozen pass leaves models and fusion as they were.
        """
        began = perf_counter_ns()
        models = self._models
        most = self._cutoffs[-1]
        predictions = sum(max(0, len(visit.items) - self._min_prefix) for visit in test)
        systems = {name: _Lists(ask, most, predictions) for name, ask in self._systems(most).items()}
        lists = list(systems.values())
        sessions = np.empty(predictions, np.int64)
        prefixes = np.empty(predictions, np.int64)
        find, learn = models.index.find, self._learn
        made = 0
        with self._watch(f"predicting, {mode}", len(test)) as tell:
            for session, visit in enumerate(test):
                user, ids, times = visit.user, visit.items, visit.times
                for clicks in range(self._min_prefix, len(ids)):
                    start = max(0, clicks - CONTEXT)
                    context = models.context(
                        user, ids[start:clicks], times[start:clicks], 0, (), times[clicks - 1]
                    )
                    chosen = find(ids[clicks])
                    for each in lists:
                        each.predict(context, chosen)
                    sessions[made] = session
                    prefixes[made] = clicks
                    made += 1
                if mode is Mode.PREQUENTIAL:
                    for interaction in visit.interactions():
                        learn(interaction)
                tell(session + 1)
        for each in lists:
            each.flush()
        bootstrap = Bootstrap(sessions)
        popularity = self._popularity()
        return ModeFigures(
            predictions=predictions,
            seconds=round((perf_counter_ns() - began) / 1e9, 3),
            systems={
                name: self._figures(each, prefixes, popularity, bootstrap) for name, each in systems.items()
            },
        )

    def _systems(self, length: int) -> Mapping[str, Ask]:
        def alone(model: Model) -> Ask:
            return lambda context: model.candidates(context, length).items

        systems = {model.name: alone(model) for model in self._models.models if self._alone}
        if (ranker := self._ranker) is not None:
            systems[FUSED] = lambda context: ranker.fuse(context, length).items
        return systems

    def _popularity(self) -> NDArray[np.float64]:
        index = self._models.index
        popularity = np.zeros(index.size)
        for item, clicks in self._clicks.items():
            at = index.find(item)
            if at >= 0:
                popularity[at] = clicks
        return popularity / max(1.0, max(self._clicks.values(), default=1))

    def _figures(
        self,
        lists: _Lists,
        prefixes: NDArray[np.int64],
        popularity: NDArray[np.float64],
        bootstrap: Bootstrap,
    ) -> SystemFigures:
        ranks, most, listings = lists.ranks, self._cutoffs[-1], lists.listings
        hr, mrr = hit_rate(ranks, most), reciprocal_rank(ranks, most)
        hr_interval, mrr_interval = bootstrap.intervals(np.stack((hr, mrr), axis=1))
        longest = max(LONGEST_PREFIX, self._min_prefix)
        known = len(self._models.index)
        return SystemFigures(
            hr={k: _rounded(hit_rate(ranks, k).mean()) for k in self._cutoffs},
            mrr={k: _rounded(reciprocal_rank(ranks, k).mean()) for k in self._cutoffs},
            hr_interval=hr_interval.rounded(),
            mrr_interval=mrr_interval.rounded(),
            coverage=_rounded(np.count_nonzero(listings) / max(1, known)),
            mean_popularity=_rounded(listings @ popularity[: len(listings)] / max(1, listings.sum())),
            listed=_rounded(listings.sum() / len(ranks)),
            ms=milliseconds(lists.took),
            by_prefix=[
                PrefixFigures(clicks, int(of.sum()), _rounded(hr[of].mean()), _rounded(mrr[of].mean()))
                for clicks in range(self._min_prefix, longest + 1)
                if (of := prefixes == clicks if clicks < longest else prefixes >= clicks).any()
            ],
        )


def _rounded(figure: float) -> float:
    return round(float(figure), 6)
