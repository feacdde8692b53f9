"""Keeps the split of shoppers between policies: follows what is said of it, reports, and stops what does harm."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiokafka.structs import TopicPartition

from stream_app.experiment.assignment import Shares
from stream_app.experiment.comparison import Comparison, Figure
from stream_app.experiment.control import Control, key_of, parse_word
from stream_app.experiment.guardrail import Finding, findings
from stream_app.experiment.live_policies import LivePolicies
from stream_app.kafka.append import Append
from stream_app.kafka.log_consumer import log_consumer, stop_following
from stream_app.metrics import Metrics
from topics.catalog import CONTROL
from topics.records import GUARD, PolicyShares

_LOG: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()


class PolicyKeeper:
    """Applies what holds of the ``control`` topic, and adds the guard's words.

    A word that changes the split begins the comparison anew, by the broker's time of it, which is the same on every
    worker.

    Every worker tails the same rewards, so each comes to the same findings and says so on the topic, unless it has
    heard it before. The guard's word holds once it comes back from there, as for the others.

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
        self._settings = live.shares.weights
        self._said = Control()
        self._rested: set[str] = set()
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
                    self.take(record.key, record.value, record.timestamp / 1000.0)
        self.report()
        self._task = asyncio.create_task(self._follow(), name="policies")
        return self._task

    async def stop(self) -> None:
        """Stop following."""
        task, consumer, self._task, self._consumer = self._task, self._consumer, None, None
        await stop_following(task, consumer)

    async def _follow(self) -> None:
        async for record in self._consumer:
            self.take(record.key, record.value, record.timestamp / 1000.0)
            self.report()

    def take(self, key: bytes, value: bytes | None, at: float) -> None:
        """Apply a record of the ``control`` topic; one that cannot be applied is told in the log and passed over.

        Parameters
        ----------
        key, value
            Of the record.
        at
            The broker's time of it, seconds since the epoch.
        """
        if value is None:
            return
        try:
            word = parse_word(value)
        except ValueError as error:
            _LOG.warning("a record on the control topic says nothing that holds: %s", error)
            return
        self._said = self._said.heard(key, word, at)
        self._apply(word)
        if self._comparison.begin(self._said.since):
            # of the policies that have figures again, `report` tells
            self._metrics.shoppers.clear()
            self._metrics.figure.clear()
            _LOG.info("figures of policies begin anew with the lists from %s on", self._said.since)

    def _apply(self, word: PolicyShares) -> None:
        """Split shoppers as the operator said, else as the settings do, less what rests by anybody's word."""
        weights = self._said.operator.weights
        if weights and not any(weights.get(name, 0.0) > 0 for name in self._live.policies):
            _LOG.warning("none of %s is run here: the settings' split holds", ", ".join(weights))
            weights = {}
        weights = weights or self._settings
        self._live.share(Shares(weights, self._said.resting, self._control))
        unknown = sorted(name for name in set(weights) - set(self._live.policies) if weights[name] > 0)
        if unknown:
            _LOG.warning(
                "no shopper goes to %s: this worker runs %s (HEADRACE_POLICIES)",
                ", ".join(unknown),
                ", ".join(self._live.policies),
            )
        _LOG.info(
            "shoppers are split %s, by the %s: %s", self._split(), word.by, word.note or "no reason given"
        )

    def guard(self) -> list[Finding]:
        """Put policies to rest that are surely worse than the control; return what was found."""
        if self._margin >= 1 or self._live.off:
            return []
        found = [
            each
            # what it said once holds until an operator trusts the policy: nothing is said again on the way there
            for each in findings(
                self._comparison, self._control, self._margin, resting=self._said.resting | self._rested
            )
            if each.policy in self._live.policies and each.policy not in self._said.operator.trusted
        ]
        for each in found:
            note = _told(each, self._control)
            _LOG.warning("%s. `headrace policies resume` brings it back.", note)
            word = self._said.dated(
                PolicyShares(weights={}, resting=(each.policy,), ts=self._clock(), by=GUARD, note=note)
            )
            self._append(CONTROL.name, 0, key_of(word), _encoder.encode(word))
            self._rested.add(each.policy)
        return found

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
