"""What a shop found for a query, in the order for one shopper."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from stream_app.models.base import NO_ITEM, Candidates, Context, Items, Model
from stream_app.models.model_set import ModelSet
from stream_app.ranking.allowed_items import allowed_items
from stream_app.ranking.fusion.rank_fusion import ReciprocalRankFusion, top_sources
from stream_app.ranking.search.results_ranker import ResultsRanker
from topics.records import ListedItem, Reason

SEARCH_MODEL: Final = "search"
"""Name of the model that knows what people chose after a query."""

SEARCH_POLICY: Final = "search_rrf"
"""Name of the policy that orders search lists."""

LEARNED_SEARCH_POLICY: Final = "search_learned"
"""Its name where the order of the results is the one learned from choices."""

_NO_ITEMS: Final = np.zeros(0, np.int32)


class SearchRanker:
    """Puts the results of a search in the order for a shopper.

    The shop's own order is one voice, each model's scores of the results for this shopper and this query are
    others, and reciprocal-rank fusion counts them. Items that the search model brings stand among the results
    where these voices put them. Results that no model has met keep their order behind the others.

    Where a `ResultsRanker` listens to the fold and has learned enough, the places of the results are filled in the
    order it gives them.

    Parameters
    ----------
    models
        The models.
    per_source
        Candidates asked of each model, for their evidence.

    Examples
    --------
    >>> from topics.records import Interaction, Kind, Line, Source
    >>> models = ModelSet(["popularity"])
    >>> for offset, item in enumerate(["sock", "shoe", "shoe"]):
    ...     _ = models.learn(Interaction(Source.CLICK, 0, offset, 0.0, "ann", Kind.VIEW, (Line(item),)))
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

    @property
    def policy(self) -> str:
        """Name of what orders results now."""
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
        """Order.

        Parameters
        ----------
        context
            The shopper, with the query.
        results
            What the shop found, in its order.
        prices
            Of the results, as the shop showed them; not told where there is not one for each. In place of one that is
            not told, or 0, stands the catalog's.
        max_added
            Most items that the search model may add.
        excluded
            Items that may not be added; the shop's own results are kept in spite of it.
        models
            The models that are asked, where it is not all.

        Returns
        -------
        tuple of ListedItem
            Every result that is not known to be unavailable, and what was added; best first.
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
        unknown_item_reason = Reason("matches_search", query=context.query)
        listed_items += [
            ListedItem(name, 0.0, 1.0, unknown_item_reason)
            for name, item in zip(result_ids, found.tolist(), strict=True)
            if item == NO_ITEM
        ]
        if self._results_ranker is not None and self._results_ranker.ready:
            told = {}
            if len(prices) == len(results):
                # the first price of a result, as it is seen last from behind
                told = dict(zip(reversed(results), reversed(prices), strict=True))
            self._apply_learned_order(self._results_ranker, context, result_ids, told, listed_items)
        return tuple(listed_items)

    def _apply_learned_order(
        self,
        ranker: ResultsRanker,
        context: Context,
        result_ids: Sequence[str],
        told: Mapping[str, float],
        listed_items: list[ListedItem],
    ) -> None:
        """Fill the places that results have on the list in the order learned; the scores stay with the places."""
        position_of = {each.id: position for position, each in enumerate(listed_items)}
        results = [name for name in result_ids if name in position_of]
        positions = sorted(position_of[name] for name in results)
        index = self._models.index
        found = np.array([index.find(name) for name in results], np.int32)
        # what the catalog does not know has the price that the ranker saw last
        catalog_prices = np.where(found == NO_ITEM, np.nan, index.prices[found]).tolist()
        prices = [told.get(name, 0.0) or price for name, price in zip(results, catalog_prices, strict=True)]
        order = ranker.order(context.user, results, prices, context.now)
        chosen = [listed_items[position_of[results[at]]] for at in order.tolist()]
        scores = [listed_items[position].score for position in positions]
        for position, score, each in zip(positions, scores, chosen, strict=True):
            listed_items[position] = ListedItem(each.id, score, each.propensity, each.why)

    def rank_query(self, query: str, length: int) -> tuple[ListedItem, ...]:
        """What people choose after a query, best first; empty where no model knows."""
        models = self._models
        context = models.context("", (), (), 0, (), models.newest, query)
        index = models.index
        for model in models.models:
            if model.name == SEARCH_MODEL:
                proposed = model.candidates(context, max(length, self._per_source))
                return tuple(
                    [
                        ListedItem(
                            index.id_of(item), round(score, 6), 1.0, model.explain(context, item, evidence)
                        )
                        for item, score, evidence in zip(
                            proposed.items.tolist(),
                            proposed.scores.tolist(),
                            proposed.evidence.tolist(),
                            strict=True,
                        )
                        if index.available[item]
                    ][:length]
                )
        return ()

    def _select_added(
        self,
        proposals: Sequence[tuple[Model, Candidates]],
        known_results: Items,
        limit: int,
        excluded: Collection[str],
    ) -> Items:
        for model, proposed in proposals:
            if model.name == SEARCH_MODEL:
                with allowed_items(self._models.index, excluded) as allowed:
                    allowed_candidates = proposed.items[allowed[proposed.items]]
                added: Items = allowed_candidates[
                    ~(allowed_candidates[:, None] == known_results).any(axis=1)
                ][:limit]
                return added
        return _NO_ITEMS

    def _rank_by_model(self, context: Context, model: Model, pool: Items) -> Items:
        """The items of the pool that a model has anything to say for, best first."""
        scores = model.score(context, pool)
        # Stable, so that among equals the shop's order holds.
        descending = np.argsort(-scores, kind="stable")
        order: Items = pool[descending][: int(np.count_nonzero(scores > 0))]
        return order

    def _reasons(
        self, context: Context, listed_items: Items, proposals: Sequence[tuple[Model, Candidates]]
    ) -> list[Reason]:
        """By the model that had an item highest among its own candidates, with evidence rather than without.

        Where no model had it, the shop's search found it, and that is the reason.
        """
        found = [candidates for _, candidates in proposals]
        sources, top_evidence = top_sources(listed_items, found, prefer_evidence=True)
        search_reason = Reason("matches_search", query=context.query)
        return [
            search_reason if source < 0 else proposals[source][0].explain(context, item, evidence_item)
            for item, source, evidence_item in zip(
                listed_items.tolist(), sources.tolist(), top_evidence.tolist(), strict=True
            )
        ]
