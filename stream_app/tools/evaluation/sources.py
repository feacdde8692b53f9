"""What each candidate source is worth to the learned fusion, and what it costs.

One set of models learns a log; several learned fusions learn along: one of all sources, one without each of them, and
one that pauses sources by itself. Their lists are compared choice by choice, so that the differences are paired.
"""

from collections.abc import Callable
from time import thread_time_ns
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.row import UserRow
from stream_app.errors import UserError
from stream_app.models.base import NO_ITEM, Context, Model
from stream_app.models.model_set import ModelSet
from stream_app.ranking.allowed_items import allowed_items
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.ranking.fusion.source_switch import SourceGain
from stream_app.tools.evaluation.bootstrap import ClusterBootstrap, ConfidenceInterval
from stream_app.tools.evaluation.log_evaluation import (
    LogEvaluation,
    choice_request,
    chosen_items,
    model_context,
)
from stream_app.tools.progress import OpenProgress, no_progress
from topics.events import UserEvent
from topics.records import Interaction

ALL: Final = "all sources"
SWITCHED: Final = "switched"


class SourceValue(msgspec.Struct, frozen=True, kw_only=True):
    """A fusion without one source, or with sources paused, compared with the fusion of all sources.

    Attributes
    ----------
    hit_rate, mrr
        Differences to all sources, list by list; below 0 where the source is worth something.
    list_us
        Mean CPU time of a list, microseconds.
    """

    hit_rate: ConfidenceInterval
    mrr: ConfidenceInterval
    list_us: float


class SourceCost(msgspec.Struct, frozen=True, kw_only=True):
    """Mean CPU time of a model in microseconds: learning one observation, and proposing candidates for one list."""

    learn_us: float
    candidates_us: float


class SourcesResults(msgspec.Struct, frozen=True, kw_only=True):
    """Results of a log.

    Attributes
    ----------
    lists
        Measured lists.
    hit_rate, mrr, list_us
        Of the fusion of all sources.
    without
        By source.
    switched
        The fusion that pauses sources by itself.
    gains
        What that fusion measured, by source.
    costs
        By model.
    """

    lists: int
    hit_rate: ConfidenceInterval
    mrr: ConfidenceInterval
    list_us: float
    without: dict[str, SourceValue]
    switched: SourceValue
    gains: dict[str, SourceGain]
    costs: dict[str, SourceCost]


class _Timer:
    """CPU time of calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._ns = self._calls = 0

    def __call__(self, *arguments: Any) -> Any:
        started = thread_time_ns()
        result = self._function(*arguments)
        self._ns += thread_time_ns() - started
        self._calls += 1
        return result

    @property
    def mean_us(self) -> float:
        return round(self._ns / 1e3 / max(1, self._calls), 2)


class SourceArms:
    """Fusions over the same models, each without one source.

    Parameters
    ----------
    models
        Learn the log; with models on the session store.
    k
        List length of the metrics.
    **parameters
        Of each `LearnedFusion`.

    Raises
    ------
    UserError
        If no model is on the session store.
    """

    def __init__(self, models: ModelSet, *, k: int, **parameters: Any) -> None:
        self._models, self._k = models, k
        # candidates are timed where a fusion collects them, so the wrappers come first
        self._timers = {
            model.name: (_timed(model, "learn"), _timed(model, "candidates")) for model in models.models
        }
        try:
            everything = LearnedFusion(models, switch_sources=False, **parameters)
        except ValueError as error:
            raise UserError(f"Sources are measured in the learned fusion: {error}.") from None
        self.sources: Final = [
            model.name for model in models.models if everything.uses_candidates_of(model) or model.only_orders
        ]
        self._arms = {
            ALL: everything,
            SWITCHED: LearnedFusion(models, **parameters),
            **{
                name: LearnedFusion(models, switch_sources=False, without=[name], **parameters)
                for name in self.sources
            },
        }
        self._ranks: list[list[int]] = []
        self._ns = dict.fromkeys(self._arms, 0)
        self._users: list[int] = []
        self._numbers: dict[str, int] = {}

    def learn(self, interaction: Interaction) -> None:
        """Let each fusion learn an interaction, and then the models."""
        for arm in self._arms.values():
            arm.on_interaction(interaction)
        self._models.learn(interaction)

    def measure(
        self, context: Context, chosen: frozenset[int], user: str, allowed: NDArray[np.bool_]
    ) -> None:
        """Compare the lists for a context with the items chosen next."""
        arms = list(self._arms.items())
        ranks = [0] * len(arms)
        # in turn, since the first list of a context finds a cold cache
        first = len(self._ranks) % len(arms)
        for at in (*range(first, len(arms)), *range(first)):
            name, arm = arms[at]
            started = thread_time_ns()
            listed = arm.fuse(context, arm.proposals(context), self._k, allowed=allowed).items
            self._ns[name] += thread_time_ns() - started
            ranks[at] = next((rank for rank, item in enumerate(listed.tolist(), 1) if item in chosen), 0)
        self._ranks.append(ranks)
        self._users.append(self._numbers.setdefault(user, len(self._numbers)))

    @property
    def ready(self) -> bool:
        """Whether the fusions have learned enough to be compared."""
        return self._arms[ALL].ready

    def results(self) -> SourcesResults:
        """Results so far.

        Raises
        ------
        UserError
            If no list was measured.
        """
        if not self._ranks:
            raise UserError("No list was measured: the log has too few choices.")
        ranks = np.array(self._ranks, np.float64)
        values = np.stack(
            (ranks > 0, np.divide(1.0, ranks, out=np.zeros_like(ranks), where=ranks > 0)), axis=2
        )
        # shape (lists, 2 * arms): of all sources, then the differences to it
        columns = np.concatenate((values[:, :1], values[:, 1:] - values[:, :1]), axis=1).reshape(
            len(ranks), -1
        )
        found = [each.rounded() for each in ClusterBootstrap(np.array(self._users)).intervals(columns)]
        pairs = dict(zip(self._arms, zip(found[::2], found[1::2], strict=True), strict=True))
        differences = {
            name: SourceValue(hit_rate=hit_rate, mrr=mrr, list_us=self._list_us(name))
            for name, (hit_rate, mrr) in pairs.items()
        }
        return SourcesResults(
            lists=len(ranks),
            hit_rate=pairs[ALL][0],
            mrr=pairs[ALL][1],
            list_us=self._list_us(ALL),
            without={name: differences[name] for name in self.sources},
            switched=differences[SWITCHED],
            gains=self._arms[SWITCHED].switch.gains(),
            costs={
                name: SourceCost(learn_us=learn.mean_us, candidates_us=candidates.mean_us)
                for name, (learn, candidates) in self._timers.items()
            },
        )

    def _list_us(self, arm: str) -> float:
        return round(self._ns[arm] / 1e3 / len(self._ranks), 1)


def _timed(model: Model, method: str) -> _Timer:
    timer = _Timer(getattr(model, method))
    setattr(model, method, timer)
    return timer


class EventSources(LogEvaluation[SourcesResults]):
    """Measure the sources along an event log.

    Parameters
    ----------
    arms
        Fusions over `models`.
    every
        One choice in this many is measured.
    """

    def __init__(
        self,
        models: ModelSet,
        arms: SourceArms,
        *,
        every: int,
        session_gap: float,
        open_progress: OpenProgress = no_progress,
    ) -> None:
        super().__init__(
            models, session_gap=session_gap, title="ranking and folding", open_progress=open_progress
        )
        self._arms = arms
        self._every = every
        self._n_choices = 0

    def learn(self, interaction: Interaction) -> None:
        """Let the fusions and the models learn."""
        self._arms.learn(interaction)

    def on_accepted(self, event: UserEvent, row_before: UserRow, row_after: UserRow) -> None:
        """Measure a choice of a user with a row."""
        del row_after
        chosen = chosen_items(event)
        if not chosen or not row_before.recent:
            return
        self._n_choices += 1
        if self._n_choices % self._every or not self._arms.ready:
            return
        models = self._models
        request = choice_request(event, row_before, models)
        context = model_context(models, request)
        positions = frozenset(position for position in map(models.index.find, chosen) if position != NO_ITEM)
        if len(context.items):
            with allowed_items(models.index, request.excluded) as allowed:
                self._arms.measure(context, positions, event.user_id, allowed)

    def results(self) -> SourcesResults:
        """Results so far."""
        return self._arms.results()
