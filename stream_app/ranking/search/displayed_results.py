"""Displayed results as the ranker needs them: distinct, with known prices."""

from collections.abc import Sequence

import numpy as np

from stream_app.ranking.fusion.listwise import Matrix
from stream_app.ranking.kernels.results_memory import MAX_RANKED


def known_prices(prices: Sequence[float], count: int) -> Matrix:
    """Replace unknown prices by 0; all are unknown where there is not one for each result."""
    if len(prices) != count:
        return np.zeros(count, np.float32)
    clean_prices = np.array(prices, np.float32)
    clean_prices[~((clean_prices > 0) & np.isfinite(clean_prices))] = 0.0
    return clean_prices


def distinct_items(displayed: Sequence[str], prices: Sequence[float]) -> tuple[list[str], Matrix]:
    """Return the first `MAX_RANKED` distinct items of a list, and their prices."""
    clean_prices = known_prices(prices, len(displayed))
    first_ranks: dict[str, int] = {}
    for rank, name in enumerate(displayed):
        first_ranks.setdefault(name, rank)
    names = list(first_ranks)[:MAX_RANKED]
    return names, clean_prices[list(first_ranks.values())[:MAX_RANKED]]
