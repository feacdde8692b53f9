"""What a run of the demo comes to, as it is written with ``--report``."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from stream_app.tools.demo.search_comparison import SearchComparison
from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.environment.policy_stats import PolicyStats
from stream_app.tools.environment.worker_metrics import WorkerMetrics


class Quantiles(msgspec.Struct, frozen=True):
    """Two quantiles of a time, in milliseconds; None without observations."""

    p50: float | None
    p99: float | None


class PerListInterval(msgspec.Struct, frozen=True):
    """A figure per list seen and its interval; None where there are too few shoppers to tell."""

    mean: float | None
    low: float | None
    high: float | None


class DemoPolicyReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one policy did, as the screen shows it; see `PolicyStats`."""

    share: float
    paused: bool
    users: int
    clicks_per_list: PerListInterval
    purchases_per_list: PerListInterval
    revenue_per_list: PerListInterval


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run.

    Attributes
    ----------
    events_read
        Rows taken from the log (or events of the generated shop); = accepted + duplicates + dead_lettered +
        ignored. The catalog of the generated shop is not counted.
    accepted, duplicates, dead_lettered
        What the workers made of them.
    ignored
        Rows of kinds that Headrace has no use for.
    users
        Distinct shoppers in what was sent.
    lists_published
        Lists of any kind acknowledged by Redis.
    search_lists_published
        Of those, the orders of shoppers' searches.
    events_per_second
        Events with an outcome over the time from the first event sent to the last list published.
    freshness_ms
        From the broker's time of an event to its list in Redis.
    redis_read_ms
        One read of a shopper's list with the client, at the end of the run.
    hit_rate_at_20, mrr_at_20
        Of the item looked at next, on the list that the shopper had by then; None before anyone had one.
    list_quality
        Diversity of shoppers' lists, and how their places were shared out among the items; see `ListQuality`.
    policies
        How those that order lists did, by name, since shoppers were last split anew; empty where one alone does.
    latest_search
        The search seen last with both its orders, the first places of each; None if nobody searched.
    seconds
        Feeding and finishing.
    workers
        Worker processes.
    interrupted
        Whether the run was ended by a signal.
    unfinished
        Events sent that had no outcome when the run was ended; left out of `events_read`.
    reads
        Reads behind `redis_read_ms`.
    users_read, users_with_list
        Distinct shoppers among them (all, up to 20,000), and those with a list of their own.
    """

    events_read: int
    accepted: int
    duplicates: int
    dead_lettered: int
    ignored: int
    users: int
    lists_published: int
    search_lists_published: int
    events_per_second: float
    freshness_ms: Quantiles
    redis_read_ms: Quantiles
    hit_rate_at_20: float | None
    mrr_at_20: float | None
    list_quality: ListQuality
    policies: dict[str, DemoPolicyReport]
    latest_search: SearchComparison | None
    seconds: float
    workers: int
    interrupted: bool
    unfinished: int
    reads: int
    users_read: int
    users_with_list: int


def freshness_ms(worker_metrics: WorkerMetrics) -> Quantiles:
    """Freshness out of the workers' histogram."""
    return Quantiles(*(_milliseconds(worker_metrics.freshness.quantile(q)) for q in (0.5, 0.99)))


def quantiles_ms(seconds: Sequence[float]) -> Quantiles:
    """Quantiles of single measurements: the smallest value with at least that share at or below it.

    Examples
    --------
    >>> quantiles_ms([0.001 * n for n in range(1, 101)])
    Quantiles(p50=50.0, p99=99.0)
    """
    if not seconds:
        return Quantiles(None, None)
    ordered = sorted(seconds)
    return Quantiles(*(_milliseconds(ordered[-(-len(ordered) * percent // 100) - 1]) for percent in (50, 99)))


def build_policy_reports(policies: Mapping[str, PolicyStats]) -> dict[str, DemoPolicyReport]:
    """How policies did; nothing of one alone, since there is nothing to compare it with.

    Examples
    --------
    >>> few = PolicyStats(share=0.5, users=9.0, clicks=(0.25, -math.inf, math.inf))
    >>> build_policy_reports({"fixed": few, "thompson": PolicyStats(share=0.5)})["fixed"].clicks_per_list
    PerListInterval(mean=0.25, low=None, high=None)
    """
    if len(policies) < 2:
        return {}
    return {
        name: DemoPolicyReport(
            share=each.share,
            paused=each.paused,
            users=round(each.users),
            clicks_per_list=_per_list(each.clicks),
            purchases_per_list=_per_list(each.purchases),
            revenue_per_list=_per_list(each.revenue),
        )
        for name, each in policies.items()
    }


def _per_list(bounds: tuple[float, float, float]) -> PerListInterval:
    return PerListInterval(*(bound if math.isfinite(bound) else None for bound in bounds))


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 4)
