"""The learned fusion: candidates of all sources, their features, a ranker that learns from choices."""

from collections.abc import Collection, Mapping, Sequence
from inspect import signature
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_CANDIDATES, Candidates, Context, Items, Model, Scores
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.item_vectors import ItemVectors
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.neighbor_scores import attribute_sources, shortlist
from stream_app.models.model_set import ModelSet
from stream_app.models.model_state import MIGRATIONS, VERSIONS, State
from stream_app.models.resident import resident_bytes
from stream_app.models.session_store import SessionStore
from stream_app.models.session_store_model import SessionStoreModel
from stream_app.models.trending import Trending
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion, Proposal, Shortlist
from stream_app.ranking.fusion.feature_blocks import (
    FEATURE_BLOCKS,
    CandidateBatch,
    FeatureBlock,
    FeatureSources,
    FeatureTable,
    proposal_block,
)
from stream_app.ranking.fusion.new_items import HiddenHistory, NewItemBonus
from stream_app.ranking.fusion.quotas import QUOTAS, best_candidates
from stream_app.ranking.fusion.rank_fusion import top_sources
from stream_app.ranking.fusion.softmax import SoftmaxRanker
from stream_app.ranking.fusion.source_switch import SourceSwitch, rank_value
from stream_app.ranking.fusion.trained_columns import (
    TRENDING_CANDIDATES,
    optional_columns,
    source_columns,
    trained_columns,
    without_columns,
)
from topics.records import Reason

MAX_CANDIDATES: Final = 512

TUNABLE_PARAMETERS: Final = ("hidden", "learning_rate", "output_learning_rate", "decay", "batch_size")
"""Names of the hyperparameters of the ranker."""

NO_SCORES: Final[Scores] = np.zeros(0, np.float32)


_REASON_BY_SOURCE: Final = {
    -1: "similar_sessions",
    -2: "viewed_before",
    -3: "viewed_next",
    -4: "also_viewed",
    -5: "related",
}
"""Reasons by the numbers of `attribute_sources`."""


class LearnedFusion(ChoiceFusion):
    """Fusion at the level of features: one ranker learns from the features of all sources.

    Each column of the session store gives features, each further model its score and rank, the catalog affinities
    and prices; see `stream_app.ranking.fusion.feature_blocks`.

    Parameters
    ----------
    models
        Models whose candidates are fused; one of them must be on the session store.
    per_source
        Candidates from each model that is not on the session store.
    seed
        Seed of the ranker's initial weights.
    hidden, learning_rate, output_learning_rate, decay, batch_size
        Of the ranker, see `stream_app.ranking.fusion.softmax.SoftmaxRanker`.
    new_item_bonus
        With the two-tower model: added to the score of an item without interactions whose content it knows, so that
        the item gets displayed at all; it multiplies the odds by exp(this).
    blocks
        The feature table.
    switch_sources
        Whether sources without a gain are paused, see `stream_app.ranking.fusion.source_switch`. The session store is
        always used.
    without
        Models that are no sources, though they are among the models.

    Attributes
    ----------
    switch
        The gain of each model that is not on the session store.

    Raises
    ------
    ValueError
        If no model is on the session store.
    """

    policy: ClassVar[str] = "learned"

    def __init__(
        self,
        models: ModelSet,
        *,
        per_source: int = 100,
        seed: int = 7,
        hidden: int = 15,
        learning_rate: float = 0.05,
        output_learning_rate: float = 0.015,
        decay: float = 0.0,
        batch_size: int = 4,
        new_item_bonus: float = 0.8,
        blocks: Sequence[FeatureBlock] = FEATURE_BLOCKS,
        switch_sources: bool = True,
        without: Collection[str] = (),
    ) -> None:
        store_models = [model for model in models.models if isinstance(model, SessionStoreModel)]
        if not store_models:
            raise ValueError("the learned fusion needs one of the models on the session store")
        self._vectors = next((model for model in store_models if isinstance(model, ItemVectors)), None)
        # by name: a list asks for each model, and an instance check of a River estimator takes long
        further_models = [
            model.name
            for model in models.sources
            if not isinstance(model, SessionStoreModel | ItemToItem) and model.name not in without
        ]
        self._further_models = frozenset(further_models)
        self._further = [model for model in models.models if model.name in self._further_models]
        used_blocks = [
            block
            for block in blocks
            if block.needs is None
            or any(isinstance(model, block.needs) and model.name not in without for model in models.models)
        ]
        self.table = FeatureTable([*used_blocks, proposal_block(further_models)])
        late = trained_columns(self.table, used_blocks, self._further)
        optional = optional_columns(self.table, used_blocks)
        apart = sorted({*late, *optional})
        ranker = SoftmaxRanker(
            self.table.width,
            seed=seed,
            hidden=hidden,
            learning_rate=learning_rate,
            output_learning_rate=output_learning_rate,
            decay=decay,
            batch_size=batch_size,
            late=late,
            optional=optional,
        )
        super().__init__(models, ranker, self.table.names, per_source, apart)
        self._blocks = tuple(blocks)
        self._without = tuple(without)
        self.switch = SourceSwitch(further_models, enabled=switch_sources)
        self._columns_of = source_columns(self.names, further_models)
        self._history = HiddenHistory(self.names, further_models)
        self._bonus = NewItemBonus(self.names, new_item_bonus)
        self._n_queried = self._n_shortlisted = 0
        self._store_source = store_models[0]
        self._store: SessionStore = store_models[0].store
        capacity = len(self._store.scratch.candidate_items)
        self._matrix = np.zeros((MAX_CANDIDATES, self.table.width), np.float32)
        self._shortlisted: Items = np.zeros(MAX_CANDIDATES, np.int32)
        self._sources = FeatureSources(
            models,
            self._store,
            self._vectors,
            self._two_tower,
            next((model for model in models.models if isinstance(model, Trending)), None),
            np.full(capacity, -1, np.int32),
            np.zeros(MAX_CANDIDATES, np.float32),
        )

    def _get_params(self) -> dict[str, Any]:
        tuned = {name: self.ranker.parameters[name] for name in TUNABLE_PARAMETERS}
        return {
            **super()._get_params(),
            **tuned,
            "new_item_bonus": self._bonus.bonus,
            "blocks": self._blocks,
            "switch_sources": self.switch.enabled,
            "without": self._without,
        }

    def __repr__(self) -> str:
        params = {name: value for name, value in self._get_params().items() if name != "blocks"}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in params.items())})"

    @classmethod
    def hyper_parameters(cls) -> dict[str, Any]:
        """Return the hyperparameters that can be set, with their defaults."""
        parameters, settable = signature(cls).parameters.values(), {*TUNABLE_PARAMETERS, "new_item_bonus"}
        return {each.name: each.default for each in parameters if each.name in settable}

    def uses_candidates_of(self, model: Model) -> bool:
        """Whether a model is a source of candidates.

        Models on the session store are not: their sums are read from the store. Item-to-item is not: the store has
        the same co-visits in more detail.
        """
        return model.name in self._further_models

    def proposals(self, context: Context) -> list[Proposal]:
        """Collect the candidates of the sources; paused ones propose none."""
        return self._collect(context, self.switch.paused)

    def _collect(self, context: Context, paused: frozenset[str]) -> list[Proposal]:
        # the features of a source are in columns by its position, which it keeps while it is paused
        return [
            (
                model,
                EMPTY_CANDIDATES if model.name in paused else model.candidates(context, self._per_source),
            )
            for model in self._further
        ]

    def learn_choice(self, context: Context, item: int) -> None:
        """Learn that a user in `context` chose `item`, and measure what the sources contributed."""
        switch = self.switch
        if not switch.is_measured(self.ranker.choices):
            super().learn_choice(context, item)
            return
        probe = switch.next_probe()
        proposals = self._collect(context, switch.paused - {probe})
        shortlist = self.shortlist(context, proposals, self._index.available)
        # the gain of a source in use counts where the sources are those of lists; repeated choices, of which a shop
        # may have many, say nothing of sources that find new items
        is_new = item not in context.items
        measured = [
            number
            for number, (model, _) in enumerate(proposals)
            if (model.name == probe if probe else switch.is_active(model.name))
            and (is_new or not model.proposes_new_items)
            # what is not there yet is not useless
            and not (model.is_trained_apart and self._is_untrained)
        ]
        rows = np.flatnonzero(shortlist.items == item)
        if len(rows) and len(shortlist.items) > 1:
            gains = self._gains(context, proposals, shortlist, int(rows[0]), measured)
            self._learn_row(shortlist, int(rows[0]))
        else:
            gains = [0.0] * len(measured)
        for number, gain in zip(measured, gains, strict=True):
            switch.record(proposals[number][0].name, gain)

    def _gains(
        self,
        context: Context,
        proposals: Sequence[Proposal],
        shortlist: Shortlist,
        row: int,
        measured: Sequence[int],
    ) -> list[float]:
        """The gain of sources in a choice: the value of its rank less that without the source."""
        matrix, gains = shortlist.matrix, []
        scores = self.ranker.score(matrix).copy()
        value = rank_value(int(np.count_nonzero(scores > scores[row])))
        for number in measured:
            model, found = proposals[number]
            columns = self._columns_of[model.name]
            affected = np.flatnonzero(matrix[:, columns].any(axis=1))
            if not len(affected):
                gains.append(0.0)
                continue
            without = matrix[affected]
            without[:, columns] = 0.0
            rest = scores.copy()
            rest[affected] = self.ranker.score(without)
            rest[self._brought_rows(context, proposals, number, found)] = -np.inf
            is_left = rest[row] > -np.inf
            gains.append(value - rank_value(int(np.count_nonzero(rest > rest[row]))) if is_left else value)
        return gains

    def _brought_rows(
        self, context: Context, proposals: Sequence[Proposal], number: int, found: Candidates
    ) -> list[int]:
        """Rows of the shortlist that only one source brought."""
        slots, clicks = self._store.scratch.slots, self._store.arrays.clicks
        brought = {
            int(slots[item])
            for item in best_candidates(found, clicks).tolist()
            if slots[item] >= self._n_queried
        }
        if not brought:
            return []
        brought.difference_update(slots[context.items[context.items >= 0]].tolist())
        for other, (_, proposed) in enumerate(proposals):
            if other != number and brought:
                brought.difference_update(slots[best_candidates(proposed, clicks)].tolist())
        shortlisted = self._shortlisted[: self._n_shortlisted].tolist()
        return [row for row, slot in enumerate(shortlisted) if slot in brought]

    def _learn_row(self, shortlist: Shortlist, row: int) -> None:
        clicks, hashes = self._store.arrays.clicks, self._index.hashes
        number = self.ranker.choices
        self._history.hide(shortlist.matrix, clicks[shortlist.items], hashes[shortlist.items], number)
        super()._learn_row(shortlist, row)

    def is_fallback_source(self, model: Model) -> bool:
        """Whether rank fusion uses a model; of the models on the session store the first, their ranks are alike."""
        return model is self._store_source or not isinstance(model, SessionStoreModel)

    def shortlist(
        self, context: Context, proposals: Sequence[Proposal], allowed: NDArray[np.bool_]
    ) -> Shortlist:
        """Shortlist the best candidates of all sources and compute their features."""
        store = self._store
        neighbors = self._neighbors = store.query_neighbors(context)
        # candidates of other models may have replaced the arrays of the index, but not those of the store
        scratch = store.scratch
        start = context.session_index
        session_items = context.items[start:]
        cosines: Scores = NO_SCORES
        if self._vectors is not None:
            cosines = self._vectors.cosines(session_items, store.candidate_items(neighbors))
        # items of earlier sessions may be viewed again
        proposed = (best_candidates(found, store.arrays.clicks) for _, found in proposals if len(found.items))
        extra_items = np.concatenate((context.items, *proposed))
        n_queried = self._n_queried = neighbors.n
        store.add_candidates(neighbors, extra_items)
        n = shortlist(
            plain(scratch),
            neighbors.n,
            store.arrays.clicks,
            QUOTAS,
            cosines,
            extra_items,
            allowed,
            self._shortlisted,
        )
        if self._vectors is not None and neighbors.n > n_queried:
            # the query did not find what other models added
            added_items = store.candidate_items(neighbors)[n_queried:]
            cosines = np.concatenate((cosines, self._vectors.cosines(session_items, added_items)))
        self._n_shortlisted = n
        slots, matrix = self._shortlisted[:n], self._matrix[:n]
        items = scratch.candidate_items[slots]
        self.table.write(
            self._sources, CandidateBatch(context, items, slots, neighbors, cosines, proposals), matrix
        )
        return Shortlist(items, matrix)

    def score(
        self, context: Context, proposals: Sequence[Proposal], allowed: NDArray[np.bool_]
    ) -> tuple[Items, Scores]:
        """Score the items that may be listed, new ones with their bonus; see `ChoiceFusion.score`."""
        items, scores = super().score(context, proposals, allowed)
        self._bonus.add(self._matrix, items, self._store.arrays.clicks, scores)
        return items, scores

    def attribute_sources(
        self, listed_items: Items, proposals: Sequence[Proposal]
    ) -> tuple[NDArray[np.int64], Items]:
        """Attribute an item to the sessions that hold it, else to the source that ranks it highest."""
        scratch, neighbors = self._store.scratch, self._neighbors
        sources, evidence = np.empty(len(listed_items), np.int64), np.empty(len(listed_items), np.int32)
        unattributed = np.empty(len(listed_items), np.int64)
        n = attribute_sources(
            scratch.slots,
            scratch.sums,
            scratch.context[: neighbors.distinct],
            scratch.supports,
            listed_items,
            sources,
            evidence,
            unattributed,
        )
        if n:
            unattributed = unattributed[:n]
            found = [candidates for _, candidates in proposals]
            sources[unattributed], evidence[unattributed] = top_sources(listed_items[unattributed], found)
        return sources, evidence

    def explain(self, source: int, evidence: int) -> Reason:
        """Explain an item by the context item that its sessions share."""
        if evidence < 0:
            return Reason("related")
        return Reason(_REASON_BY_SOURCE[source], item_id=self._index.id_of(evidence))

    def _get_state(self) -> State:
        return {**super()._get_state(), "sources": self.switch.state()}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        self.switch.restore(state["sources"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        sources = self._sources
        scratch = (self._matrix, self._shortlisted, sources.row_of_slot, sources.ranks)
        return super().memory() + resident_bytes(scratch)


VERSIONS[LearnedFusion.policy] = 4
MIGRATIONS[LearnedFusion.policy, 2] = lambda state: {**state, "sources": {}}
MIGRATIONS[LearnedFusion.policy, 3] = lambda state: without_columns(state, TRENDING_CANDIDATES)
