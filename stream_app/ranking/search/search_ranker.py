"""What a shop found for a query, in the order for one shopper."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, Candidates, Context, Items, Model
from stream_app.models.kernels.jit import jit
from stream_app.models.model_set import ModelSet
from stream_app.ranking.allowed_items import allowed_items
from stream_app.ranking.fusion.rank_fusion import ReciprocalRankFusion
from stream_app.ranking.search.results_ranker import ResultsRanker
from topics.records import ListedItem, Reason

SEARCH_MODEL: Final = "search"
"""Name of the model that knows what people chose after a query."""

POLICY: Final = "search_rrf"
"""Name of the policy that orders search lists."""

LEARNED_POLICY: Final = "search_learned"
"""Its name where the order of the results is the one learned from choices."""

_NO_ITEMS: Final = np.zeros(0, np.int32)


@jit()
def _speakers(
    listed: NDArray[np.int32],
    items: NDArray[np.int32],
    evidence: NDArray[np.int32],
    ends: NDArray[np.int64],
    sources: NDArray[np.int64],
    spoken: NDArray[np.int32],
) -> None:
    """For each listed item the source that had it highest, with evidence rather than without; -1 for none."""
    for at in range(len(listed)):
        sources[at] = -1
        spoken[at] = -1
        best = len(items)
        start = 0
        for source in range(len(ends)):
            for place in range(start, ends[source]):
                if items[place] != listed[at]:
                    continue
                rank = place - start
                told = evidence[place] >= 0
                if (
                    sources[at] < 0
                    or (told and spoken[at] < 0)
                    or (told == (spoken[at] >= 0) and rank < best)
                ):
                    sources[at], spoken[at], best = source, evidence[place], rank
                break
            start = ends[source]


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
    >>> [item.id for item in ranker.order(context, ["never met", "sock", "shoe"], brought=5)]
    ['shoe', 'sock', 'never met']
    """

    def __init__(self, models: ModelSet, *, per_source: int) -> None:
        self._models = models
        self._per_source = per_source
        self._fusion = ReciprocalRankFusion()
        self._results = models.listener(ResultsRanker)

    @property
    def policy(self) -> str:
        """Name of what orders results now."""
        return POLICY if self._results is None or not self._results.ready else LEARNED_POLICY

    def order(
        self,
        context: Context,
        results: Sequence[str],
        *,
        prices: Sequence[float] = (),
        brought: int,
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
            not told, or 0, stands the catalogue's.
        brought
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
        named = list(dict.fromkeys(results))
        found = np.array([index.find(name) for name in named], np.int32)
        own = found[found != NO_ITEM]
        own = own[index.available[own]]
        proposals = self._models.candidates(context, self._per_source, models)
        pool = np.concatenate((own, self._added(proposals, own, brought, excluded)))
        voices = [own, *(self._order_by(context, model, pool) for model, _ in proposals)]
        fused = self._fusion.fuse(
            [Candidates(order, np.zeros(len(order), np.float32), order) for order in voices],
            len(pool),
            allowed=index.available,
            hashes=index.hashes,
        )
        numbers = fused.items.tolist()
        listed = [
            ListedItem(name, score, 1.0, reason)
            for name, score, reason in zip(
                index.ids_of(numbers),
                fused.scores.tolist(),
                self._reasons(context, fused.items, proposals),
                strict=True,
            )
        ]
        unmet = Reason("matches_search", query=context.query)
        listed += [
            ListedItem(name, 0.0, 1.0, unmet)
            for name, item in zip(named, found.tolist(), strict=True)
            if item == NO_ITEM
        ]
        if self._results is not None and self._results.ready:
            told = {}
            if len(prices) == len(results):
                # the first price of a result, as it is seen last from behind
                told = dict(zip(reversed(results), reversed(prices), strict=True))
            self._learned_order(self._results, context, named, told, listed)
        return tuple(listed)

    def _learned_order(
        self,
        ranker: ResultsRanker,
        context: Context,
        named: Sequence[str],
        told: Mapping[str, float],
        listed: list[ListedItem],
    ) -> None:
        """Fill the places that results have on the list in the order learned; the scores stay with the places."""
        place_of = {each.id: place for place, each in enumerate(listed)}
        results = [name for name in named if name in place_of]
        places = sorted(place_of[name] for name in results)
        index = self._models.index
        found = np.array([index.find(name) for name in results], np.int32)
        # what the catalogue does not know has the price that the ranker saw last
        known = np.where(found == NO_ITEM, np.nan, index.prices[found]).tolist()
        prices = [told.get(name, 0.0) or price for name, price in zip(results, known, strict=True)]
        order = ranker.order(context.user, results, prices, context.now)
        chosen = [listed[place_of[results[at]]] for at in order.tolist()]
        scores = [listed[place].score for place in places]
        for place, score, each in zip(places, scores, chosen, strict=True):
            listed[place] = ListedItem(each.id, score, each.propensity, each.why)

    def after(self, query: str, length: int) -> tuple[ListedItem, ...]:
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

    def _added(
        self,
        proposals: Sequence[tuple[Model, Candidates]],
        own: Items,
        most: int,
        excluded: Collection[str],
    ) -> Items:
        for model, proposed in proposals:
            if model.name == SEARCH_MODEL:
                with allowed_items(self._models.index, excluded) as allowed:
                    fit = proposed.items[allowed[proposed.items]]
                added: Items = fit[~(fit[:, None] == own).any(axis=1)][:most]
                return added
        return _NO_ITEMS

    def _order_by(self, context: Context, model: Model, pool: Items) -> Items:
        """The items of the pool that a model has anything to say for, best first."""
        scores = model.score(context, pool)
        # Stable, so that among equals the shop's order holds.
        falling = np.argsort(-scores, kind="stable")
        order: Items = pool[falling][: int(np.count_nonzero(scores > 0))]
        return order

    def _reasons(
        self, context: Context, listed: Items, proposals: Sequence[tuple[Model, Candidates]]
    ) -> list[Reason]:
        """By the model that had an item highest among its own candidates, with evidence rather than without.

        Where no model had it, the shop's search found it, and that is the reason.
        """
        sources, spoken = np.full(len(listed), -1, np.int64), np.empty(len(listed), np.int32)
        if proposals:
            found = [candidates for _, candidates in proposals]
            items = np.concatenate([each.items for each in found])
            evidence = np.concatenate([each.evidence for each in found])
            ends = np.cumsum([len(each.items) for each in found])
            _speakers(listed, items, evidence, ends, sources, spoken)
        matches = Reason("matches_search", query=context.query)
        return [
            matches if source < 0 else proposals[source][0].explain(context, item, said)
            for item, source, said in zip(listed.tolist(), sources.tolist(), spoken.tolist(), strict=True)
        ]
