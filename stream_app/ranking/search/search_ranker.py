"""The search results of a shop, in the order for one user."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from stream_app.models.base import NO_ITEM, Candidates, Context, Items, Model
from stream_app.models.model_set import ModelSet
from stream_app.models.search import SearchModel
from stream_app.ranking.allowed_items import allowed_items
from stream_app.ranking.fusion.rank_fusion import ReciprocalRankFusion, top_sources
from stream_app.ranking.search.results_ranker import ResultsRanker
from topics.records import ListedItem, Reason, search_reason

SEARCH_POLICY: Final = "search_rrf"
"""Name of the policy that orders search lists."""

LEARNED_SEARCH_POLICY: Final = "search_learned"
"""Its name where the learned results ranker orders the results."""

_NO_ITEMS: Final = np.zeros(0, np.int32)


class SearchRanker:
    """Orders the results of a search for a user.

    Reciprocal rank fusion joins the shop's order with the order by each model's scores for the user and the query.
    Items that the search model adds are ranked among the results. Results unknown to all models keep their order
    behind the others.

    Where a `ResultsRanker` has learned enough choices, it decides which result is on each rank of the results.

    Parameters
    ----------
    models
        The models.
    per_source
        Candidates from each model, for their evidence.

    Examples
    --------
    >>> from topics.records import Interaction, Kind, Line, Source
    >>> models = ModelSet(["popularity"])
    >>> for offset, (user, item) in enumerate([("ann", "sock"), ("ann", "shoe"), ("cem", "shoe")]):
    ...     _ = models.learn(Interaction(Source.CLICK, 0, offset, 0.0, user, Kind.VIEW, (Line(item),)))
    >>> context = models.context("bob", (), (), 0, (), 0.0, "red shoes")
    >>> ranker = SearchRanker(models, per_source=10)
    >>> [item.id for item in ranker.order(context, ["never met", "sock", "shoe"], max_added=5)]
    ['shoe', 'sock', 'never met']
    """

    def __init__(self, models: ModelSet, *, per_source: int) -> None:
        self._models = models
        self._per_source = per_source
        self._fusion = ReciprocalRankFusion()
        self._results_ranker = models.learner(ResultsRanker)
        self._search_model = next((each for each in models.models if isinstance(each, SearchModel)), None)

    @property
    def policy(self) -> str:
        """Name of the current order of results."""
        return (
            SEARCH_POLICY
            if self._results_ranker is None or not self._results_ranker.ready
            else LEARNED_SEARCH_POLICY
        )

    def order(
        self,
        context: Context,
        results: Sequence[str],
        *,
        prices: Sequence[float] = (),
        max_added: int,
        excluded: Collection[str] = (),
        models: Sequence[Model] | None = None,
    ) -> tuple[ListedItem, ...]:
        """Order the results of a search.

        Parameters
        ----------
        context
            Of the user, with the query.
        results
            Ids of the results, in the shop's order.
        prices
            Displayed prices of the results; ignored if there is not one for each. A missing price, or 0, is replaced
            by that of the catalog.
        max_added
            Maximum number of items that the search model may add.
        excluded
            Items that must not be added; the shop's own results are kept even so.
        models
            The models that score; all by default.

        Returns
        -------
        tuple of ListedItem
            Every result that is not known to be unavailable, and the added items; best first.
        """
        index = self._models.index
        result_ids = list(dict.fromkeys(results))
        found = np.array([index.find(name) for name in result_ids], np.int32)
        known_results = found[found != NO_ITEM]
        known_results = known_results[index.available[known_results]]
        proposals = self._models.candidates(context, self._per_source, models)
        pool = np.concatenate(
            (known_results, self._select_added(proposals, known_results, max_added, excluded))
        )
        source_rankings = [
            known_results,
            *(self._rank_by_model(context, model, pool) for model, _ in proposals),
        ]
        fused = self._fusion.fuse(
            [Candidates(order, np.zeros(len(order), np.float32), order) for order in source_rankings],
            len(pool),
            allowed=index.available,
            hashes=index.hashes,
        )
        numbers = fused.items.tolist()
        listed_items = [
            ListedItem(name, score, 1.0, reason)
            for name, score, reason in zip(
                index.ids_of(numbers),
                fused.scores.tolist(),
                self._reasons(context, fused.items, proposals),
                strict=True,
            )
        ]
        unknown_item_reason = search_reason("matches_search", context.query)
        listed_items += [
            ListedItem(name, 0.0, 1.0, unknown_item_reason)
            for name, item in zip(result_ids, found.tolist(), strict=True)
            if item == NO_ITEM
        ]
        if self._results_ranker is not None and self._results_ranker.ready:
            displayed_prices = {}
            if len(prices) == len(results):
                # in reverse, so that the first price of a repeated result wins
                displayed_prices = dict(zip(reversed(results), reversed(prices), strict=True))
            self._apply_learned_order(
                self._results_ranker, context, result_ids, displayed_prices, listed_items
            )
        return tuple(listed_items)

    def _apply_learned_order(
        self,
        ranker: ResultsRanker,
        context: Context,
        result_ids: Sequence[str],
        displayed_prices: Mapping[str, float],
        listed_items: list[ListedItem],
    ) -> None:
        """Fill the ranks of the results in the learned order; the scores stay with the ranks."""
        position_of = {each.id: position for position, each in enumerate(listed_items)}
        results = [name for name in result_ids if name in position_of]
        positions = sorted(position_of[name] for name in results)
        index = self._models.index
        found = np.array([index.find(name) for name in results], np.int32)
        # an item unknown to the catalog has the price that the ranker saw last
        catalog_prices = np.where(found == NO_ITEM, np.nan, index.prices[found]).tolist()
        prices = [
            displayed_prices.get(name, 0.0) or price
            for name, price in zip(results, catalog_prices, strict=True)
        ]
        order = ranker.order(context.user, results, prices, context.now)
        chosen = [listed_items[position_of[results[at]]] for at in order.tolist()]
        scores = [listed_items[position].score for position in positions]
        for position, score, each in zip(positions, scores, chosen, strict=True):
            listed_items[position] = ListedItem(each.id, score, each.propensity, each.why)

    def is_public(self, query: str) -> bool:
        """Whether enough users chose an item after a query that a list for it may be published."""
        return self._search_model is not None and self._search_model.is_public(query)

    def rank_query(self, query: str, length: int) -> tuple[ListedItem, ...]:
        """Rank the items chosen after a query; empty unless the query is public, see `SearchModel`."""
        model = self._search_model
        if model is None or not model.is_public(query):
            return ()
        models = self._models
        context = models.context("", (), (), 0, (), models.newest, query)
        index = models.index
        proposed = model.candidates(context, max(length, self._per_source))
        return tuple(
            [
                ListedItem(index.id_of(item), round(score, 6), 1.0, model.explain(context, item, evidence))
                for item, score, evidence in zip(
                    proposed.items.tolist(), proposed.scores.tolist(), proposed.evidence.tolist(), strict=True
                )
                if index.available[item]
            ][:length]
        )

    def _select_added(
        self,
        proposals: Sequence[tuple[Model, Candidates]],
        known_results: Items,
        limit: int,
        excluded: Collection[str],
    ) -> Items:
        for model, proposed in proposals:
            if model is self._search_model:
                with allowed_items(self._models.index, excluded) as allowed:
                    allowed_candidates = proposed.items[allowed[proposed.items]]
                added: Items = allowed_candidates[
                    ~(allowed_candidates[:, None] == known_results).any(axis=1)
                ][:limit]
                return added
        return _NO_ITEMS

    def _rank_by_model(self, context: Context, model: Model, pool: Items) -> Items:
        """Return the items of the pool with a positive score, best first."""
        scores = model.score(context, pool)
        # stable: among equals the shop's order holds
        descending = np.argsort(-scores, kind="stable")
        order: Items = pool[descending][: int(np.count_nonzero(scores > 0))]
        return order

    def _reasons(
        self, context: Context, listed_items: Items, proposals: Sequence[tuple[Model, Candidates]]
    ) -> list[Reason]:
        """Explain each item by the model that ranks it highest among its candidates, preferably with evidence.

        An item that no model proposes was found by the shop's search, which is the reason then.
        """
        found = [candidates for _, candidates in proposals]
        sources, top_evidence = top_sources(listed_items, found, prefer_evidence=True)
        found_by_shop = search_reason("matches_search", context.query)
        return [
            found_by_shop if source < 0 else proposals[source][0].explain(context, item, evidence_item)
            for item, source, evidence_item in zip(
                listed_items.tolist(), sources.tolist(), top_evidence.tolist(), strict=True
            )
        ]
