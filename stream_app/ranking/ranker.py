"""The ranker: from a request to a list with reasons."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.experiment.live_policies import LivePolicies
from stream_app.models.base import Context
from stream_app.models.id_entrance import CONTEXT_LENGTH
from stream_app.models.model_set import ModelSet
from stream_app.models.session_store_model import SessionStoreModel
from stream_app.models.two_tower import TwoTower
from stream_app.ranking.allowed_items import allowed_items
from stream_app.ranking.diversity import Diversifier
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion, Proposal
from stream_app.ranking.fusion.rank_fusion import RRF_K, FusedList, ReciprocalRankFusion
from stream_app.ranking.list_rules import NO_RULES, ListRules
from stream_app.ranking.request import RankRequest
from stream_app.ranking.search.search_ranker import SEARCH_POLICY, SearchRanker
from topics.records import Interaction, ListedItem, Reason

DEGRADED_POLICY: Final = "degraded"
"""Policy of the lists of degraded ranking."""

_FALLBACK_MODELS: Final = ("popularity", "search")
"""Models that degraded ranking adds where similar sessions have too few candidates."""


class RankedList(NamedTuple):
    """A ranked list."""

    items: tuple[ListedItem, ...]  # best first, with reasons; no item twice
    policy: str  # name of the fusion or policy that ordered them
    model_version: int  # interactions folded into the models
    # features that the policy used, one row per item (`stream_app.experiment.feature_rows`); empty for none
    features: bytes = b""
    neural_version: str = ""  # version of the two-tower model that took part; empty if none did


class Ranker:
    """Ranks for a user, an item, a segment, a search, a query.

    Parameters
    ----------
    models
        The models of this replica.
    per_source
        Candidates from each model.
    length
        Items on a list.
    borda
        Whether rank fusion uses the Borda count instead of reciprocal ranks.
    rules
        Rules of the lists of users and items.
    """

    def __init__(
        self,
        models: ModelSet,
        *,
        per_source: int,
        length: int,
        borda: bool = False,
        rules: ListRules = NO_RULES,
    ) -> None:
        self.models: Final = models
        self._per_source = per_source
        self._length = length
        self._fusion = ReciprocalRankFusion(borda=borda)
        self._search_ranker = SearchRanker(models, per_source=per_source)
        self._two_tower = next((model for model in models.models if isinstance(model, TwoTower)), None)
        self._diversifier = None if rules.disabled else Diversifier(models, rules)
        self._learned = learned = models.learner(ChoiceFusion)
        live = models.learner(LivePolicies)
        self._live = None if live is None or live.disabled else live
        self._fallback_sources = [
            model for model in models.sources if learned is None or learned.is_fallback_source(model)
        ]
        sessions = [model for model in models.models if isinstance(model, SessionStoreModel)][:1]
        # without a model on the session store all models are fast
        self._degraded_sources = sessions or self._fallback_sources
        self._degraded_fallback_sources = (
            [model for model in models.models if model.name in _FALLBACK_MODELS] if sessions else []
        )

    def learn(self, interaction: Interaction) -> bool:
        """Fold an interaction into models and learners; False if it is at or below its watermark."""
        return self.models.learn(interaction)

    def fuse(self, context: Context, length: int) -> FusedList:
        """Order the available items for a context, as integers, without the list rules."""
        learned = self._ready_fusion(context)
        proposals = self._proposals(context, learned)
        return self._order(context, proposals, self.models.index.available, length, learned)

    def _proposals(self, context: Context, learned: ChoiceFusion | None) -> list[Proposal]:
        if learned is not None:
            return learned.proposals(context)
        return self.models.candidates(context, self._per_source, self._fallback_sources)

    def _ready_fusion(self, context: Context) -> ChoiceFusion | None:
        """Return the learned fusion if it is trained and the context has a user and items."""
        learned = self._learned
        if learned is None or not context.user or not len(context.items) or not learned.ready:
            return None
        return learned

    def _order(
        self,
        context: Context,
        proposals: Sequence[Proposal],
        allowed: NDArray[np.bool_],
        length: int,
        learned: ChoiceFusion | None = None,
    ) -> FusedList:
        if learned is not None:
            return learned.fuse(context, proposals, length, allowed=allowed)
        found = [candidates for _, candidates in proposals]
        return self._fusion.fuse(found, length, allowed=allowed, hashes=self.models.index.hashes)

    def rank_user(self, request: RankRequest) -> RankedList:
        """Rank for a user: candidates of all models, fused, without excluded and unavailable items."""
        context = self._context(request, self.models.tracker.query(request.user_id, request.now))
        learned = self._ready_fusion(context)
        proposals = self._proposals(context, learned)
        with allowed_items(self.models.index, request.excluded) as allowed:
            return self._build_list(context, proposals, allowed, learned, self._live)

    def rank_user_degraded(self, request: RankRequest) -> RankedList:
        """Rank for a user at less than half the cost: the degraded ranking under overload.

        The candidates come from similar sessions alone. Where these are too few, popular items and items chosen
        after the same search are added. The list rules apply; no policy reorders.
        """
        context = self._context(request, self.models.tracker.query(request.user_id, request.now))
        n_needed = self._length + len(request.excluded)
        # some candidates may be unavailable
        n_requested = min(self._per_source, self._length + n_needed)
        proposals = self.models.candidates(context, n_requested, self._degraded_sources)
        if sum(len(found.items) for _, found in proposals) < n_needed:
            proposals += self.models.candidates(context, n_requested, self._degraded_fallback_sources)
        with allowed_items(self.models.index, request.excluded) as allowed:
            return self._build_list(context, proposals, allowed, policy=DEGRADED_POLICY)

    def rank_search(
        self,
        request: RankRequest,
        query: str,
        results: Sequence[str],
        *,
        prices: Sequence[float] = (),
        degraded: bool = False,
    ) -> RankedList:
        """Rank the results of a search for a user, with items that others chose after the same query.

        The list has every result that is not known to be unavailable; the search model adds at most as many items as
        a list has. `prices` are the displayed prices, one a result, or empty.
        """
        context = self._context(request, query)
        listed_items = self._search_ranker.order(
            context,
            results,
            prices=prices,
            max_added=self._length,
            excluded=request.excluded,
            models=[*self._degraded_sources, *self._degraded_fallback_sources] if degraded else None,
        )
        neural_version = "" if self._two_tower is None or degraded else self._two_tower.version
        return RankedList(
            listed_items, self._search_ranker.policy, self.models.version, neural_version=neural_version
        )

    def is_public_query(self, query: str) -> bool:
        """Whether enough users chose an item after a query that a list for it may be published."""
        return self._search_ranker.is_public(query)

    def rank_query(self, query: str) -> RankedList:
        """Rank the items chosen after a query; empty without the search model, and for a query of few users."""
        return RankedList(
            self._search_ranker.rank_query(query, self._length), SEARCH_POLICY, self.models.version
        )

    def _context(self, request: RankRequest, query: str) -> Context:
        start = max(0, len(request.items) - CONTEXT_LENGTH)
        return self.models.context(
            request.user_id,
            request.items[start:],
            request.times[start:],
            max(0, request.session_start - start),
            request.segments,
            request.now,
            query,
            request.kinds[start:],
        )

    def rank_item(self, item_id: str) -> RankedList:
        """Rank the related items of an item; empty for an unknown item."""
        context = self.models.item_context(item_id)
        proposals = self.models.related(context, self._per_source, self._fallback_sources)
        with allowed_items(self.models.index, (item_id,)) as allowed:
            return self._build_list(context, proposals, allowed)

    def has_related_items(self, item_id: str) -> bool:
        """Whether the models have related items of an item, available or not."""
        return bool(self.models.related(self.models.item_context(item_id), 1, self._fallback_sources))

    def rank_segment(self, segment: str) -> RankedList:
        """Rank the popular items of a segment; ``all`` for all users."""
        segments = () if segment == "all" else (segment,)
        context = self.models.context("", (), (), 0, segments, self.models.newest)
        proposals = [
            (model, model.candidates(context, self._per_source))
            for model in self.models.models
            if model.name == "popularity"
        ]
        with allowed_items(self.models.index, ()) as allowed:
            return self._build_list(context, proposals, allowed)

    def _build_list(
        self,
        context: Context,
        proposals: Sequence[Proposal],
        allowed: NDArray[np.bool_],
        learned: ChoiceFusion | None = None,
        live: LivePolicies | None = None,
        *,
        policy: str = "",
    ) -> RankedList:
        """Fuse, apply the rules and the policy, explain; `policy` names the order if it is not the fusion's."""
        # the list of a segment is its popular items: no rules
        rules = self._diversifier if context.user or len(context.items) else None
        if not context.user:
            live = None
        pool_size = self._length if live is None else live.pool_size(self._length)
        n_requested = pool_size if rules is None else rules.rules.pool_size(self._length)
        fused = self._order(context, proposals, allowed, n_requested, learned)
        if rules is not None:
            # by rank: probabilities fall so steeply that diversity would hardly count, sums of ranks so slowly that
            # relevance would not
            relevance = 1.0 / (RRF_K + np.arange(len(fused.items)))
            reranked = rules.rerank(fused.items, relevance, self._length, context.now)
            fused = fused.at(reranked)
        policy, propensities, features = policy or (learned or self._fusion).policy, None, b""
        if live is not None and len(fused.items):
            # a policy may only reorder the list that the rules selected
            policy, order, probabilities, features = live.choose(
                context, fused.items, fused.scores, self._length
            )
            fused, propensities = fused.at(order), probabilities.tolist()
        listed_items = self._to_listed_items(context, proposals, fused, propensities)
        neural = self._two_tower
        has_neural = neural is not None and any(model is neural for model, _ in proposals)
        return RankedList(
            listed_items,
            policy,
            self.models.version,
            features,
            neural.version if neural and has_neural else "",
        )

    def _to_listed_items(
        self,
        context: Context,
        proposals: Sequence[Proposal],
        fused: FusedList,
        propensities: Sequence[float] | None,
    ) -> tuple[ListedItem, ...]:
        items = fused.items.tolist()
        if propensities is None:
            propensities = (1.0,) * len(items)
        reasons = self._explain(context, proposals, items, fused.sources.tolist(), fused.evidence.tolist())
        names = self.models.index.ids_of(items)
        return tuple(map(ListedItem, names, fused.scores.tolist(), propensities, reasons))

    def _explain(
        self,
        context: Context,
        proposals: Sequence[Proposal],
        items: list[int],
        sources: list[int],
        evidence: list[int],
    ) -> Iterable[Reason]:
        """Explain each item by its source: one of the proposals, or a negative number of the learned fusion."""
        learned = self._learned
        found = list(zip(sources, evidence, strict=True))
        if learned is not None and all(source < 0 for source in sources):
            # most reasons of a list are one of a few context items
            reasons = {each: learned.explain(*each) for each in set(found)}
            return map(reasons.__getitem__, found)
        return [
            proposals[source][0].explain(context, item, each)
            if source >= 0 or learned is None
            else learned.explain(source, each)
            for item, (source, each) in zip(items, found, strict=True)
        ]
