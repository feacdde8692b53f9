"""Fusion at the level of models: a weighted sum of their scores, the weights learned online."""

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_ITEMS, Context, Items, Model
from stream_app.models.model_set import ModelSet
from stream_app.models.model_state import MIGRATIONS, VERSIONS
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion, Proposal, Shortlist
from stream_app.ranking.fusion.rank_fusion import top_sources
from stream_app.ranking.fusion.softmax import SoftmaxRanker
from stream_app.ranking.fusion.trained_columns import TRENDING_CANDIDATES, without_columns
from topics.records import Reason

_MIN_SCORE: Final = 1e-30
"""Scores that have decayed further would divide into infinities."""


class WeightedFusion(ChoiceFusion):
    """A weighted sum of each model's score, divided by its largest, and of its rank.

    `stream_app.ranking.fusion.softmax` learns the weights, linear and without hidden units: each model has one weight
    for its scores and one for its ranks.

    Parameters
    ----------
    models
        Models whose candidates are fused.
    per_source
        Candidates from each model.
    seed
        Ignored: without hidden units no weight is random.
    """

    policy: ClassVar[str] = "weighted"

    def __init__(self, models: ModelSet, *, per_source: int = 100, seed: int = 7) -> None:
        names = [f"{model.name}_{feature}" for model in models.sources for feature in ("of_max", "rank")]
        is_apart = [model.is_trained_apart for model in models.sources for _ in range(2)]
        apart = [at for at, each in enumerate(is_apart) if each]
        ranker = SoftmaxRanker(len(names), bins=1, hidden=0, seed=seed, late=apart)
        super().__init__(models, ranker, names, per_source, apart)

    def uses_candidates_of(self, model: Model) -> bool:
        """All models are sources, but for those that only order."""
        return model in self._models.sources

    def shortlist(
        self,
        context: Context,
        proposals: Sequence[Proposal],
        allowed: NDArray[np.bool_],
    ) -> Shortlist:
        """Join the candidates of all models, with their scores and ranks."""
        candidate_items = np.concatenate([EMPTY_ITEMS, *(candidates.items for _, candidates in proposals)])
        items, rows = np.unique(candidate_items[allowed[candidate_items]], return_inverse=True)
        matrix = np.zeros((len(items), len(self.names)), np.float32)
        offset = 0
        for source, (_, candidates) in enumerate(proposals):
            allowed_mask = allowed[candidates.items]
            n = int(np.count_nonzero(allowed_mask))
            if n and candidates.scores[0] > _MIN_SCORE:
                source_rows = rows[offset : offset + n]
                matrix[source_rows, 2 * source] = candidates.scores[allowed_mask] / candidates.scores[0]
                matrix[source_rows, 2 * source + 1] = 1.0 - np.flatnonzero(allowed_mask) / self._per_source
            offset += n
        return Shortlist(items.astype(np.int32), matrix)

    def attribute_sources(
        self, listed_items: Items, proposals: Sequence[Proposal]
    ) -> tuple[NDArray[np.int64], Items]:
        """Attribute each item to the source that ranks it highest."""
        return top_sources(listed_items, [found for _, found in proposals])

    def explain(self, source: int, evidence: int) -> Reason:
        """Return a generic reason; not used, since every listed item has a source."""
        return Reason("related")


VERSIONS[WeightedFusion.policy] = 3
MIGRATIONS[WeightedFusion.policy, 2] = lambda state: without_columns(state, TRENDING_CANDIDATES)
