"""Follows the policy assignment on the control topic, reports policy metrics, and applies the guardrail."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from stream_app.experiment.assignment import Assignment
from stream_app.experiment.comparison import ListMetric, PolicyComparison
from stream_app.experiment.control import ControlState, assignment_key, parse_assignment
from stream_app.experiment.decay_record import DECAY_KEY
from stream_app.experiment.guardrail import GuardrailViolation, guardrail_violations
from stream_app.experiment.live_policies import LivePolicies
from stream_app.kafka.append import RecordAppender
from stream_app.kafka.event_logs import EVENT_LOGS_KEY, EventLogs, decode_event_logs
from stream_app.kafka.log_consumer import log_consumer, read_existing, stop_consumer_task
from stream_app.metrics import Metrics
from topics.catalog import CONTROL
from topics.events import format_time
from topics.kafka_connection import Broker
from topics.records import GUARDRAIL, PolicyAssignment

_LOG: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()


class PolicyController:
    """Applies the records of the ``control`` topic, and writes those of the guardrail.

    A record that changes the assignment restarts the comparison at the broker's timestamp of the record, which is
    equal on all workers.

    All workers read the same rewards, so each finds the same violations and writes them to the topic, unless it has
    already read them there. A pause takes effect when the record is read from the topic, on this worker too.

    Parameters
    ----------
    control
        The policy that the others are compared with.
    margin
        Share of the control's reward per list that another policy may lack; 1 disables the guardrail.
    clock
        Seconds since the epoch.

    Attributes
    ----------
    on_event_logs
        Called with each record about the topics of user events.
    on_decay
        Called with the value and the offset of each record about the decay.
    """

    def __init__(
        self,
        live: LivePolicies,
        comparison: PolicyComparison,
        metrics: Metrics,
        append: RecordAppender,
        *,
        control: str,
        margin: float,
        broker: Broker,
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
        self._default_weights = live.assignment.weights
        self._control_state = ControlState()
        self._pause_sent: set[str] = set()
        self.on_event_logs: Callable[[EventLogs], None] = lambda _: None
        self.on_decay: Callable[[bytes, int], None] = lambda _value, _offset: None
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> "asyncio.Task[None]":
        """Apply all existing records, then follow the topic; the task ends only when stopped, or with an error."""
        consumer = self._consumer = log_consumer(self._broker)
        await consumer.start()
        await read_existing(consumer, CONTROL.name, self._apply_consumed)
        self.report()
        self._task = asyncio.create_task(self._follow(), name="policies")
        return self._task

    async def stop(self) -> None:
        """Stop following."""
        task, consumer, self._task, self._consumer = self._task, self._consumer, None, None
        await stop_consumer_task(task, consumer)

    async def _follow(self) -> None:
        async for record in self._consumer:
            self._apply_consumed(record)
            self.report()

    def _apply_consumed(self, record: Any) -> None:
        self.apply_record(record.key, record.value, record.timestamp / 1000.0, record.offset)

    def apply_record(self, key: bytes, value: bytes | None, effective_time: float, offset: int) -> None:
        """Apply a record of the ``control`` topic; an invalid one is logged and ignored.

        Parameters
        ----------
        effective_time
            The broker's timestamp of the record, seconds since the epoch.
        offset
            Offset of the record, for the log.
        """
        if value is None:
            return
        if key == EVENT_LOGS_KEY:
            self.on_event_logs(decode_event_logs(value))
            return
        if key == DECAY_KEY:
            self.on_decay(value, offset)
            return
        try:
            assignment = parse_assignment(value)
        except ValueError as error:
            _LOG.warning("ignoring invalid record control[0]@%s: %s", offset, error)
            return
        self._control_state = self._control_state.apply(key, assignment, effective_time)
        self._apply(assignment)
        if self._comparison.start_period(self._control_state.effective_time):
            # `report` sets the gauges again for policies that have metrics.
            self._metrics.users.clear()
            self._metrics.metric.clear()
            _LOG.info(
                "policy assignment changed; metrics count from %s",
                format_time(self._control_state.effective_time),
            )

    def _apply(self, assignment: PolicyAssignment) -> None:
        """Assign users by the operator's weights, else by those of the settings, without paused policies."""
        weights = self._control_state.operator.weights
        if weights and not any(weights.get(name, 0.0) > 0 for name in self._live.policies):
            _LOG.warning(
                "this worker runs none of the assigned policies %s; using the weights of the settings",
                ", ".join(weights),
            )
            weights = {}
        weights = weights or self._default_weights
        self._live.set_assignment(Assignment(weights, self._control_state.paused, self._control))
        unknown = sorted(name for name in set(weights) - set(self._live.policies) if weights[name] > 0)
        if unknown:
            _LOG.warning(
                "assigning no users to %s: this worker runs only %s (HEADRACE_POLICIES)",
                ", ".join(unknown),
                ", ".join(self._live.policies),
            )
        _LOG.info(
            "policy assignment applied: %s; author %s; reason: %s",
            self._split(),
            assignment.author,
            assignment.note or "none",
        )

    def apply_guardrail(self) -> list[GuardrailViolation]:
        """Pause policies that are significantly worse than the control; return the violations."""
        if self._margin >= 1 or self._live.disabled:
            return []
        violations = [
            each
            # A pause stays valid until an operator resumes the policy: it is not sent twice.
            for each in guardrail_violations(
                self._comparison,
                self._control,
                self._margin,
                paused=self._control_state.paused | self._pause_sent,
            )
            if each.policy in self._live.policies
            and each.policy not in self._control_state.operator.guardrail_exempt
        ]
        for each in violations:
            comparison = _describe_violation(each, self._control)
            _LOG.warning(
                "policy %s paused: %s. Run `headrace policies resume` to resume it.", each.policy, comparison
            )
            note = f"policy {each.policy} paused: {comparison}"
            assignment = self._control_state.with_effective_time(
                PolicyAssignment(
                    weights={}, paused=(each.policy,), ts=self._clock(), author=GUARDRAIL, note=note
                ),
                self._control,
            )
            self._append(CONTROL.name, 0, assignment_key(assignment), _encoder.encode(assignment))
            self._pause_sent.add(each.policy)
        return violations

    def report(self) -> None:
        """Set the gauges."""
        assignment, metrics = self._live.assignment, self._metrics
        for name in self._live.policies:
            metrics.share.labels(name).set(assignment.fraction(name))
            metrics.paused.labels(name).set(name in assignment.paused)
        for name, policy_metrics in self._comparison.policies.items():
            metrics.users.labels(name).set(policy_metrics.users)
            for metric in ListMetric:
                interval = policy_metrics.interval(metric)
                for bound, value in interval._asdict().items():
                    # An axis of a dashboard has no room for infinity.
                    known = value if math.isfinite(value) else math.nan
                    metrics.metric.labels(name, metric.name.lower(), bound).set(known)

    def _split(self) -> str:
        assignment = self._live.assignment
        return ", ".join(f"{name} {assignment.fraction(name):.0%}" for name in self._live.policies)


def _describe_violation(violation: GuardrailViolation, control: str) -> str:
    measured, control_interval = violation.measured, violation.control
    return (
        f"its {violation.metric.name.lower()} per list is {measured.mean:.4g} "
        f"[{measured.low:.4g}, {measured.high:.4g}], that of {control} {control_interval.mean:.4g} "
        f"[{control_interval.low:.4g}, {control_interval.high:.4g}]"
    )
