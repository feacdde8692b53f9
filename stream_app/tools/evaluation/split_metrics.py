"""Metrics of several systems on splits of the same lists, with intervals."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.tools.evaluation.bootstrap import ClusterBootstrap, ConfidenceInterval, Values

Split = TypeVar("Split", bound=str)
Intervals = TypeVar("Intervals")


class SplitMetrics(msgspec.Struct, Generic[Intervals], frozen=True, kw_only=True):
    """Metrics of one split.

    Attributes
    ----------
    lists, users
        Number of lists in the split, and of their users.
    systems
        Intervals of the metrics by system.
    difference
        Intervals of the paired differences of two of the systems.
    """

    lists: int
    users: int
    systems: dict[str, Intervals]
    difference: Intervals


def metrics_by_split(
    values: Mapping[str, Values],
    compared: tuple[str, str],
    users: NDArray[np.int64],
    masks: Mapping[Split, NDArray[np.bool_]],
    make_intervals: Callable[..., Intervals],
) -> dict[Split, SplitMetrics[Intervals]]:
    """Means and intervals of each split that has lists.

    A resample draws from all users, those without a list in the split included: the number of lists in a split is
    random, too, and its mean is a ratio of two sums.

    Parameters
    ----------
    values
        By system: ndarray of float64, shape (lists, metrics).
    compared
        Two systems: the difference is the first minus the second.
    users : ndarray of int64, shape (lists,)
        The user of each list.
    masks
        By split: ndarray of bool, shape (lists,).
    make_intervals
        Makes the struct of a system's intervals from one interval per metric.

    Examples
    --------
    >>> values = {"a": np.array([[1.0], [0.0]]), "b": np.array([[0.0], [0.0]])}
    >>> masks = {"all": np.array([True, True]), "none": np.array([False, False])}
    >>> splits = metrics_by_split(values, ("a", "b"), np.array([0, 1]), masks, lambda *intervals: intervals[0].mean)
    >>> splits
    {'all': SplitMetrics(lists=2, users=2, systems={'a': 0.5, 'b': 0.0}, difference=0.5)}
    """
    first, second = compared
    columns = np.hstack((*values.values(), values[first] - values[second]))
    n_metrics = values[first].shape[1]
    bootstrap = ClusterBootstrap(users)

    def split_metrics(mask: NDArray[np.bool_]) -> SplitMetrics[Intervals]:
        intervals: list[ConfidenceInterval] = [
            interval.rounded() for interval in bootstrap.intervals(columns, mask)
        ]
        *systems, difference = (
            make_intervals(*intervals[start : start + n_metrics])
            for start in range(0, len(intervals), n_metrics)
        )
        return SplitMetrics(
            lists=int(mask.sum()),
            users=len(np.unique(users[mask])),
            systems=dict(zip(values, systems, strict=True)),
            difference=difference,
        )

    return {split: split_metrics(mask) for split, mask in masks.items() if mask.any()}
