"""The two-tower model that the workers rank with, from their metrics."""

import math
from collections.abc import Iterable
from typing import Final

import msgspec
from prometheus_client.samples import Sample

_FIELDS: Final = {
    "headrace_neural_model_version": "version",
    "headrace_neural_model_age_seconds": "age_seconds",
    "headrace_neural_list_items_total": "list_items",
    "headrace_neural_brought_items_total": "brought_items",
}


class NeuralStats(msgspec.Struct, frozen=True, kw_only=True):
    """The model, and its share of the lists.

    Attributes
    ----------
    version
        Of the adopted weights; 0 before the first.
    age_seconds
        Of the adopted weights; None before the first.
    list_items, brought_items
        Items on users' lists that were ranked with a model, and those of them that the model brought.
    """

    version: float = 0.0
    age_seconds: float | None = None
    list_items: float = 0.0
    brought_items: float = 0.0

    @property
    def brought_share(self) -> float | None:
        """Share of the list items that the model brought; None before it ranked any."""
        return self.brought_items / self.list_items if self.list_items else None


def parse_neural_stats(samples: Iterable[Sample]) -> NeuralStats:
    """Parse the samples of one worker.

    Examples
    --------
    >>> from stream_app.tools.environment.metrics_endpoint import parse_samples
    >>> parse_neural_stats(parse_samples("headrace_neural_model_version 3.0")).version
    3.0
    """
    values = {_FIELDS[sample.name]: sample.value for sample in samples if sample.name in _FIELDS}
    age = values.pop("age_seconds", math.nan)
    return NeuralStats(**values, age_seconds=None if math.isnan(age) else age)


def combine_neural_stats(workers: Iterable[NeuralStats]) -> NeuralStats:
    """The oldest model of several workers, and the sums of their list items.

    Examples
    --------
    >>> newer = NeuralStats(version=3, age_seconds=2.0, list_items=60.0, brought_items=6.0)
    >>> older = NeuralStats(version=2, age_seconds=9.0, list_items=40.0)
    >>> combine_neural_stats([newer, older])
    NeuralStats(version=2, age_seconds=9.0, list_items=100.0, brought_items=6.0)
    """
    known = list(workers)
    oldest = min(known, key=lambda each: each.version, default=NeuralStats())
    return NeuralStats(
        version=oldest.version,
        age_seconds=oldest.age_seconds,
        list_items=sum(each.list_items for each in known),
        brought_items=sum(each.brought_items for each in known),
    )
