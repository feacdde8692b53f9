"""All Prometheus metrics of a worker, grouped by subject, on a registry of their own.

The composition root makes one `Metrics` object and passes it down, so that two applications in one process do not
collide. A component that needs one subject only declares that group as its parameter type.
"""

import math
from typing import Final

from prometheus_client import CollectorRegistry

from stream_app.drift_metrics import DriftMetrics
from stream_app.erasure_metrics import ErasureMetrics
from stream_app.metric_group import MetricGroup
from stream_app.neural_metrics import NeuralMetrics
from stream_app.reward_metrics import RewardMetrics
from stream_app.source_metrics import SourceMetrics
from stream_app.stage_metrics import StageMetrics

FRESHNESS_BUCKETS: Final = (
    0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1,
    0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Bucket bounds in seconds, from 5 ms to 10 s."""

_RANKING_BUCKETS: Final = (
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip


class WorkerMetrics(MetricGroup):
    """Readiness, rebalances and the users table."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.ready = self._gauge(
            "headrace_ready", "1 while this worker processes events; 0 while it starts or rebalances."
        )
        self.rebalances = self._counter(
            "headrace_rebalances_total", "Assignments of partitions to this worker."
        )
        self.table_users = self._gauge("headrace_table_users", "Rows in this worker's users table.")
        self.store_errors = self._counter(
            "headrace_store_errors_total",
            "Failed reads and writes of the local store; the worker takes no events until it works again.",
        )
        self.local_state_set_aside = self._counter(
            "headrace_local_state_set_aside_total",
            "Damaged files set aside, by kind (table, snapshot); the state is rebuilt from Kafka.",
            "kind",
        )
        self.rows_set_aside = self._counter(
            "headrace_rows_set_aside_total",
            "Rows that could not be decoded: a dead letter has the bytes, and the user has a new row.",
        )


class OwnershipMetrics(MetricGroup):
    """Recovery of the user table, and what was refused because another worker owns a partition."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.recovered_records = self._counter(
            "headrace_recovered_records_total", "Records of the changelog read into this worker's user table."
        )
        self.recovery_gaps = self._counter(
            "headrace_recovery_gaps_total",
            "Gaps in the offsets of the changelog that were checked at the broker: a compacted log, or a lost fetch.",
        )
        self.recovery_mismatches = self._counter(
            "headrace_recovery_mismatches_total",
            "Partitions that were read again because the rows written differ from the records read.",
        )
        self.records_dropped = self._counter(
            "headrace_records_dropped_total",
            "Records not sent to Kafka because this worker no longer owned their partition.",
        )
        self.documents_refused = self._counter(
            "headrace_documents_refused_total",
            "Documents that Redis refused because a later owner of their partition had written them.",
        )


class EventMetrics(MetricGroup):
    """Events by outcome."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.events = self._counter(
            "headrace_events_total",
            "Events read, by topic and outcome (accepted, duplicate, dead_lettered, replayed, rekeyed, misplaced).",
            "topic",
            "outcome",
        )
        self.events_skipped = self._counter(
            "headrace_events_skipped_total",
            "Records that retention removed before this worker read them, by topic.",
            "topic",
        )
        self.dead_letters = self._counter(
            "headrace_dead_letters_total", "Rejected records, by reason.", "reason"
        )
        self.step_failures = self._counter(
            "headrace_step_failures_total",
            "Steps of stored events that failed because of a defect, by step (measure, learn, attribute, mark).",
            "step",
        )
        self.duplicates = self._counter(
            "headrace_duplicates_total", "Events with an id that the user has sent before, by topic.", "topic"
        )


class ReplicaMetrics(MetricGroup):
    """Lag and folds of the model replica."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.replica_lag_messages = self._gauge(
            "headrace_replica_lag_messages", "Interactions and rewards not yet folded into this replica."
        )
        self.replica_lag_seconds = self._gauge(
            "headrace_replica_lag_seconds",
            "Age of the newest record read while more records are waiting; 0 when the replica has caught up.",
        )
        self.interactions_folded = self._counter(
            "headrace_interactions_folded_total", "Interactions learned by the models."
        )
        self.interactions_dropped = self._counter(
            "headrace_interactions_dropped_total",
            "Interactions not learned: at or below the replica's watermark, or invalid.",
        )
        self.interactions_unlearned = self._counter(
            "headrace_interactions_unlearned_total",
            "Interactions that models whose learning costs much did not learn, because the worker was overloaded.",
        )
        self.rewards_folded = self._counter(
            "headrace_rewards_folded_total", "Rewards learned by the policies."
        )
        self.rewards_dropped = self._counter(
            "headrace_rewards_dropped_total",
            "Rewards not learned: at or below the replica's watermark, or invalid.",
        )


class ModelMetrics(MetricGroup):
    """Size and snapshots of the models."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.memory_bytes = self._gauge(
            "headrace_memory_bytes",
            "Memory of a part of the worker, in bytes: process (libraries and code), rows, lists, pending, what the "
            "models share (items, sessions, outliers), and each model and ranker.",
            "part",
        )
        self.model_items = self._gauge("headrace_model_items", "Items in the models.")
        self.model_users = self._gauge("headrace_model_users", "Users in the models.")
        self.snapshot_seconds = self._histogram(
            "headrace_snapshot_seconds", "Time to write a model snapshot, in seconds."
        )
        self.snapshot_failures = self._counter(
            "headrace_snapshot_failures_total", "Model snapshots that could not be written."
        )
        self.purchase_outliers = self._gauge(
            "headrace_purchase_outliers",
            "Order lines that the models did not learn because price or quantity is an outlier.",
        )


class PendingMetrics(MetricGroup):
    """Lists to be published."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.users = self._gauge("headrace_pending_users", "Users whose list is waiting to be published.")
        self.items = self._gauge("headrace_pending_items", "Items whose list is waiting to be published.")
        self.evicted = self._counter(
            "headrace_pending_evicted_total", "Users removed from the pending queue because it was full."
        )
        self.erasures = self._gauge(
            "headrace_pending_erasures", "Erased users whose lists are not yet deleted from Redis."
        )


class DegradedRankingMetrics(MetricGroup):
    """Lists ranked on the fast path under overload."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.lists = self._counter(
            "headrace_lists_degraded_total",
            "Lists ranked by degraded ranking because events were queued; they are ranked again afterwards.",
        )
        self.users = self._gauge(
            "headrace_degraded_users", "Users with a degraded list that is waiting to be ranked again."
        )


class PublishingMetrics(MetricGroup):
    """Ranking, and publication to Redis."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.freshness = self._histogram(
            "headrace_freshness_seconds",
            "Time from the broker's timestamp of an event to Redis acknowledging the list that reflects it.",
            buckets=FRESHNESS_BUCKETS,
        )
        self.search_freshness = self._histogram(
            "headrace_search_freshness_seconds",
            "Time from the broker's timestamp of a search to Redis acknowledging its ranked results.",
            buckets=FRESHNESS_BUCKETS,
        )
        self.ranking_seconds = self._histogram(
            "headrace_ranking_seconds", "Time to rank one list.", buckets=_RANKING_BUCKETS
        )
        self.ranking_failures = self._counter(
            "headrace_ranking_failures_total", "Lists that could not be ranked; the log has the error."
        )
        self.flush_seconds = self._histogram(
            "headrace_flush_seconds",
            "Time of one Redis pipeline, from send to acknowledgement.",
            buckets=FRESHNESS_BUCKETS,
        )
        self.flush_lists = self._histogram(
            "headrace_flush_lists", "Lists in one Redis pipeline.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
        )
        self.flush_failures = self._counter(
            "headrace_flush_failures_total", "Redis pipelines that failed and are retried."
        )
        self.lists_published = self._counter(
            "headrace_lists_published_total",
            "Lists acknowledged by Redis, by kind (user, search, item, query, segment).",
            "kind",
        )
        self.lists_shortened = self._counter(
            "headrace_lists_shortened_total",
            "Lists that lost their last items because their record would exceed Kafka's limit.",
        )
        self.republications = self._counter(
            "headrace_republications_total",
            "Times that all lists of partitions were published again, because Redis lacked them or on request.",
        )
        self.republication_users = self._gauge(
            "headrace_republication_users", "Users that wait for their lists to be published again."
        )
        self.pending = PendingMetrics(registry)
        self.degraded = DegradedRankingMetrics(registry)


class DiversityGauges(MetricGroup):
    """Diversity of recent lists; NaN while the catalog has no attributes of the listed items."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.dissimilarity = self._gauge(
            "headrace_list_dissimilarity_ratio",
            "Mean dissimilarity of two items on a recent list of this worker, by categories, brand and price band; "
            "0 if all items are alike.",
        )
        self.categories = self._gauge(
            "headrace_list_categories",
            "Mean number of distinct narrowest categories in the first 20 ranks of a recent list of this worker.",
        )
        for gauge in (self.dissimilarity, self.categories):
            gauge.set(math.nan)


class ListQualityMetrics(MetricGroup):
    """Hit rate, coverage, exposure and diversity of the published lists."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.prequential_events = self._counter(
            "headrace_prequential_events_total",
            "Item interactions of users who had a list: the denominator of the hit rate.",
        )
        self.prequential_hits = self._counter(
            "headrace_prequential_hits_total", "Item interactions whose item was on the user's list."
        )
        self.prequential_reciprocal_rank = self._counter(
            "headrace_prequential_reciprocal_rank_total", "Sum of 1 / rank over the hits, with ranks from 1."
        )
        self.catalog_coverage = self._gauge(
            "headrace_catalog_coverage_ratio",
            "Share of known items on at least one list published by this worker.",
        )
        self.exposure_gini = self._gauge(
            "headrace_exposure_gini_ratio",
            "Gini coefficient of the exposure of all known items on this worker's recent lists; 0 is even.",
        )
        self.exposure_new = self._gauge(
            "headrace_exposure_new_items_ratio",
            "Share of recent list entries that are items first seen less than a day ago.",
        )
        self.exposure_long_tail = self._gauge(
            "headrace_exposure_long_tail_ratio",
            "Share of recent list entries outside the items that receive 80 % of the interactions.",
        )
        self.diversity = DiversityGauges(registry)


class PolicyGauges(MetricGroup):
    """Assignment of users to policies, and the comparison of policies; equal on all workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.share = self._gauge(
            "headrace_policy_share_ratio", "Share of the users that are assigned to a policy.", "policy"
        )
        self.paused = self._gauge(
            "headrace_policy_paused",
            "1 while a policy is paused by the guardrail or by an operator and has no users.",
            "policy",
        )
        self.users = self._gauge(
            "headrace_policy_users",
            "Users who saw a list of a policy since the policy assignment changed.",
            "policy",
        )
        self.metric = self._gauge(
            "headrace_policy_metric_per_list",
            "Clicks, purchases, revenue or reward value per displayed list, by policy, over all workers' rewards for "
            "lists published since the policy assignment changed; bound is the mean or an end of its "
            "anytime-valid confidence interval, NaN while there are too few users for one.",
            "policy",
            "metric",
            "bound",
        )


class PolicyListMetrics(MetricGroup):
    """Lists and exposures by policy."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.policy_lists = self._counter(
            "headrace_policy_lists_total",
            "User lists acknowledged by Redis, by the policy that ordered them.",
            "policy",
        )
        self.policy_lists_seen = self._counter(
            "headrace_policy_lists_seen_total",
            "Lists with an impression event or a reaction, by policy.",
            "policy",
        )
        self.policy_items_seen = self._counter(
            "headrace_policy_items_seen_total",
            "List entries seen according to an impression event or a reaction, by policy.",
            "policy",
        )
        self.policies = PolicyGauges(registry)


class Metrics(
    WorkerMetrics,
    OwnershipMetrics,
    EventMetrics,
    ReplicaMetrics,
    ModelMetrics,
    PublishingMetrics,
    ListQualityMetrics,
    PolicyListMetrics,
    RewardMetrics,
    ErasureMetrics,
    DriftMetrics,
    SourceMetrics,
    StageMetrics,
):
    """The metrics of one worker.

    Parameters
    ----------
    registry
        The registry that the metrics are added to; a new one by default.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.events.labels("events.click", "accepted").inc()
    >>> metrics.registry.get_sample_value(
    ...     "headrace_events_total", {"topic": "events.click", "outcome": "accepted"}
    ... )
    1.0
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry if registry is not None else CollectorRegistry())
        self.neural = NeuralMetrics(self.registry)
