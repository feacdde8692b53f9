"""The results of a demo run, as ``--report`` writes them."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from stream_app.tools.demo.search_comparison import SearchComparison
from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.environment.neural_stats import NeuralStats
from stream_app.tools.environment.policy_stats import PolicyStats
from stream_app.tools.environment.worker_metrics import ScrapedMetrics


class Quantiles(msgspec.Struct, frozen=True):
    """Two quantiles of a duration in milliseconds; None without observations."""

    p50: float | None
    p99: float | None


class PerListInterval(msgspec.Struct, frozen=True):
    """Mean per displayed list and its confidence interval; None where there are too few users."""

    mean: float | None
    low: float | None
    high: float | None


class DemoPolicyReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one policy, as on the screen; see `PolicyStats`."""

    share: float
    paused: bool
    users: int
    clicks_per_list: PerListInterval
    purchases_per_list: PerListInterval
    revenue_per_list: PerListInterval


class NeuralReport(msgspec.Struct, frozen=True, kw_only=True):
    """The two-tower model at the end of the run.

    Attributes
    ----------
    version
        Of the oldest model of the workers; 0 before the first.
    age_seconds
        Its age; None before the first.
    brought_share
        Share of the list items, ranked with a model, that the model brought; None without any.
    trainer_failure
        How the trainer ended before the run; empty if it did not.
    """

    version: int
    age_seconds: float | None
    brought_share: float | None
    trainer_failure: str = ""


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one run.

    Attributes
    ----------
    events_read
        Rows read from the log, or events of the generated shop: accepted + duplicates + dead_lettered + ignored.
        The generated shop's catalog is not included.
    accepted, duplicates, dead_lettered
        Events by outcome in the workers.
    ignored
        Rows of types that Headrace does not use.
    users
        Distinct users of the events sent.
    lists_published
        Lists of any kind acknowledged by Redis.
    search_lists_published
        Search lists among them.
    events_per_second
        Events with an outcome, divided by the time from the first event sent to the last list published.
    freshness_ms
        Time from an event's broker timestamp to its list in Redis.
    redis_read_ms
        Latency of one read of a user's list by the client, measured at the end of the run.
    hit_rate_at_20, mrr_at_20
        Of the next interaction's item on the user's current list; None before any user had a list.
    list_quality
        Diversity of users' lists and exposure of the items; see `ListQuality`.
    policies
        Results by policy since the policy assignment last changed; empty with a single policy.
    neural
        The two-tower model; None without ``--neural``.
    latest_search
        The latest search with the first ranks of both orders; None if there was no search.
    seconds
        Duration of feeding and draining.
    workers
        Worker processes.
    interrupted
        Whether a signal ended the run.
    unfinished
        Events sent without an outcome at the end of the run; not included in `events_read`.
    reads
        Number of reads behind `redis_read_ms`.
    users_read, users_with_list
        Distinct users of these reads (at most 20,000), and users among them with a personal list.
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
    neural: NeuralReport | None = None

    @property
    def has_failed_trainer(self) -> bool:
        """Whether the trainer ended before the run."""
        return self.neural is not None and bool(self.neural.trainer_failure)


def exit_status(report: DemoReport, *, is_log: bool) -> int:
    """The exit status of a run: 1 if something failed, 130 if a log was interrupted, else 0.

    Events of a log without an outcome are lost, or the workers hang: a failure.
    """
    if report.has_failed_trainer:
        return 1
    if report.interrupted:
        return 130 if is_log else 0
    return 1 if report.unfinished and is_log else 0


def neural_report(stats: NeuralStats, trainer_failure: str) -> NeuralReport:
    """The model as the report states it.

    Examples
    --------
    >>> stats = NeuralStats(version=2.0, age_seconds=4.04, list_items=20.0, brought_items=5.0)
    >>> neural_report(stats, "").age_seconds, neural_report(stats, "").brought_share
    (4.0, 0.25)
    """
    age = stats.age_seconds
    return NeuralReport(
        version=round(stats.version),
        age_seconds=None if age is None else round(age, 1),
        brought_share=stats.brought_share,
        trainer_failure=trainer_failure,
    )


def freshness_ms(worker_metrics: ScrapedMetrics) -> Quantiles:
    """Freshness quantiles of the workers' histogram."""
    return Quantiles(*(_milliseconds(worker_metrics.freshness.quantile(q)) for q in (0.5, 0.99)))


def quantiles_ms(seconds: Sequence[float]) -> Quantiles:
    """Nearest-rank quantiles of measurements in seconds.

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
    """Reports by policy; empty for a single policy, which has nothing to be compared with.

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
