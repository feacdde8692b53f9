"""Attributes user events to published lists, sends the rewards to Kafka and learns them at once.

The rule is pure, in `state.attribution`. Here its rewards are sent, folded into this worker's models and counted.
After a crash a replayed event does not repeat rewards that are in the log (`stream_app.worker.list_recovery` reads
them); a missing reward is sent again with the same record id, and a replica that already has it drops it.
"""

from typing import Final

import msgspec

from state.attribution import AttributionRules, Unattributed, attribute
from state.dedup import RecordId
from state.list_store import PublishedListStore
from state.log_progress import LogProgress
from stream_app.kafka.append import DeliveryCallbacks, RecordAppender
from stream_app.metrics import Metrics
from stream_app.publishing.drift_watch import DriftWatch
from stream_app.worker.replica import Replica
from topics.catalog import REWARDS
from topics.event_types import BY_STRUCT, Effect
from topics.events import UserEvent
from topics.log_keys import reward_key
from topics.records import Reward, RewardKind

_encoder: Final = msgspec.msgpack.Encoder()


class RewardAttributor:
    """Creates the rewards of user events.

    Parameters
    ----------
    log_progress
        Which rewards are already in the log.
    drift
        Watches the clicks per list; None watches nothing.
    """

    def __init__(
        self,
        list_store: PublishedListStore,
        log_progress: LogProgress,
        replica: Replica,
        append: RecordAppender,
        metrics: Metrics,
        rules: AttributionRules,
        drift: DriftWatch | None = None,
    ) -> None:
        self._list_store = list_store
        self._log_progress = log_progress
        self._replica = replica
        self._append = append
        self._metrics = metrics
        self._rules = rules
        self._drift = drift
        self._delivery_callbacks: Final = DeliveryCallbacks(self._on_delivered)
        self._unattributed: Final = {
            reason: metrics.unattributed.labels(str(reason)) for reason in Unattributed
        }

    def process_event(self, event: UserEvent, record_id: RecordId, ts: float, *, is_new: bool) -> None:
        """Attribute an event and send its rewards; an erasure is sent to the learners of rewards.

        Parameters
        ----------
        event
            An event that is not a duplicate.
        ts
            The broker's timestamp of the event, seconds since the epoch.
        is_new
            Whether the event is processed for the first time; unattributed reactions of a replayed event are not
            counted again.
        """
        self._list_store.advance_watermark(record_id.partition, ts)
        effect = BY_STRUCT[type(event)].effect
        if effect is Effect.SEARCH:
            return
        first_line = self._log_progress.first_unrewarded_line(record_id)
        if first_line is None:
            return
        if effect is Effect.ERASURE:
            if first_line == 0:
                self._send_erasure(event.user_id, record_id, ts)
            return
        is_outlier = self._replica.models.outliers.is_outlier
        rewards, unattributed = attribute(
            self._list_store, event, record_id, ts, self._rules, first_line, is_outlier
        )
        # An impression of a foreign list, or a repeated one, is no loss of a reward: it is not counted.
        if is_new and effect is not Effect.EXPOSURE:
            for reason in unattributed:
                self._unattributed[reason].inc()
        for reward in rewards:
            self._send(reward)
            self._replica.fold_local_reward(reward)
            self._record_metrics(reward)
            if self._drift is not None:
                self._drift.on_reward(reward)

    def _send_erasure(self, user_id: str, record_id: RecordId, ts: float) -> None:
        # The erasure follows the user's rewards in their partition; the interaction of the erasure, on another topic,
        # may be read before these rewards.
        erasure = Reward(
            source=record_id.source,
            partition=record_id.partition,
            offset=record_id.offset,
            line=0,
            ts=ts,
            user_id=user_id,
            list_id="",
            policy="",
            kind=RewardKind.ERASURE,
        )
        self._send(erasure)
        self._replica.fold_local_reward(erasure)

    def _send(self, reward: Reward) -> None:
        partition = reward.partition
        key = reward_key(reward.user_id.encode(), reward.source, partition, reward.offset, reward.line)
        value = _encoder.encode(reward)
        self._append(REWARDS.name, partition, key, value, self._delivery_callbacks[partition])

    def _on_delivered(self, partition: int, offset: int) -> None:
        self._replica.on_delivered(partition, offset, REWARDS.name)
        self._log_progress.on_delivered(REWARDS.name, partition, offset)

    def _record_metrics(self, reward: Reward) -> None:
        metrics, policy = self._metrics, reward.policy
        if reward.seen:
            metrics.policy_items_seen.labels(policy).inc(len(reward.seen))
            if reward.first_exposure:
                metrics.policy_lists_seen.labels(policy).inc()
        if reward.kind is RewardKind.IMPRESSION:
            return
        kind = str(reward.kind)
        metrics.rewards.labels(kind, policy).inc()
        metrics.reward_value.labels(policy, "loss" if reward.value < 0 else "gain").inc(abs(reward.value))
        metrics.reward_delay.labels(kind).observe(reward.delay)
        if reward.revenue:
            metrics.reward_revenue.labels(policy).inc(reward.revenue)
