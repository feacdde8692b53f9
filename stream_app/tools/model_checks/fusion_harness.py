"""One fusion over a few models, with users who go on along a ring of items."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from stream_app.errors import UserError
from stream_app.models.base import Context
from stream_app.models.model_set import ModelSet
from stream_app.models.plugins import FUSIONS as PLUGIN_FUSIONS
from stream_app.models.plugins import is_registered, registered_names
from stream_app.ranking.assembly import FUSION, make_models
from stream_app.ranking.config import FUSIONS, ModelsConfig, RankingConfig
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion
from stream_app.ranking.fusion.rank_fusion import FusedList
from topics.records import Interaction, Kind, Line, Source

MODELS: Final = ("popularity", "item_to_item", "session_knn", "item_vectors")
N_ITEMS: Final = 40
_STEPS: Final = 4


class FusionHarness:
    """One fusion, and the models that it fuses.

    Parameters
    ----------
    name
        Of the fusion.
    overrides
        Its hyperparameters, as of ``fusion`` in ``HEADRACE_MODEL_PARAMETERS``.

    Raises
    ------
    UserError
        If there is no such fusion, or it learns nothing.
    """

    def __init__(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        if name not in FUSIONS and not is_registered(PLUGIN_FUSIONS, name):
            known = ", ".join([*FUSIONS, *registered_names(PLUGIN_FUSIONS)])
            raise UserError(f"There is no fusion {name!r}; there are {known}.")
        config = ModelsConfig(
            names=list(MODELS), parameters={FUSION: overrides or {}}, max_items=500, max_users=500
        )
        self.models: ModelSet = make_models(
            RankingConfig(models=config, fusion=name, policies={"fixed": 1.0})
        )
        found = self.models.learner(ChoiceFusion)
        if found is None:
            learned = ", ".join(each for each in FUSIONS if each not in ("rrf", "borda"))
            raise UserError(
                f"fusion:{name} learns nothing; the checks are for {learned} and those of packages."
            )
        self.fusion: ChoiceFusion = found
        self._offset = 0
        self._n_sessions = 0

    def learn(self, sessions: int, seed: int = 1) -> "FusionHarness":
        """Learn sessions along the ring, by users who sometimes go on to the most popular item."""
        rng = np.random.default_rng(seed)
        for _ in range(sessions):
            at, ts = int(rng.integers(N_ITEMS)), 10_000.0 + 600.0 * self._n_sessions
            for step in range(_STEPS):
                item = "hit" if rng.random() < 0.3 else f"i{(at + step) % N_ITEMS}"
                self._click(f"u{self._n_sessions % 200}", item, ts + 20.0 * step)
            self._n_sessions += 1
        return self

    def _click(self, user: str, item: str, ts: float) -> None:
        self.models.learn(Interaction(Source.CLICK, 0, self._offset, ts, user, Kind.VIEW, (Line(item),)))
        self._offset += 1

    def contexts(self) -> list[Context]:
        """Contexts of users with and without a history."""
        histories: Sequence[Sequence[str]] = (
            ["i1", "i2"],
            ["i38", "i39", "hit"],
            ["i5"],
            ["no such item"],
            [],
        )
        return [self._context(history) for history in histories]

    def _context(self, history: Sequence[str]) -> Context:
        items = np.array([self.models.index.find(item) for item in history], np.int32)
        times = 1e6 + 20.0 * np.arange(len(items), dtype=np.float64)
        return Context("somebody", items[items >= 0], times[items >= 0], 0, (), 1e6 + 200.0)

    def lists(self, length: int = 10, without: Sequence[str] = ()) -> list[FusedList]:
        """The fused lists of all contexts.

        Parameters
        ----------
        without
            Items that may not be listed.
        """
        allowed = self.models.index.available.copy()
        allowed[[self.models.index.find(item) for item in without]] = False
        return [
            self.fusion.fuse(context, self.fusion.proposals(context), length, allowed=allowed)
            for context in self.contexts()
        ]

    def named_lists(self, length: int = 10) -> list[list[tuple[str, float]]]:
        """The lists by ids, with their scores."""
        ids = self.models.index.ids_of
        return [
            list(zip(ids(each.items.tolist()), each.scores.tolist(), strict=True))
            for each in self.lists(length)
        ]
