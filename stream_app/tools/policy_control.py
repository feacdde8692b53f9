"""Reads results of policies and the current assignment from Kafka, and publishes assignments."""

import contextlib
import math
import time
from collections.abc import Iterable
from typing import Any

import kafka
import msgspec
from rich.console import Console

from stream_app.bandit.policy_registry import known_policies, require_policy
from stream_app.errors import UserError
from stream_app.experiment.assignment import Assignment
from stream_app.experiment.comparison import ListMetric, PolicyComparison
from stream_app.experiment.control import ControlState, assignment_key, parse_assignment
from stream_app.kafka.broker_errors import broker_errors
from stream_app.kafka.topic_reader import raw_records, topic_records
from stream_app.settings import Settings
from topics.broker_client import require_connection
from topics.catalog import CONTROL, REWARDS
from topics.client_arguments import client_arguments
from topics.records import Reward, RewardKind, Source


class PolicyControlClient:
    """The topics ``rewards`` and ``control`` of a broker.

    Parameters
    ----------
    settings
        The broker and the control policy. Their split of users is ignored: it is not that of the workers.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def control_state(self) -> ControlState:
        """The assignments in effect, of operators and the guardrail."""
        control_state = ControlState()
        for record in topic_records(self.settings.kafka, CONTROL):
            # workers ignore invalid records, too
            with contextlib.suppress(ValueError):
                control_state = control_state.apply(
                    record.key, parse_assignment(record.value or b""), record.timestamp / 1000.0
                )
        return control_state

    def comparison(self, since: float, console: Console) -> PolicyComparison:
        """Compute metrics from the rewards of lists published since a time; duplicates count once.

        Parameters
        ----------
        since
            Seconds since the epoch; 0 for all rewards that Kafka retains.
        """
        decoder = msgspec.msgpack.Decoder(Reward)
        comparison = PolicyComparison(self.settings.max_users)
        comparison.start_period(since)
        watermarks: dict[tuple[Source, int], tuple[int, int]] = {}
        with console.status("reading rewards") as status:
            for number, (_, value) in enumerate(raw_records(self.settings.kafka, REWARDS), 1):
                if number % 5_000 == 0:
                    status.update(f"reading rewards: {number:,} so far")
                try:
                    reward = decoder.decode(value)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # of another version
                source_partition, line = (reward.source, reward.partition), (reward.offset, reward.line)
                # duplicate: sent again after a crash
                if line <= watermarks.get(source_partition, (-1, -1)):
                    continue
                watermarks[source_partition] = line
                if reward.kind is RewardKind.ERASURE:
                    comparison.forget_user(reward.user_id)
                else:
                    comparison.on_reward(reward)
        return comparison

    def publish(self, control_state: ControlState, note: str, **changes: Any) -> None:
        """Publish the operator's assignment with changes, and wait for the acknowledgment.

        Policies paused by the guardrail are not copied into it: they stay paused by the guardrail's own records until
        an operator exempts them. Weights stay empty until an operator sets some.

        Raises
        ------
        UserError
            If no policy would get users, or Kafka rejects the record.
        """
        assignment = msgspec.structs.replace(
            control_state.operator, ts=time.time(), author="operator", note=note, **changes
        )
        paused_policies = control_state._replace(operator=assignment).paused
        # without published weights, any policy may have one in the settings of a worker
        weights = assignment.weights or dict.fromkeys(known_policies(), 1.0)
        if not any(weight > 0 and name not in paused_policies for name, weight in weights.items()):
            raise UserError(
                "No policy would get users: one with a weight must stay active, neither paused by an operator nor by "
                "the guardrail. `headrace policies` shows the paused ones; `headrace policies resume` resumes one."
            )
        assignment = control_state.with_effective_time(assignment, self.settings.control_policy)
        with broker_errors(self.settings.kafka):
            require_connection(self.settings.kafka)
            producer: Any = kafka.KafkaProducer(**client_arguments(self.settings.kafka), acks="all")
            try:
                future = producer.send(
                    CONTROL.name,
                    key=assignment_key(assignment),
                    value=msgspec.json.encode(assignment),
                    partition=0,
                )
                future.get(timeout=20)
            finally:
                producer.close()

    def document(self, control_state: ControlState, comparison: PolicyComparison) -> dict[str, Any]:
        """All results as plain data.

        Bounds are null for too few users; `since` is null for all rewards that Kafka retains; shares are null before
        the first weights.
        """
        names = sorted({*control_state.operator.weights, *control_state.paused, *comparison.policies})
        split = control_state.split(self.settings.control_policy)
        return {
            "operator": msgspec.to_builtins(control_state.operator),
            "guardrail": {
                "paused": sorted(control_state.paused_by_guardrail),
                "notes": [assignment.note for assignment in control_state.guardrail.values()],
            },
            "since": comparison.since or None,
            "policies": {
                name: {
                    "share": split.fraction(name) if split else None,
                    "paused": name in control_state.paused,
                    **_metrics(comparison, name),
                }
                for name in names
            },
        }


def parse_weights(arguments: Iterable[str]) -> dict[str, float]:
    """Parse weights by policy from the command line.

    Raises
    ------
    UserError
        If an argument, a policy or a weight is invalid.

    Examples
    --------
    >>> parse_weights(["thompson=0.9", "fixed=0.1"])
    {'thompson': 0.9, 'fixed': 0.1}
    >>> parse_weights(["river:bandit.UCB(delta=0.1)=1"])
    {'river:bandit.UCB(delta=0.1)': 1.0}
    """
    weights: dict[str, float] = {}
    for assignment in arguments:
        # a name of River may have arguments
        name, _, number = assignment.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            raise UserError(f"{assignment!r} is not POLICY=WEIGHT, such as thompson=0.9.") from None
        require_policies([name])
        if name in weights:
            raise UserError(f"{name} has two weights; give one.")
        weights[name] = weight
    try:
        Assignment(weights)
    except ValueError as error:
        raise UserError(f"{error}.") from None
    return weights


def require_policies(names: Iterable[str]) -> None:
    """Check that policies exist; workers need not run them.

    Raises
    ------
    UserError
        If a policy does not exist.
    """
    for name in names:
        require_policy(name)


def _metrics(comparison: PolicyComparison, name: str) -> dict[str, Any]:
    metrics = comparison.policies.get(name)
    if metrics is None:
        return {"users": 0, "lists_seen": 0}
    return {
        "users": metrics.users,
        "lists_seen": int(metrics.lists),
        **{
            f"{metric.name.lower()}_per_list": {
                bound: value if math.isfinite(value) else None
                for bound, value in metrics.interval(metric)._asdict().items()
            }
            for metric in ListMetric
        },
    }
