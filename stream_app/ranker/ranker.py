"""The ranker: a request in, a list with reasons out."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, Candidates, Context, Model
from stream_app.models.model_set import CONTEXT, ModelSet
from stream_app.ranker.fusion import Fused, ReciprocalRankFusion
from stream_app.ranker.request import RankRequest
from stream_app.ranker.rules import allowed_items
from topics.records import Interaction, ListedItem

POLICY: Final = "fixed_rrf"
"""Name of the policy that orders lists: reciprocal-rank fusion, the same list for the same state."""


class Ranked(NamedTuple):
    """A ranked list.

    Attributes
    ----------
    items
        Best first, with reasons; no item twice.
    policy
        What ordered them.
    model_version
        Interactions folded into the models.
    """

    items: tuple[ListedItem, ...]
    policy: str
    model_version: int


class Ranker:
    """Ranks for a shopper, for an item's page, for a segment.

    Parameters
    ----------
    models
        The models of this replica.
    per_source
        Candidates asked of each model.
    length
        Items on a list.
    """

    def __init__(self, models: ModelSet, *, per_source: int, length: int) -> None:
        self.models: Final = models
        self._per_source = per_source
        self._length = length
        self._fusion = ReciprocalRankFusion()

    def learn(self, interaction: Interaction) -> bool:
        """Fold an interaction into everything that learns; False where it is at or below its watermark."""
        return self.models.learn(interaction)

    def fuse(self, context: Context, length: int) -> Fused:
        """Order the available items for a context, as integers: what lists are made of, without their rules."""
        proposals = [found for _, found in self.models.candidates(context, self._per_source)]
        items = self.models.index
        return self._fusion.fuse(proposals, length, allowed=items.available, hashes=items.hashes)

    def rank_user(self, request: RankRequest) -> Ranked:
        """The shopper's list: candidates of every model, fused, without what is bought, hidden or gone."""
        start = max(0, len(request.items) - CONTEXT)
        context = self.models.context(
            request.user_id,
            request.items[start:],
            request.times[start:],
            max(0, request.session_start - start),
            request.segments,
            request.now,
        )
        proposals = self.models.candidates(context, self._per_source)
        with allowed_items(self.models.index, request.excluded) as allowed:
            return self._fused(context, proposals, allowed)

    def rank_item(self, item_id: str) -> Ranked:
        """What goes with an item, for its page; empty where the models do not know it."""
        context = self.models.context("", (item_id,), (self.models.newest,), 0, (), self.models.newest)
        proposals = [
            (model, candidates)
            for model, candidates in self.models.candidates(context, self._per_source)
            if len(candidates.evidence) and candidates.evidence[0] != NO_ITEM
        ]
        with allowed_items(self.models.index, (item_id,)) as allowed:
            return self._fused(context, proposals, allowed)

    def rank_segment(self, segment: str) -> Ranked:
        """What is trending in a segment; ``all`` for everywhere."""
        segments = () if segment == "all" else (segment,)
        context = self.models.context("", (), (), 0, segments, self.models.newest)
        proposals = [
            (model, model.candidates(context, self._per_source))
            for model in self.models.models
            if model.name == "popularity"
        ]
        with allowed_items(self.models.index, ()) as allowed:
            return self._fused(context, proposals, allowed)

    def _fused(
        self, context: Context, proposals: Sequence[tuple[Model, Candidates]], allowed: NDArray[np.bool_]
    ) -> Ranked:
        items = self.models.index
        fused = self._fusion.fuse(
            [candidates for _, candidates in proposals],
            self._length,
            allowed=allowed,
            hashes=items.hashes,
        )
        id_of = items.id_of
        listed = []
        for item, score, source, found in zip(
            fused.items.tolist(),
            fused.scores.tolist(),
            fused.sources.tolist(),
            fused.evidence.tolist(),
            strict=True,
        ):
            reason = proposals[source][0].explain(context, item, found)
            listed.append(ListedItem(id_of(item), score, 1.0, reason))
        return Ranked(tuple(listed), POLICY, self.models.version)
