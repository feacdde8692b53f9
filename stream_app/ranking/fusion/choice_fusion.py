"""The base of the learned fusions."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_ITEMS, NO_ITEM, Candidates, Context, Items, Model, Scores
from stream_app.models.estimator import Estimator
from stream_app.models.interaction_kinds import KIND_GROUPS, KIND_WEIGHTS
from stream_app.models.kernels.topk import top_k
from stream_app.models.model_set import ModelSet
from stream_app.models.model_state import Restorable, State
from stream_app.models.offset_sample import is_sampled
from stream_app.models.two_tower import TwoTower
from stream_app.ranking.fusion.rank_fusion import FusedList
from stream_app.ranking.fusion.softmax import SoftmaxRanker
from stream_app.ranking.fusion.trained_columns import join_columns, split_columns
from stream_app.ranking.kernels.listwise import probabilities, shifted_logits
from topics.records import Interaction, Reason

SAMPLING_SCHEDULE: Final = ((1_000, 1), (5_000, 4))
"""Up to which number of interactions one in how many is learned: choices are rare at first and plenty later."""

SAMPLING_INTERVAL: Final = 6
"""After the schedule, one interaction in this many is learned."""

OVERLOAD_INTERVAL: Final = 64
"""The same while the worker is overloaded."""

MIN_CHOICES: Final = 200
"""Choices that a ranker must have learned before its order is used."""

MAX_REPETITIONS: Final = 20.0
"""Decayed number of choices of an item by a user from which on a further one is not learned.

Of 906,140 clicks of Diginetica 2 are such choices. One user's hundreds of clicks on an item would teach a ranker
to put it first for all.
"""

Proposal = tuple[Model, Candidates]


class Shortlist(NamedTuple):
    """Candidates with their features."""

    items: Items  # shape (n,): items that may be listed
    matrix: NDArray[np.float32]  # shape (n, features): valid until the next shortlist


class ChoiceFusion(Estimator, Restorable):
    """Orders candidates by a softmax over their features, learned from the users' choices.

    It learns one choice at a time, as part of the fold: before an interaction reaches the models, the shortlist for
    the user is computed, and the ranker learns the chosen item. A choice costs as much as ranking a list, so all are
    learned only at first, then one in several (`SAMPLING_SCHEDULE`), and fewer of those while the worker is
    overloaded. They are sampled by offset: every replica and every replay samples the same ones otherwise. Of a user
    who chooses an item again and again, `MAX_REPETITIONS` choices of it are learned.

    Parameters
    ----------
    models
        Models whose candidates are fused.
    ranker
        Scores rows of features.
    names
        Names of the features.
    per_source
        Candidates from each source.
    apart
        Columns of models that can be switched on and off, see `stream_app.ranking.fusion.trained_columns`.

    Attributes
    ----------
    policy
        Name of the order in published lists.
    name
        Name among the learners of the models, the same for all fusions.
    """

    policy: ClassVar[str]
    name: ClassVar[str] = "fusion"

    def __init__(
        self,
        models: ModelSet,
        ranker: SoftmaxRanker,
        names: Sequence[str],
        per_source: int,
        apart: Sequence[int] = (),
    ) -> None:
        self._models = models
        self._two_tower = next((model for model in models.models if isinstance(model, TwoTower)), None)
        self._apart = tuple(apart)
        self._index = models.index
        self.ranker = ranker
        self.names = tuple(names)
        self._per_source = per_source
        self._interactions_seen = 0

    def _get_params(self) -> dict[str, Any]:
        """Hyperparameters; the models are those of the set that the fusion is part of."""
        return {"per_source": self._per_source, "seed": self.ranker.parameters["seed"]}

    def clone(self, new_params: Mapping[str, Any] | None = None, include_attributes: bool = False) -> Self:
        """Make a fusion of the same models that has learned nothing; see `Estimator.clone`."""
        if include_attributes:
            return super().clone(new_params, include_attributes=True)
        return type(self)(self._models, **self._cloned_params(new_params))

    def shortlist(
        self, context: Context, proposals: Sequence[Proposal], allowed: NDArray[np.bool_]
    ) -> Shortlist:
        """Join the best candidates of all sources, with their features."""
        raise NotImplementedError

    def uses_candidates_of(self, model: Model) -> bool:
        """Whether a model is a source."""
        raise NotImplementedError

    def is_fallback_source(self, model: Model) -> bool:
        """Whether a model is a source of the lists that rank fusion orders because this fusion cannot."""
        return True

    def attribute_sources(
        self, listed_items: Items, proposals: Sequence[Proposal]
    ) -> tuple[NDArray[np.int64], Items]:
        """Attribute each listed item to a source, below 0 for none of the proposals, with its evidence."""
        raise NotImplementedError

    def explain(self, source: int, evidence: int) -> Reason:
        """Explain an item that is attributed to none of the proposals, by its negative source number."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether the ranker has learned enough choices."""
        return self.ranker.choices >= MIN_CHOICES

    def proposals(self, context: Context) -> list[Proposal]:
        """Collect the candidates of the sources."""
        return [
            (model, model.candidates(context, self._per_source))
            for model in self._models.models
            if self.uses_candidates_of(model)
        ]

    def on_interaction(self, interaction: Interaction) -> None:
        """Learn the choice of an interaction, if it is sampled."""
        if KIND_WEIGHTS.get(interaction.kind, 0.0) <= 0 or not self.is_sampled(interaction):
            return
        context = self._models.context_from_tracker(interaction.user_id, interaction.segments)
        item = self._index.find(interaction.lines[0].item_id) if interaction.lines else NO_ITEM
        if item >= 0 and len(context.items) and not self._is_repeated(interaction, item):
            self.learn_choice(context, item)

    def _is_repeated(self, interaction: Interaction, item: int) -> bool:
        tracker, group = self._models.tracker, KIND_GROUPS[interaction.kind]
        return item in tracker.frequent_choices(interaction.user_id, interaction.ts, group, MAX_REPETITIONS)

    def is_sampled(self, interaction: Interaction) -> bool:
        """Whether an interaction is learned; depends on the interactions so far, the offset, and overload."""
        self._interactions_seen += 1
        one_in = OVERLOAD_INTERVAL if self._models.is_overloaded else SAMPLING_INTERVAL
        for limit, early_interval in SAMPLING_SCHEDULE:
            if self._interactions_seen <= limit:
                one_in = early_interval
                break
        return is_sampled(interaction.offset, one_in)

    def learn_choice(self, context: Context, item: int) -> None:
        """Learn that a user in `context` chose `item`."""
        shortlist = self.shortlist(context, self.proposals(context), self._index.available)
        ranks = np.flatnonzero(shortlist.items == item)
        if len(ranks) and len(shortlist.items) > 1:
            self._learn_row(shortlist, int(ranks[0]))

    @property
    def _is_untrained(self) -> bool:
        """Whether the two-tower model has no weights yet, or does not run."""
        return self._two_tower is None or not self._two_tower.version

    def _learn_row(self, shortlist: Shortlist, row: int) -> None:
        self.ranker.is_late_idle = self._is_untrained
        self.ranker.learn(shortlist.matrix, row)

    def score(
        self, context: Context, proposals: Sequence[Proposal], allowed: NDArray[np.bool_]
    ) -> tuple[Items, Scores]:
        """Score the items that may be listed, in no order.

        Parameters
        ----------
        allowed : ndarray of bool, shape (n_items,)
            Whether an item may be listed.

        Returns
        -------
        items : ndarray of int32, shape (n,)
        scores : ndarray of float32, shape (n,)
            Logarithms of probabilities, up to a constant. Valid until the next call.
        """
        shortlist = self.shortlist(context, proposals, allowed)
        return shortlist.items, self.ranker.score(shortlist.matrix)

    def fuse(
        self, context: Context, proposals: Sequence[Proposal], length: int, *, allowed: NDArray[np.bool_]
    ) -> FusedList:
        """Rank the best items; their scores are the probabilities that they are chosen next."""
        items, scores = self.score(context, proposals, allowed)
        if not len(items):
            return FusedList(EMPTY_ITEMS, np.zeros(0), np.zeros(0, np.int64), EMPTY_ITEMS)
        listed_items, top_scores = np.empty(length, np.int32), np.empty(length, np.float32)
        values = np.empty(len(items), np.float32)
        log_normalizer = shifted_logits(scores, values)
        n = top_k(items, values, len(items), self._index.hashes, length, listed_items, top_scores)
        listed_items, out = listed_items[:n], np.empty(n)
        probabilities(top_scores[:n], log_normalizer, out)
        return FusedList(listed_items, out, *self.attribute_sources(listed_items, proposals))

    def forget_user(self, user: str) -> None:
        """Do nothing: no state is per user."""

    def forget_items(self, items: Items) -> None:
        """Do nothing: no state is per item."""

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.policy, {"names": [name for at, name in enumerate(self.names) if at not in self._apart]}

    def _get_state(self) -> State:
        state: State = {"ranker": self.ranker.state(), "seen": self._interactions_seen}
        if self._apart:
            state["ranker"], state["apart"] = split_columns(state["ranker"], self.names, self._apart)
        return state

    def _set_state(self, state: Mapping[str, Any]) -> None:
        ranker = state["ranker"]
        if self._apart:
            ranker = join_columns(ranker, state.get("apart", {}), self.names, self._apart)
        self.ranker.restore(ranker)
        self._interactions_seen = int(state["seen"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return self.ranker.memory()
