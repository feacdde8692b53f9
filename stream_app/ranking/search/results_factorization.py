"""The factorization ranker of search results: its bins, crosses and initial weights."""

from typing import Final

import numpy as np

from stream_app.ranking.fusion.factorization import FactorizationRanker
from stream_app.ranking.kernels.feature_table import ResultFeature

_FINE_BINNED: Final = {
    ResultFeature.RANK,
    ResultFeature.FROM_LAST,
    ResultFeature.FROM_BOUGHT,
    ResultFeature.PREVIOUS_RANK,
}
"""Features with a knot a rank; all others have six knots."""

_CROSSES: Final = (
    (ResultFeature.RANK, 9, ResultFeature.CONTEXT_SECONDS, 8),
    (ResultFeature.FROM_LAST, 17, ResultFeature.CONTEXT_SECONDS, 8),
    (ResultFeature.RANK, 9, ResultFeature.FROM_LAST, 13),
    (ResultFeature.SECONDS_SINCE, 9, ResultFeature.CONTEXT_SITUATION, 7),
    (ResultFeature.FROM_LAST, 17, ResultFeature.CONTEXT_SITUATION, 7),
    (ResultFeature.CHEAPEST_ABOVE, 2, ResultFeature.CONTEXT_SAME_PAGE, 4),
    (ResultFeature.RECENCY_RANK, 9, ResultFeature.CONTEXT_REPEATS, 4),
    (ResultFeature.RECENCY_RANK, 9, ResultFeature.CONTEXT_DIRECTION, 9),
)


def build_ranker(seed: int) -> FactorizationRanker:
    """Make the untrained ranker: items of recent interactions first, then the displayed order."""
    ranker = FactorizationRanker(
        # features of the context are the same in all rows: without crosses they change no order
        [
            (each, 25 if each in _FINE_BINNED else 6)
            for each in ResultFeature
            if each < ResultFeature.CONTEXT_SITUATION
        ],
        _CROSSES,
        [(each, 5) for each in ResultFeature],
        seed=seed,
    )
    ranker.initialize_bin(ResultFeature.RANK, lambda rank: np.float32(-0.5) * np.log1p(np.float32(24) * rank))
    ranker.initialize_bin(ResultFeature.RECENCY_RANK, lambda ranks: 3 - 2 * ranks)
    return ranker
