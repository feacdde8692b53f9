"""What the workers' metrics say, added up, and what was said a few seconds ago."""

import http.client
import math
import operator
from collections import deque
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from stream_app.tools.environment.histogram_quantiles import Buckets
from topics.catalog import SHOP_TOPICS

WINDOW_SECONDS: Final = 5.0
"""How far back "lately" reaches."""

_TIMEOUT: Final = 2.0
_OUTCOMES: Final = {"accepted": "accepted", "duplicate": "duplicates", "dead_lettered": "dead_lettered"}
_LISTS: Final = {"user": "lists_of_shoppers", "search": "lists_of_searches"}
_SUMS: Final = {
    "headrace_lists_published_total": "lists_published",
    "headrace_prequential_events_total": "judged",
    "headrace_prequential_hits_total": "hits",
    "headrace_prequential_reciprocal_rank_total": "reciprocal_rank",
    "headrace_dirty_users": "dirty_users",
    "headrace_hurried_users": "dirty_users",
    "headrace_replica_lag_messages": "lag_messages",
    "headrace_ready": "ready",
}
_TOPICS: Final = frozenset(spec.name for spec in SHOP_TOPICS)


class PolicyFigures(msgspec.Struct, frozen=True):
    """How one policy does, as every worker tells it alike.

    Attributes
    ----------
    share
        Of the shoppers.
    resting
        Whether the guard, or somebody, has put it to rest.
    shoppers
        Who saw a list of it.
    clicks, revenue, purchases
        Per list seen: mean, and the ends of an interval that holds at any time one looks; infinite while it has too
        few shoppers for one, NaN while nothing is told.
    """

    share: float = 0.0
    resting: bool = False
    shoppers: float = 0.0
    clicks: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    revenue: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    purchases: tuple[float, float, float] = (math.nan, math.nan, math.nan)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one worker, or of all together.

    Attributes
    ----------
    accepted, duplicates, dead_lettered
        Events by what became of them, descriptions of items among them.
    lists_published, lists_of_shoppers, lists_of_searches
        Lists acknowledged by Redis: of any kind, those of shoppers, and those of shoppers' searches.
    judged, hits, reciprocal_rank
        Item interactions of shoppers who had a list; those with an item on it; the sum of 1 / place.
    dirty_users
        Shoppers whose list waits to be published, or to be made again after one made in a hurry.
    lag_messages
        Interactions that replicas have not folded yet.
    ready
        Workers that are.
    freshness
        Seconds from the broker's time of an event to its list in Redis.
    """

    accepted: float = 0.0
    duplicates: float = 0.0
    dead_lettered: float = 0.0
    lists_published: float = 0.0
    lists_of_shoppers: float = 0.0
    lists_of_searches: float = 0.0
    judged: float = 0.0
    hits: float = 0.0
    reciprocal_rank: float = 0.0
    dirty_users: float = 0.0
    lag_messages: float = 0.0
    ready: float = 0.0
    freshness: Buckets = Buckets()

    def __add__(self, other: "Figures") -> "Figures":
        return self._with(other, operator.add)

    def since(self, before: "Figures") -> "Figures":
        """What was counted since; gauges stay as they are."""
        counted = self._with(before, operator.sub)
        return msgspec.structs.replace(
            counted, dirty_users=self.dirty_users, lag_messages=self.lag_messages, ready=self.ready
        )

    def _with(self, other: "Figures", combine: Callable[..., object]) -> "Figures":
        names = Figures.__struct_fields__
        combined: dict[str, Any] = {
            name: combine(getattr(self, name), getattr(other, name)) for name in names
        }
        return Figures(**combined)

    @property
    def finished(self) -> int:
        """Events that have an outcome."""
        return round(self.accepted + self.duplicates + self.dead_lettered)

    @property
    def hit_rate(self) -> float | None:
        """Share of judged interactions whose item was on the shopper's list."""
        return self.hits / self.judged if self.judged else None

    @property
    def mrr(self) -> float | None:
        """Mean reciprocal place of the item on the shopper's list, 0 where it was not on it."""
        return self.reciprocal_rank / self.judged if self.judged else None


def samples_of(text: str) -> list[Sample]:
    """The samples in what a worker serves at ``/metrics``."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def parse(samples: Iterable[Sample]) -> Figures:
    """Read the figures out of a worker's samples.

    Examples
    --------
    >>> parse(samples_of('headrace_events_total{topic="events.click",outcome="accepted"} 3.0')).accepted
    3.0
    """
    values: dict[str, Any] = {}
    buckets: dict[float, float] = {}
    for sample in samples:
        if sample.name == "headrace_lists_published_total" and sample.labels.get("kind") in _LISTS:
            values[_LISTS[sample.labels["kind"]]] = sample.value
        if sample.name in _SUMS:
            field = _SUMS[sample.name]
        elif sample.name == "headrace_events_total" and sample.labels.get("topic") in _TOPICS:
            field = _OUTCOMES.get(sample.labels.get("outcome", ""), "")
        elif sample.name == "headrace_freshness_seconds_bucket":
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
            continue
        else:
            continue
        if field and not math.isnan(sample.value):
            values[field] = values.get(field, 0.0) + sample.value
    bounds = tuple(sorted(buckets))
    return Figures(**values, freshness=Buckets(bounds, tuple(buckets[bound] for bound in bounds)))


_BOUNDS: Final = ("mean", "low", "high")
_PER_LIST: Final = frozenset({"clicks", "revenue", "purchases"})


def parse_policies(samples: Iterable[Sample]) -> dict[str, PolicyFigures]:
    """Read how the policies do that shoppers are, or were, split between, out of a worker's samples.

    A worker also tells how lists do that no policy had a say in (of searches, those made in a hurry, all where there
    is one policy only), by what ordered them. These have no share: nothing is to be compared with them.

    Examples
    --------
    >>> parse_policies(samples_of('headrace_policy_share_ratio{policy="fixed"} 1.0'))["fixed"].share
    1.0
    >>> parse_policies(samples_of('headrace_policy_shoppers{policy="learned"} 9.0'))
    {}
    """
    told: dict[str, dict[str, Any]] = {}
    for sample in samples:
        name = sample.labels.get("policy", "")
        if sample.name == "headrace_policy_share_ratio":
            told.setdefault(name, {})["share"] = sample.value
        elif sample.name == "headrace_policy_resting":
            told.setdefault(name, {})["resting"] = sample.value > 0
        elif sample.name == "headrace_policy_shoppers":
            told.setdefault(name, {})["shoppers"] = sample.value
        elif sample.name == "headrace_policy_figure_per_list" and sample.labels["figure"] in _PER_LIST:
            bounds = told.setdefault(name, {}).setdefault(sample.labels["figure"], [math.nan] * 3)
            bounds[_BOUNDS.index(sample.labels["bound"])] = sample.value
    split = {
        name: msgspec.convert(each, PolicyFigures) for name, each in sorted(told.items()) if "share" in each
    }
    return {name: each for name, each in split.items() if each.share or each.shoppers}


def total(all_figures: Iterable[Figures]) -> Figures:
    """All workers together."""
    return reduce(operator.add, all_figures, Figures())


def fetch(port: int) -> str | None:
    """What a worker on this machine serves at ``/metrics``; None if it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        body = response.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == http.client.OK else None


class History:
    """The figures of the last seconds, for what happens lately.

    Examples
    --------
    >>> history = History()
    >>> for second in range(9):
    ...     history.add(float(second), Figures(accepted=100.0 * second))
    >>> history.rate
    100.0
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[float, Figures]] = deque()

    def add(self, now: float, figures: Figures) -> None:
        """Take in the figures of a moment; forget those before the window."""
        self._kept.append((now, figures))
        while len(self._kept) > 2 and self._kept[1][0] <= now - WINDOW_SECONDS:
            self._kept.popleft()

    @property
    def lately(self) -> Figures:
        """What was counted within the window."""
        return self._kept[-1][1].since(self._kept[0][1]) if self._kept else Figures()

    @property
    def rate(self) -> float:
        """Events a second within the window."""
        if len(self._kept) < 2:
            return 0.0
        return self.lately.finished / (self._kept[-1][0] - self._kept[0][0])
