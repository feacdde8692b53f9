"""Keeps the split of shoppers between policies: follows what is said of it, reports, and stops what does harm."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiokafka.structs import TopicPartition

from stream_app.agents.dead_letters import Append
from stream_app.log_consumer import log_consumer, stop_following
from stream_app.metrics import Metrics
from stream_app.ranker.live.comparison import Comparison, Figure
from stream_app.ranker.live.guard import Finding, findings
from stream_app.ranker.live.policies import LivePolicies
from stream_app.ranker.live.shares import Shares
from topics.catalogue import CONTROL
from topics.records import GUARD, PolicyShares, resting

_LOG: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(PolicyShares)


class PolicyKeeper:
    """Applies the newest word on the ``control`` topic, and adds the guard's.

    A word that changes the split begins the comparison anew, by its own time, which is the same on every worker. So
    does the first known word of an operator: the topic is compacted, and what that word changed cannot be told.

    Every worker tails the same rewards, so each comes to the same findings; whichever is first says so on the topic,
    and what the others add says the same.

    Parameters
    ----------
    live
        The policies.
    comparison
        What they have come to.
    metrics
        Shares, figures, policies at rest.
    append
        Where the guard's word goes.
    control
        The policy that the others are held against.
    margin
        Share of the control's reward per list that another may lack; 1 switches the guard off.
    broker
        Bootstrap servers.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        live: LivePolicies,
        comparison: Comparison,
        metrics: Metrics,
        append: Append,
        *,
        control: str,
        margin: float,
        broker: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._live = live
        self._comparison = comparison
        self._metrics = metrics.policies
        self._append = append
        self._control = control
        self._margin = margin
        self._broker = broker
        self._clock = clock
        self._settings = live.shares
        self._operator = PolicyShares(weights=live.shares.weights)
        self._guard = PolicyShares(weights={}, by=GUARD)
        self._heard_operator = False
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> "asyncio.Task[None]":
        """Apply what has been said so far, then follow; the task ends only when stopped, or with an error."""
        consumer = self._consumer = log_consumer(self._broker)
        await consumer.start()
        partition = TopicPartition(CONTROL.name, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        ends = await consumer.end_offsets([partition])
        while await consumer.position(partition) < ends[partition]:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for record in batch:
                    self.take(record.value)
        self.report()
        self._task = asyncio.create_task(self._follow(), name="policies")
        return self._task

    async def stop(self) -> None:
        """Stop following."""
        task, consumer, self._task, self._consumer = self._task, self._consumer, None, None
        await stop_following(task, consumer)

    async def _follow(self) -> None:
        async for record in self._consumer:
            self.take(record.value)
            self.report()

    def take(self, value: bytes | None) -> None:
        """Apply a record of the ``control`` topic; one that cannot be applied is told in the log and passed over."""
        if value is None:
            return
        try:
            said = _decoder.decode(value)
            if said.by != GUARD:
                Shares(said.weights)
        except (msgspec.DecodeError, ValueError) as error:
            _LOG.warning("a record on the control topic says nothing that holds: %s", error)
            return
        before, first = self._live.shares, False
        if said.by == GUARD:
            self._guard = said
        else:
            self._operator = said
            first, self._heard_operator = not self._heard_operator, True
        self._apply(said)
        if (first or not before.same_split(self._live.shares)) and self._comparison.begin(
            # by a clock that is ahead nothing would count until it is come up with
            min(said.ts, self._clock())
        ):
            # of the policies that have figures again, `report` tells
            self._metrics.shoppers.clear()
            self._metrics.figure.clear()
            _LOG.info("figures of policies begin anew with the lists from %s on", said.ts)

    def _apply(self, said: PolicyShares) -> None:
        """Split shoppers as the operator said, less what rests by the operator's word or the guard's."""
        weights = self._operator.weights
        if not any(weights.get(name, 0.0) > 0 for name in self._live.policies):
            _LOG.warning("none of %s is run here: the settings' split holds", ", ".join(weights))
            weights = self._settings.weights
        self._live.share(Shares(weights, self._resting))
        unknown = sorted(name for name in set(weights) - set(self._live.policies) if weights[name] > 0)
        if unknown:
            _LOG.warning(
                "no shopper goes to %s: this worker runs %s (HEADRACE_POLICIES)",
                ", ".join(unknown),
                ", ".join(self._live.policies),
            )
        _LOG.info(
            "shoppers are split %s, by the %s: %s", self._split(), said.by, said.note or "no reason given"
        )

    def guard(self) -> list[Finding]:
        """Put policies to rest that are surely worse than the control; return what was found."""
        if self._margin >= 1 or self._live.off:
            return []
        found = [
            each
            for each in findings(self._comparison, self._control, self._margin, resting=self._resting)
            if each.policy in self._live.policies and each.policy not in self._operator.trusted
        ]
        if found:
            notes = "; ".join(_told(each, self._control) for each in found)
            _LOG.warning("%s. `headrace policies resume` brings it back.", notes)
            resting = tuple(sorted({*self._guard.resting, *(each.policy for each in found)}))
            word = PolicyShares(weights={}, resting=resting, ts=self._clock(), by=GUARD, note=notes)
            value = _encoder.encode(word)
            # what this worker says holds for it at once
            self.take(value)
            self._append(CONTROL.name, 0, GUARD.encode(), value)
        return found

    @property
    def _resting(self) -> frozenset[str]:
        return resting(self._operator, self._guard)

    def report(self) -> None:
        """Set the gauges."""
        shares, metrics = self._live.shares, self._metrics
        for name in self._live.policies:
            metrics.share.labels(name).set(shares.fraction(name))
            metrics.resting.labels(name).set(name in shares.resting)
        for name, figures in self._comparison.policies.items():
            metrics.shoppers.labels(name).set(figures.shoppers)
            for figure in Figure:
                interval = figures.interval(figure)
                for bound, value in interval._asdict().items():
                    metrics.figure.labels(name, figure.name.lower(), bound).set(value)

    def _split(self) -> str:
        shares = self._live.shares
        return ", ".join(f"{name} {shares.fraction(name):.0%}" for name in self._live.policies)


def _told(found: Finding, control: str) -> str:
    mine, other = found.mine, found.control
    return (
        f"policy {found.policy} rests: its {found.figure.name.lower()} per list is {mine.mean:.4g} "
        f"[{mine.low:.4g}, {mine.high:.4g}], that of {control} {other.mean:.4g} [{other.low:.4g}, {other.high:.4g}]"
    )
