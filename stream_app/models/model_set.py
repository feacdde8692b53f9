"""The models of a replica, which share one item index, one session tracker and one set of watermarks."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import numpy as np
from msgspec.structs import replace

from stream_app.models import registry
from stream_app.models.base import NO_ITEM, Candidates, Context, Items, Model, Observation
from stream_app.models.decay_clock import DecayClock
from stream_app.models.digest import digest
from stream_app.models.fold_progress import FoldProgress
from stream_app.models.id_entrance import CONTEXT_LENGTH
from stream_app.models.interaction_kinds import KIND_GROUPS, KIND_HEADS, KIND_STREAMS, KIND_WEIGHTS
from stream_app.models.item_index import ItemIndex
from stream_app.models.learners import CatalogLearner, Learner, RewardLearner, TextHolder, learns_rewards
from stream_app.models.model_state import MIGRATIONS, VERSIONS, Restorable, State
from stream_app.models.offset_sample import is_sampled
from stream_app.models.outliers import OutlierFilter
from stream_app.models.popularity import Popularity
from stream_app.models.repeated_choices import MAX_CHOICES
from stream_app.models.search import SearchModel
from stream_app.models.session_tracker import EventStream, SessionTracker
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Reward, RewardKind

L = TypeVar("L")

OVERLOAD_SAMPLE: Final = 4
"""Under overload, models that learn a sample learn one interaction in this many."""


class ModelSet(FoldProgress, Restorable):
    """Everything a replica learns, folded from interactions; with how far it was folded.

    Parameters
    ----------
    names
        Models to run.
    max_items, max_users
        Largest number of items and of users.
    half_life
        Seconds in which a count loses half its weight.
    session_gap
        Seconds of inactivity that close a session.
    outlier_z
        |z| of the log price or log quantity above which an order line is not learned; 0 learns all lines.
    seed
        Seed of initial vectors and of samples.
    overrides
        Hyperparameters of single models, by model and name; they take precedence.

    Attributes
    ----------
    index
        The items.
    outliers
        Filter of order lines.
    models
        The models, in the order of the names.
    sources
        The models whose candidates are fused.
    learners
        Other components that learn from the same fold, in the order in which they learn; names are unique. Append
        to it before anything is learned or restored.
    decay_clocks
        The time by which counts lose weight: of ``interactions`` by event time, of ``rewards`` by the broker's.
    is_index_fixed
        Whether items that the index does not know are skipped, so that the integers of all items stay.
    is_overloaded
        Whether models whose learning costs much learn a sample of the interactions.
    n_unlearned
        Interactions with items that these models did not learn.

    Raises
    ------
    UserError
        If a model does not exist, or does not accept a parameter of `overrides`.

    Examples
    --------
    >>> from topics.records import Line, Source
    >>> models = ModelSet(["item_to_item"])
    >>> views = [("ann", "shoe"), ("ann", "sock"), ("bob", "shoe")]
    >>> for offset, (user, item) in enumerate(views):
    ...     view = Interaction(Source.CLICK, 0, offset, 60.0 * offset, user, Kind.VIEW, (Line(item),))
    ...     _ = models.learn(view)
    >>> context = models.context("bob", ["shoe"], [120.0], 0, (), 120.0)
    >>> [(model, proposed)] = models.candidates(context, k=10)
    >>> [models.index.id_of(item) for item in proposed.items]
    ['sock']

    An interaction that was folded before changes nothing:

    >>> models.learn(Interaction(Source.CLICK, 0, 1, 60.0, "ann", Kind.VIEW, (Line("sock"),)))
    False
    >>> models.version
    3
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        max_items: int = 200_000,
        max_users: int = 200_000,
        half_life: float = 86_400.0,
        session_gap: float = 1800.0,
        outlier_z: float = 6.0,
        seed: int = 7,
        overrides: registry.Overrides | None = None,
    ) -> None:
        super().__init__()
        self._parameters = {
            "names": list(names),
            "max_items": max_items,
            "max_users": max_users,
            "half_life": half_life,
            "session_gap": session_gap,
            "outlier_z": outlier_z,
            "seed": seed,
        }
        self.index = ItemIndex(max_items, self._forget_items)
        self.tracker = SessionTracker(self.index, gap=session_gap, max_users=max_users, half_life=half_life)
        self.outliers = OutlierFilter(threshold=outlier_z)
        self.models = registry.create(
            names, self.index, overrides=overrides, max_users=max_users, half_life=half_life, seed=seed
        )
        # a model that a trainer learns can be switched on and off: no saved state has anything of it
        trained_apart = {each.name for each in self.models if each.is_trained_apart}
        self._parameters["names"] = [name for name in names if name not in trained_apart]
        self.sources = [model for model in self.models if not model.only_orders] or self.models
        self._novelty_models = [model for model in self.models if model.weighs_novelty]
        # without those that learn a sample under overload
        self._eager_models = [model for model in self.models if not model.learns_sample_under_load]
        self._eager_novelty_models = [model for model in self._novelty_models if model in self._eager_models]
        self.decay_clocks = {"interactions": self.index.decay_clock, "rewards": DecayClock()}
        self.learners: list[Learner] = []
        self.is_index_fixed = False
        self.is_overloaded = False
        self.n_unlearned = 0

    def learn(self, interaction: Interaction) -> bool:
        """Fold an interaction into every model.

        Returns
        -------
        bool
            False if the offset is at or below the watermark of the source partition; nothing has changed then.
        """
        if not self.advance(interaction):
            return False
        kind, ts, user = interaction.kind, interaction.ts, interaction.user_id
        if kind is Kind.ERASE:
            self.forget_user(user)
            return True
        if kind is Kind.PURCHASE:
            inliers = self.outliers.filter_lines(interaction.lines, user, ts)
            if len(inliers) < len(interaction.lines):
                interaction = replace(interaction, lines=tuple(inliers))
        for learner in self.learners:
            learner.on_interaction(interaction)
        if kind is Kind.SEARCH:
            self.tracker.search(user, interaction.query, ts)
            for model in self.models:
                model.learn_query(user, interaction.query, ts)
            return True
        weight = KIND_WEIGHTS.get(kind)
        if weight is not None:
            self._fold_lines(interaction, weight)
        return True

    def learn_reward(self, reward: Reward) -> bool:
        """Fold a reward into the learners that learn from rewards.

        An erasure makes them forget the user again: rewards and interactions are read in no common order, so rewards
        from before the erasure may have been folded after the interaction that erased the user.

        Returns
        -------
        bool
            False if the offset is at or below the watermark of the source partition; nothing has changed then.
        """
        if not self.advance_rewards(reward):
            return False
        for learner in self.learners:
            if learns_rewards(learner):
                if reward.kind is RewardKind.ERASURE:
                    learner.forget_user(reward.user_id)
                else:
                    cast("RewardLearner", learner).on_reward(reward)
        return True

    def _fold_lines(self, interaction: Interaction, weight: float) -> None:
        kind, ts, user = interaction.kind, interaction.ts, interaction.user_id
        stream = KIND_STREAMS.get(kind)
        query = interaction.query or self.tracker.query(user, ts)
        first_choices, every_choice = self.models, self._novelty_models
        if self.is_overloaded and not is_sampled(interaction.offset, OVERLOAD_SAMPLE):
            first_choices, every_choice = self._eager_models, self._eager_novelty_models
            self.n_unlearned += len(first_choices) < len(self.models)
        for line in interaction.lines:
            if self.is_index_fixed and self.index.find(line.item_id) == NO_ITEM:
                continue
            item = self.index.index(line.item_id, ts)
            is_first = stream is EventStream.VIEWS and not self.tracker.n_views(user)
            if stream is None:
                tracked = self.tracker.track_session(user, ts)
            else:
                tracked = self.tracker.observe(user, item, ts, stream, KIND_HEADS[kind])
            segments = self.index.with_categories(interaction.segments, item)
            novelty, n_before = self.tracker.count_choice(user, item, ts, weight, KIND_GROUPS[kind])
            observation = Observation(
                user, item, ts, kind, weight, segments, *tracked, query, novelty, is_first
            )
            self.index.update_first_seen(item, ts)
            for model in first_choices if n_before < MAX_CHOICES else every_choice:
                model.learn(observation)

    def learner(self, kind: type[L]) -> L | None:
        """The learner of a class; None if there is none."""
        return next((each for each in self.learners if isinstance(each, kind)), None)

    def context_from_tracker(self, user: str, segments: tuple[str, ...]) -> Context:
        """Context of a user after the last interaction folded."""
        items, times, start, now, heads = self.tracker.history(user, CONTEXT_LENGTH)
        session = self.tracker.current_session(user, now)
        query = self.tracker.query(user, now)
        return Context(user, items, times, start, segments, now, session, query, heads)

    def learn_catalog(self, event: CatalogItem) -> bool:
        """Learn the catalog entry of an item; a full index accepts known items only.

        Otherwise a catalog larger than the index would evict the items that users interact with.

        Returns
        -------
        bool
            Whether the availability of a known item has changed, so that lists with it are stale.
        """
        change = self.index.learn_entry(event, may_add=not self.is_index_fixed)
        if change is None:
            return False
        if change.is_newer:
            for model in self.models:
                model.learn_catalog(change.item, event)
            for learner in self.learners:
                if isinstance(learner, CatalogLearner):
                    learner.on_catalog(event)
        return change.is_stale

    def forget_user(self, user: str) -> None:
        """Drop the data of a user; their share of sums over all users stays."""
        self.tracker.forget_user(user)
        self.outliers.forget_user(user)
        for learner in self.learners:
            learner.forget_user(user)
        for model in self.models:
            model.forget_user(user)

    def forget_private_texts(self) -> None:
        """Drop the texts that are not known to be of several users: one of them may be of an erased user."""
        for each in (*self.learners, *self.models):
            if isinstance(each, TextHolder):
                each.forget_private_texts()

    def pop_withdrawn_queries(self) -> list[str]:
        """Remove and return the queries whose lists must be deleted, because of erasures since the last call."""
        models = [model for model in self.models if isinstance(model, SearchModel)]
        return [query for model in models for query in model.pop_withdrawn_texts()]

    def context(
        self,
        user: str,
        item_ids: Sequence[str],
        times: Sequence[float],
        session_start: int,
        segments: tuple[str, ...],
        now: float,
        query: str = "",
        kinds: Sequence[Kind] = (),
    ) -> Context:
        """Make a context from item ids.

        Parameters
        ----------
        user
            Id of the user, or the empty string.
        item_ids, times
            Recent items and their event times, oldest first.
        session_start
            Position in `item_ids` at which the current session begins.
        segments
            Segments of the user besides ``all``.
        now
            Event time of the user's last event, seconds since the epoch.
        kinds
            What the user did with each item; empty if unknown.
        """
        return Context(
            user,
            np.array(self.index.find_all(item_ids), np.int32),
            np.array(times, np.float64),
            session_start,
            segments,
            now,
            self.tracker.current_session(user, now),
            query,
            np.array([KIND_HEADS[kind] for kind in kinds], np.int32),
        )

    def candidates(
        self, context: Context, k: int, subset: Sequence[Model] | None = None
    ) -> list[tuple[Model, Candidates]]:
        """The `k` best items of each model, or of each model in `subset`."""
        return [
            (model, model.candidates(context, k)) for model in (self.models if subset is None else subset)
        ]

    def related(
        self, context: Context, k: int, subset: Sequence[Model] | None = None
    ) -> list[tuple[Model, Candidates]]:
        """The candidates of the models that score by the context's items: related items."""
        return [
            (model, proposed)
            for model, proposed in self.candidates(context, k, subset)
            if len(proposed.evidence) and proposed.evidence[0] != NO_ITEM
        ]

    def item_context(self, item: str) -> Context:
        """Context of an item's page."""
        return self.context("", (item,), (self.newest,), 0, (), self.newest)

    def segments(self) -> list[str]:
        """Segments with a popularity list, without ``all``, sorted."""
        return [
            name for model in self.models if isinstance(model, Popularity) for name in model.segment_names()
        ]

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return "model_set", self._parameters

    def _get_state(self) -> State:
        return {
            **self.progress_state(),
            "decay": {name: clock.state() for name, clock in self.decay_clocks.items()},
            "index": self.index.state(),
            "tracker": self.tracker.state(),
            "outliers": self.outliers.state(),
            "models": {each.name: each.state() for each in self.models if not each.is_trained_apart},
            "learners": {each.name: each.state() for each in self.learners},
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        # the clocks before the sums that depend on them
        self.restore_progress(state)
        self.index.restore(state["index"])
        self.tracker.restore(state["tracker"])
        self.outliers.restore(state["outliers"])
        for model in self.models:
            model.restore(model.state() if model.is_trained_apart else state["models"][model.name])
        learner_states = state["learners"]
        for learner in self.learners:
            if learner.name not in learner_states:
                raise ValueError(f"model_set: the state has no learner {learner.name!r}")
            learner.restore(learner_states[learner.name])

    def restore_progress(self, state: Mapping[str, Any]) -> None:
        """Load the counters, watermarks and clocks of the result of `state`."""
        super().restore_progress(state)
        for name, clock_state in state["decay"].items():
            self.decay_clocks[name].restore(clock_state)

    def memory(self) -> dict[str, int]:
        """Bytes held by each part, to within a few percent."""
        parts = {"items": self.index.memory(), "sessions": self.tracker.memory()}
        parts["outliers"] = self.outliers.memory()
        parts |= {each.name: each.memory() for each in self.learners}
        return parts | {model.name: model.memory() for model in self.models}

    def digest(self) -> str:
        """Hash of the sums at the newest event time, see `stream_app.models.digest`."""
        return digest(self.models, self.index.hashes, self.newest)

    def _forget_items(self, items: Items) -> None:
        self.tracker.forget_items(items)
        for learner in self.learners:
            learner.forget_items(items)
        for model in self.models:
            model.forget_items(items)


VERSIONS["model_set"] = 3
MIGRATIONS["model_set", 2] = lambda state: {**state, "decay": {}}
