"""Every metric, declared once, on a registry of our own.

A `Metrics` object is made by the composition root and handed down, so that two applications in one process
(tests, the demo) never collide.
"""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

FRESHNESS_BUCKETS = (
    0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1,
    0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Seconds: fit for 5 ms to 10 s."""

_FAST_BUCKETS = (
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip

_DELAY_BUCKETS = (
    0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0,
)  # fmt: skip


class PolicyGauges:
    """How shoppers are split between policies, and how these do: the same on every worker.

    Parameters
    ----------
    registry
        Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.share = Gauge(
            "headrace_policy_share_ratio",
            "Share of the shoppers that a policy gets.",
            ["policy"],
            registry=registry,
        )
        self.paused = Gauge(
            "headrace_policy_paused",
            "1 while a policy gets nobody because the guard, or an operator, has put it to rest.",
            ["policy"],
            registry=registry,
        )
        self.users = Gauge(
            "headrace_policy_users",
            "Shoppers who saw a list of a policy since shoppers were last split anew.",
            ["policy"],
            registry=registry,
        )
        self.metric = Gauge(
            "headrace_policy_metric_per_list",
            "Clicks, purchases, revenue or reward value per list seen, by policy, over all workers' rewards of lists "
            "published since shoppers were last split anew; bound tells the mean from the ends of its interval, "
            "which holds at any time one looks.",
            ["policy", "metric", "bound"],
            registry=registry,
        )


class DiversityGauges:
    """How unlike one another the items of recent lists are; NaN while the catalog tells nothing of what is listed.

    Parameters
    ----------
    registry
        Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.dissimilarity = Gauge(
            "headrace_list_dissimilarity_ratio",
            "Mean dissimilarity of two items on a recent list of this worker, by categories, brand and price "
            "band: 0 is "
            "all alike.",
            registry=registry,
        )
        self.categories = Gauge(
            "headrace_list_categories",
            "Mean number of distinct narrowest categories in the first 20 places of a recent list of this worker.",
            registry=registry,
        )
        for gauge in (self.dissimilarity, self.categories):
            gauge.set(math.nan)


class DegradedRankingMetrics:
    """Lists that were made in a hurry.

    Parameters
    ----------
    registry
        Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lists = Counter(
            "headrace_lists_degraded_total",
            "Lists ranked in a hurry because one full flush followed another; made again when that is over.",
            registry=registry,
        )
        self.users = Gauge(
            "headrace_degraded_users",
            "Shoppers whose list was made in a hurry and is to be made again.",
            registry=registry,
        )


class PendingMetrics:
    """What waits for Redis.

    Parameters
    ----------
    registry
        Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.users = Gauge(
            "headrace_pending_users", "Shoppers whose list waits to be published.", registry=registry
        )
        self.items = Gauge(
            "headrace_pending_items", "Items whose list waits to be published.", registry=registry
        )
        self.evicted = Counter(
            "headrace_pending_evicted_total",
            "Shoppers dropped from the waiting set because it was full.",
            registry=registry,
        )
        self.erasures = Gauge(
            "headrace_pending_erasures",
            "Erased shoppers whose lists are still to be removed from Redis.",
            registry=registry,
        )


class Metrics:
    """The metrics of one worker.

    Parameters
    ----------
    registry
        Where they are registered; a new one by default.

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
        self.registry = registry if registry is not None else CollectorRegistry()
        r = self.registry
        self.ready = Gauge(
            "headrace_ready", "1 while this worker takes events; 0 while it starts or rebalances.", registry=r
        )
        self.events = Counter(
            "headrace_events_total",
            "Events read, by topic and outcome (accepted, duplicate, dead_lettered, replayed, rekeyed).",
            ["topic", "outcome"],
            registry=r,
        )
        self.dead_letters = Counter(
            "headrace_dead_letters_total",
            "Records that could not be taken, by reason.",
            ["reason"],
            registry=r,
        )
        self.duplicates = Counter(
            "headrace_duplicates_total", "Events whose id the shopper had sent before.", ["topic"], registry=r
        )
        self.freshness = Histogram(
            "headrace_freshness_seconds",
            "From the broker's timestamp of an event to Redis acknowledging the list that reflects it.",
            buckets=FRESHNESS_BUCKETS,
            registry=r,
        )
        self.ranking_seconds = Histogram(
            "headrace_ranking_seconds", "Time to rank one list.", buckets=_FAST_BUCKETS, registry=r
        )
        self.ranking_failures = Counter(
            "headrace_ranking_failures_total", "Lists that could not be ranked; see the log.", registry=r
        )
        self.degraded = DegradedRankingMetrics(r)
        self.flush_seconds = Histogram(
            "headrace_flush_seconds",
            "Time of one Redis pipeline, sent to acknowledged.",
            buckets=FRESHNESS_BUCKETS,
            registry=r,
        )
        self.flush_lists = Histogram(
            "headrace_flush_lists",
            "Lists in one Redis pipeline.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=r,
        )
        self.lists_published = Counter(
            "headrace_lists_published_total",
            "Lists acknowledged by Redis, by kind (user, search, item, query, segment).",
            ["kind"],
            registry=r,
        )
        self.flush_failures = Counter(
            "headrace_flush_failures_total", "Redis pipelines that failed and are tried again.", registry=r
        )
        self.replica_lag_messages = Gauge(
            "headrace_replica_lag_messages",
            "Interactions and rewards not yet folded into this replica.",
            registry=r,
        )
        self.replica_lag_seconds = Gauge(
            "headrace_replica_lag_seconds",
            "Age of the newest record read, while others are waiting; 0 when caught up.",
            registry=r,
        )
        self.interactions_folded = Counter(
            "headrace_interactions_folded_total", "Interactions learned by the models.", registry=r
        )
        self.interactions_dropped = Counter(
            "headrace_interactions_dropped_total",
            "Interactions at or below the replica's watermark: already learned.",
            registry=r,
        )
        self.rewards_folded = Counter(
            "headrace_rewards_folded_total", "Rewards learned by the policies.", registry=r
        )
        self.rewards_dropped = Counter(
            "headrace_rewards_dropped_total",
            "Rewards at or below the replica's watermark: already learned.",
            registry=r,
        )
        self.model_bytes = Gauge(
            "headrace_model_bytes", "Memory held by a model, in bytes.", ["model"], registry=r
        )
        self.model_items = Gauge("headrace_model_items", "Items that the models remember.", registry=r)
        self.model_users = Gauge("headrace_model_users", "Shoppers that the models remember.", registry=r)
        self.snapshot_seconds = Histogram(
            "headrace_snapshot_seconds", "Time to write a model snapshot.", registry=r
        )
        self.pending = PendingMetrics(r)
        self.table_users = Gauge("headrace_table_users", "Rows in this worker's users table.", registry=r)
        self.rebalances = Counter(
            "headrace_rebalances_total", "Times partitions were assigned to this worker.", registry=r
        )
        self.prequential_events = Counter(
            "headrace_prequential_events_total",
            "Item interactions of shoppers who had a list: the base of the hit rate.",
            registry=r,
        )
        self.prequential_hits = Counter(
            "headrace_prequential_hits_total",
            "Of those, interactions with an item that was on the list.",
            registry=r,
        )
        self.prequential_reciprocal_rank = Counter(
            "headrace_prequential_reciprocal_rank_total",
            "Sum over the hits of 1 / place on the list.",
            registry=r,
        )
        self.catalog_coverage = Gauge(
            "headrace_catalog_coverage_ratio",
            "Share of known items on at least one list published by this worker.",
            registry=r,
        )
        self.exposure_gini = Gauge(
            "headrace_exposure_gini_ratio",
            "Gini coefficient of the places of this worker's recent lists over all known items: 0 is even.",
            registry=r,
        )
        self.exposure_new = Gauge(
            "headrace_exposure_new_items_ratio",
            "Share of the places of recent lists that went to items first seen less than a day ago.",
            registry=r,
        )
        self.exposure_long_tail = Gauge(
            "headrace_exposure_long_tail_ratio",
            "Share of the places of recent lists beyond the items that make 80 % of the interactions.",
            registry=r,
        )
        self.diversity = DiversityGauges(r)
        self.purchase_outliers = Gauge(
            "headrace_purchase_outliers",
            "Order lines so far whose price or quantity kept them out of the models.",
            registry=r,
        )
        self.search_freshness = Histogram(
            "headrace_search_freshness_seconds",
            "From the broker's timestamp of a search to Redis acknowledging the order of its results.",
            buckets=FRESHNESS_BUCKETS,
            registry=r,
        )
        self.policy_lists = Counter(
            "headrace_policy_lists_total",
            "Shoppers' lists acknowledged by Redis, by the policy that ordered them.",
            ["policy"],
            registry=r,
        )
        self.policy_lists_seen = Counter(
            "headrace_policy_lists_seen_total",
            "Lists that are known to have been seen, by policy: shown by an impression event, or reacted to.",
            ["policy"],
            registry=r,
        )
        self.policy_items_seen = Counter(
            "headrace_policy_items_seen_total",
            "Places of lists that are known to have been seen, by policy.",
            ["policy"],
            registry=r,
        )
        self.policies = PolicyGauges(r)
        self.rewards = Counter(
            "headrace_rewards_total",
            "Reactions that were matched with the list they came from, by kind and policy.",
            ["kind", "policy"],
            registry=r,
        )
        self.reward_value = Counter(
            "headrace_reward_value_total",
            "What those reactions were worth, by policy; sign tells gains from losses (dislike, hide).",
            ["policy", "sign"],
            registry=r,
        )
        self.reward_revenue = Counter(
            "headrace_reward_revenue_total",
            "Price times quantity of the purchases among them, by policy.",
            ["policy"],
            registry=r,
        )
        self.reward_delay = Histogram(
            "headrace_reward_delay_seconds",
            "From the publication of a list to a reaction to it, by the broker's time.",
            ["kind"],
            buckets=_DELAY_BUCKETS,
            registry=r,
        )
        self.unattributed = Counter(
            "headrace_unattributed_reactions_total",
            "Reactions to items that no list was rewarded for, by reason (no_list, unknown_list, not_on_list, "
            "too_late, repeated).",
            ["reason"],
            registry=r,
        )
        self.retained_lists = Gauge(
            "headrace_retained_lists", "Published lists that reactions can be matched with.", registry=r
        )
        self.retained_lists_bytes = Gauge(
            "headrace_retained_lists_bytes", "Memory held by those lists, in bytes.", registry=r
        )
