"""Rewards: what reactions to published lists were worth, sent to Kafka and learned at once.

The matching itself is pure, in `state.attribution`. Here its outcome is sent, folded into this worker's models and
counted. A reward read back from Kafka after a crash (`stream_app.worker.list_recovery`) is not made again; one that
never got there is, with the same place, and whoever holds it already drops it.
"""

from typing import Final

import msgspec

from state.attribution import AttributionRules, attribute
from state.dedup import RecordId
from state.list_store import PublishedListStore
from state.log_progress import LogProgress
from stream_app.kafka.append import DeliveryCallbacks, RecordAppender
from stream_app.metrics import Metrics
from stream_app.worker.replica import Replica
from topics.catalog import REWARDS
from topics.event_types import BY_STRUCT, Effect
from topics.events import Purchase, UserEvent
from topics.records import Line, Reward, RewardKind

_encoder: Final = msgspec.msgpack.Encoder()


class RewardAttributor:
    """Makes rewards of the shoppers' events.

    Parameters
    ----------
    memory
        The lists that shoppers have.
    log_progress
        How far Kafka holds the rewards already.
    replica
        Learns them.
    append
        Where they go.
    metrics
        Rewards, delays, reactions that are nobody's reward.
    rules
        Windows and values.
    """

    def __init__(
        self,
        memory: PublishedListStore,
        log_progress: LogProgress,
        replica: Replica,
        append: RecordAppender,
        metrics: Metrics,
        rules: AttributionRules,
    ) -> None:
        self._memory = memory
        self._log_progress = log_progress
        self._replica = replica
        self._append = append
        self._metrics = metrics
        self._rules = rules
        self._delivery_callbacks: Final = DeliveryCallbacks(self._on_delivered)

    def process_event(self, event: UserEvent, record_id: RecordId, ts: float, *, is_new: bool) -> None:
        """Reward what an event reacts to; pass an erasure on to whoever learns from rewards.

        Parameters
        ----------
        event
            An event that is no duplicate.
        record_id
            Where it stood.
        ts
            The broker's time of it.
        is_new
            Whether it is taken for the first time; one read again is not counted as unattributed again.
        """
        self._memory.advance_watermark(record_id.partition, ts)
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
        if isinstance(event, Purchase):
            event = self._without_implausible_prices(event)
        rewards, unattributed = attribute(self._memory, event, record_id, ts, self._rules, first_line)
        # An impression of what is not ours, or shown before, is nothing to worry about.
        if is_new and effect is not Effect.EXPOSURE:
            for reason in unattributed:
                self._metrics.unattributed.labels(str(reason)).inc()
        for reward in rewards:
            self._send(reward)
            self._replica.fold_local_reward(reward)
            self._record_metrics(reward)

    def _without_implausible_prices(self, order: Purchase) -> Purchase:
        """The order, less the prices of lines that cannot be what they say: these count as of unknown price.

        One price of a thousand million by a slip of the keyboard would outweigh all other rewards for weeks.
        """
        outliers = self._replica.models.outliers
        is_outlier_line = [
            outliers.is_outlier(Line(line.item_id, line.quantity, line.price)) for line in order.items
        ]
        if not any(is_outlier_line):
            return order
        lines = [
            msgspec.structs.replace(line, price=0) if is_outlier else line
            for line, is_outlier in zip(order.items, is_outlier_line, strict=True)
        ]
        return msgspec.structs.replace(order, items=lines)

    def _send_erasure(self, user_id: str, record_id: RecordId, ts: float) -> None:
        # Behind the shopper's rewards in their partition: an interaction alone may be read before these.
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
        key, value = reward.user_id.encode(), _encoder.encode(reward)
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
