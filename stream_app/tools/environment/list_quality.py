"""Quality of lists beyond accuracy, from the workers' metrics: diversity and exposure."""

import math
from collections.abc import Iterable
from typing import Final

import msgspec
from prometheus_client.samples import Sample

_GAUGE_FIELDS: Final = {
    "headrace_list_dissimilarity_ratio": "dissimilarity",
    "headrace_list_categories": "categories",
    "headrace_catalog_coverage_ratio": "coverage",
    "headrace_exposure_gini_ratio": "gini",
    "headrace_exposure_long_tail_ratio": "long_tail_share",
    "headrace_exposure_new_items_ratio": "new_items_share",
}


class ListQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Values of recent users' lists, each None before it is known.

    Attributes
    ----------
    dissimilarity
        Intra-list diversity: mean dissimilarity of two items by categories, brand and price band, from 0 to 1.
    categories
        Mean number of distinct categories per list.
    coverage
        Share of the known items that were on a list.
    gini
        Gini coefficient of exposure over all known items; 0 is equal exposure.
    long_tail_share, new_items_share
        Share of list entries that are long-tail items and new items.
    """

    dissimilarity: float | None = None
    categories: float | None = None
    coverage: float | None = None
    gini: float | None = None
    long_tail_share: float | None = None
    new_items_share: float | None = None


def parse_list_quality(samples: Iterable[Sample]) -> tuple[float, ListQuality]:
    """Parse the values of one worker and the number of lists behind them.

    Examples
    --------
    >>> from stream_app.tools.environment.metrics_endpoint import parse_samples
    >>> parse_list_quality(parse_samples('headrace_exposure_gini_ratio 0.25'))[1].gini is None  # no list yet
    True
    """
    lists, values = 0.0, {}
    for sample in samples:
        if sample.name in _GAUGE_FIELDS:
            values[_GAUGE_FIELDS[sample.name]] = None if math.isnan(sample.value) else sample.value
        elif sample.name == "headrace_lists_published_total" and sample.labels.get("kind") == "user":
            lists = sample.value
    return lists, ListQuality(**values) if lists else ListQuality()


def mean_list_quality(workers: Iterable[tuple[float, ListQuality]]) -> ListQuality:
    """Mean of each value over the workers that know it, weighted by their published lists.

    Coverage is a mean as well, a lower bound: the union over workers is not known.

    Examples
    --------
    >>> mean_list_quality([(1.0, ListQuality(gini=0.25)), (3.0, ListQuality(gini=0.75)), (9.0, ListQuality())]).gini
    0.625
    """
    values = list(workers)
    means: dict[str, float | None] = {}
    for name in ListQuality.__struct_fields__:
        available = [(lists, value) for lists, each in values if (value := getattr(each, name)) is not None]
        weight = sum(lists for lists, _ in available)
        means[name] = sum(lists * value for lists, value in available) / weight if weight else None
    return ListQuality(**means)
