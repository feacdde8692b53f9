"""Ranking metrics, over many lists at once.

If one item was chosen, the metrics need its **rank** on the list, from 1, or `UNLISTED`. If several were chosen at
once (a purchase), they need the **hits**: for each rank, whether that item was chosen. Every metric returns one value
per list; the value of a system is their mean.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.evaluation.bootstrap import Values

UNLISTED: Final = 0
"""The rank of an item that is not on the list."""

Ranks = NDArray[np.int32]
Hits = NDArray[np.bool_]


def ranks_of_targets(lists: NDArray[np.int32], chosen: NDArray[np.int32]) -> Ranks:
    """Rank of the chosen item on each list.

    Parameters
    ----------
    lists : ndarray of int32, shape (n, k)
        Items, best first; short lists are padded with a number that no item has.
    chosen : ndarray of int32, shape (n,)
        The chosen item.

    Returns
    -------
    ndarray of int32, shape (n,)

    Examples
    --------
    >>> ranks_of_targets(np.array([[7, 8, 9], [7, 8, 9]], np.int32), np.array([8, 5], np.int32)).tolist()
    [2, 0]
    """
    hits = lists == chosen[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, UNLISTED).astype(np.int32)


def hit_rate(ranks: Ranks, k: int) -> Values:
    """HR@k: 1 where the chosen item is among the first `k`, else 0; with one chosen item also recall@k.

    Examples
    --------
    >>> hit_rate(np.array([1, 4, UNLISTED], np.int32), 3).tolist()
    [1.0, 0.0, 0.0]
    """
    hits: Hits = (ranks != UNLISTED) & (ranks <= k)
    return hits.astype(np.float64)


def reciprocal_rank(ranks: Ranks, k: int) -> Values:
    """MRR@k: 1 / rank where the chosen item is among the first `k`, else 0.

    Examples
    --------
    >>> reciprocal_rank(np.array([1, 4, UNLISTED], np.int32), 20).tolist()
    [1.0, 0.25, 0.0]
    >>> reciprocal_rank(np.array([4], np.int32), 3).tolist()
    [0.0]
    """
    return np.where(hit_rate(ranks, k) > 0, 1.0 / np.maximum(ranks, 1), 0.0)


class ListMetrics(NamedTuple):
    """Metrics of lists from which several items may have been chosen; shape (n,) each.

    Attributes
    ----------
    hit_rate
        1 where any chosen item is on the list.
    mrr
        1 / rank of the first chosen item, 0 without one.
    accuracy
        1 where the first item was chosen.
    precision
        Chosen items on the list divided by the requested length k, also where the list is shorter.
    recall
        Chosen items on the list divided by all chosen items.
    f1
        Harmonic mean of precision and recall; 0 where both are 0.
    ndcg
        Sum of 1 / log2(rank + 1) over the chosen items on the list, divided by that of the ideal list.
    """

    hit_rate: Values
    mrr: Values
    accuracy: Values
    precision: Values
    recall: Values
    f1: Values
    ndcg: Values


def list_metrics(hits: Hits, chosen: NDArray[np.int64]) -> ListMetrics:
    """Every metric of each list.

    Parameters
    ----------
    hits : ndarray of bool, shape (n, k)
        Whether the item at each rank was chosen.
    chosen : ndarray of int64, shape (n,)
        Number of distinct chosen items, at least 1, on the list or not.

    Examples
    --------
    Two items were chosen; the list of four has one of them, at rank 3:

    >>> metrics = list_metrics(np.array([[False, False, True, False]]), np.array([2]))
    >>> [float(x[0]) for x in metrics[:5]]
    [1.0, 0.3333333333333333, 0.0, 0.25, 0.5]
    >>> float(metrics.f1[0].round(4))  # 2 x .25 x .5 / .75
    0.3333
    >>> float(metrics.ndcg[0].round(4))  # 1/log2(4) over 1/log2(2) + 1/log2(3)
    0.3066
    """
    k = hits.shape[1]
    positions = np.arange(1, k + 1)
    n_hits = hits.sum(axis=1)
    any_hit = n_hits > 0
    precision = n_hits / k
    recall = n_hits / chosen
    precision_plus_recall = precision + recall
    discounts = 1.0 / np.log2(positions + 1.0)
    ideal_dcg = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(chosen, k)]
    return ListMetrics(
        hit_rate=any_hit.astype(np.float64),
        mrr=np.where(any_hit, 1.0 / (hits.argmax(axis=1) + 1), 0.0),
        accuracy=hits[:, 0].astype(np.float64),
        precision=precision,
        recall=recall,
        f1=np.divide(
            2 * precision * recall,
            precision_plus_recall,
            out=np.zeros(len(hits)),
            where=precision_plus_recall > 0,
        ),
        ndcg=(hits * discounts).sum(axis=1) / ideal_dcg,
    )
