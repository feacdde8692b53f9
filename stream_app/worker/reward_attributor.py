"""Rewards: what reactions to published lists were worth, sent to Kafka and learned at once.

The matching itself is pure, in `state.attribution`. Here its outcome is sent, folded into this worker's models and
counted. A reward read back from Kafka after a crash (`stream_app.worker.list_recovery`) is not made again; one that
never got there is, with the same place, and whoever holds it already drops it.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from state.attribution import AttributionRules, attribute
from state.dedup import Place
from state.list_store import ListMemory
from state.log_progress import Logged
from stream_app.kafka.append import Append
from stream_app.metrics import Metrics
from stream_app.worker.replica import Replica
from topics.catalog import REWARDS
from topics.events import Erasure, Impression, Purchase, Search, UserEvent
from topics.records import Line, Reward, RewardKind

_encoder: Final = msgspec.msgpack.Encoder()


class Rewards:
    """Makes rewards of the shoppers' events.

    Parameters
    ----------
    memory
        The lists that shoppers have.
    logged
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
        memory: ListMemory,
        logged: Logged,
        replica: Replica,
        append: Append,
        metrics: Metrics,
        rules: AttributionRules,
    ) -> None:
        self._memory = memory
        self._logged = logged
        self._replica = replica
        self._append = append
        self._metrics = metrics
        self._rules = rules
        self._delivered: dict[int, Callable[[int], None]] = {}

    def take(self, event: UserEvent, place: Place, ts: float, *, anew: bool) -> None:
        """Reward what an event reacts to; pass an erasure on to whoever learns from rewards.

        Parameters
        ----------
        event
            An event that is no duplicate.
        place
            Where it stood.
        ts
            The broker's time of it.
        anew
            Whether it is taken for the first time; one read again is not counted as unattributed again.
        """
        self._memory.take_event(place.partition, ts)
        if isinstance(event, Search):
            return
        first = self._logged.first_line(place)
        if first is None:
            return
        if isinstance(event, Erasure):
            if first == 0:
                self._mark_erasure(event, place, ts)
            return
        if isinstance(event, Purchase):
            event = self._plausible(event)
        rewards, unattributed = attribute(self._memory, event, place, ts, self._rules, first)
        # An impression of what is not ours, or shown before, is nothing to worry about.
        if anew and not isinstance(event, Impression):
            for reason in unattributed:
                self._metrics.unattributed.labels(str(reason)).inc()
        for reward in rewards:
            self._send(reward)
            self._replica.fold_own_reward(reward)
            self._count(reward)

    def _plausible(self, order: Purchase) -> Purchase:
        """The order, less the prices of lines that cannot be what they say: these count as of unknown price.

        One price of a thousand million by a slip of the keyboard would outweigh all other rewards for weeks.
        """
        outliers = self._replica.models.outliers
        odd = [outliers.flags(Line(line.item_id, line.quantity, line.price)) for line in order.items]
        if not any(odd):
            return order
        lines = [
            msgspec.structs.replace(line, price=0) if is_odd else line
            for line, is_odd in zip(order.items, odd, strict=True)
        ]
        return msgspec.structs.replace(order, items=lines)

    def _mark_erasure(self, event: Erasure, place: Place, ts: float) -> None:
        # Behind the shopper's rewards in their partition: an interaction alone may be read before these.
        erasure = Reward(
            source=place.source,
            partition=place.partition,
            offset=place.offset,
            line=0,
            ts=ts,
            user_id=event.user_id,
            list_id="",
            policy="",
            kind=RewardKind.ERASURE,
        )
        self._send(erasure)
        self._replica.fold_own_reward(erasure)

    def _send(self, reward: Reward) -> None:
        partition = reward.partition
        delivered = self._delivered.get(partition)
        if delivered is None:
            delivered = self._delivered[partition] = partial(self._on_delivered, partition)
        self._append(REWARDS.name, partition, reward.user_id.encode(), _encoder.encode(reward), delivered)

    def _on_delivered(self, partition: int, offset: int) -> None:
        self._replica.delivered(partition, offset, REWARDS.name)
        self._logged.delivered(REWARDS.name, partition, offset)

    def _count(self, reward: Reward) -> None:
        metrics, policy = self._metrics, reward.policy
        if reward.seen:
            metrics.policy_items_seen.labels(policy).inc(len(reward.seen))
            if reward.opens:
                metrics.policy_lists_seen.labels(policy).inc()
        if reward.kind is RewardKind.IMPRESSION:
            return
        kind = str(reward.kind)
        metrics.rewards.labels(kind, policy).inc()
        metrics.reward_value.labels(policy, "loss" if reward.value < 0 else "gain").inc(abs(reward.value))
        metrics.reward_delay.labels(kind).observe(reward.delay)
        if reward.revenue:
            metrics.reward_revenue.labels(policy).inc(reward.revenue)
