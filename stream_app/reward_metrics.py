"""The metrics of rewards, a group of `stream_app.metrics.Metrics`."""

from typing import Final

from prometheus_client import CollectorRegistry

from stream_app.metric_group import MetricGroup

_DELAY_BUCKETS: Final = (
    0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0,
)  # fmt: skip


class RewardMetrics(MetricGroup):
    """Attribution of reactions to published lists."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.rewards = self._counter(
            "headrace_rewards_total", "Reactions attributed to a list, by kind and policy.", "kind", "policy"
        )
        self.reward_value = self._counter(
            "headrace_reward_value_total",
            "Absolute value of the attributed reactions, by policy; sign is gain, or loss (dislike, hide).",
            "policy",
            "sign",
        )
        self.reward_revenue = self._counter(
            "headrace_reward_revenue_total",
            "Revenue (price times quantity) of the attributed purchases, by policy.",
            "policy",
        )
        self.reward_delay = self._histogram(
            "headrace_reward_delay_seconds",
            "Time from the publication of a list to a reaction to it, by the broker's timestamps.",
            "kind",
            buckets=_DELAY_BUCKETS,
        )
        self.unattributed = self._counter(
            "headrace_unattributed_reactions_total",
            "Reactions attributed to no list, by reason (no_list, unknown_list, not_on_list, not_seen, "
            "missing_list_id, too_late, repeated).",
            "reason",
        )
        self.retained_lists = self._gauge(
            "headrace_retained_lists", "Published lists in memory that reactions can be attributed to."
        )
