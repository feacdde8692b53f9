"""Runs ``headrace policies`` on a broker whose topics are lists of records."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import kafka
import msgspec
import pytest

from stream_app.__main__ import main
from stream_app.tools import policy_control
from topics.catalog import CONTROL, REWARDS, TopicSpec
from topics.records import GUARDRAIL, PolicyAssignment, Reward, RewardKind, Source


class CommandResult(NamedTuple):
    """Exit status and output of a command."""

    status: int
    stdout: str
    stderr: str


class Record(NamedTuple):
    """The fields of a Kafka record that the command reads."""

    key: bytes
    value: bytes
    timestamp: int


class CommandRunner:
    """Runs commands on a broker whose topics are lists."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.assignments: list[Record] = []
        self.rewards: list[bytes] = []
        self.now = 1.0
        self.broker_error: Exception | None = None
        self.closed = 0
        monkeypatch.setattr(policy_control, "topic_records", self._records)
        monkeypatch.setattr(policy_control, "raw_records", self._raw_records)
        monkeypatch.setattr(kafka, "KafkaProducer", self._producer)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv("HEADRACE_POLICIES", '{"fixed": 0.5, "thompson": 0.5}')

    def _records(self, _broker: str, topic: TopicSpec) -> Iterator[Record]:
        assert topic is CONTROL
        return iter(self.assignments.copy())

    def _raw_records(self, _broker: str, topic: TopicSpec) -> Iterator[tuple[str, bytes]]:
        assert topic is REWARDS
        return iter([(f"rewards[0]@{at}", value) for at, value in enumerate(self.rewards)])

    def _producer(self, **_: object) -> "CommandRunner":
        return self

    def send(self, topic: str, *, key: bytes, value: bytes, partition: int) -> "CommandRunner":
        assert (topic, key, partition) == (CONTROL.name, b"assignment", 0)
        self.record(key, value, self.now)
        return self

    def record(self, key: bytes, value: bytes, at: float) -> None:
        """Append a record with a timestamp of the broker."""
        self.assignments.append(Record(key, value, round(at * 1000)))

    def compact(self) -> None:
        """Keep the newest record of each key only."""
        newest = {record.key: record for record in self.assignments}
        self.assignments = [record for record in self.assignments if newest[record.key] is record]

    def get(self, timeout: float) -> None:
        assert timeout > 0
        if self.broker_error is not None:
            raise self.broker_error

    def close(self) -> None:
        self.closed += 1

    def headrace(self, *arguments: str) -> CommandResult:
        self._monkeypatch.setattr(sys, "argv", ["headrace", "policies", *arguments])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        stdout = self._capsys.readouterr()
        return CommandResult(status, stdout.out, stdout.err)

    def document(self, *arguments: str) -> Any:
        result = self.headrace("--json", *arguments)
        assert result.status == 0, result.stderr
        return json.loads(result.stdout)

    def newest(self) -> PolicyAssignment:
        """The latest record on the control topic."""
        return msgspec.json.decode(self.assignments[-1].value, type=PolicyAssignment)

    def guardrail_pauses(self, policy: str, at: float = 0.0, since: float | None = None) -> None:
        assignment = PolicyAssignment(
            weights={},
            paused=(policy,),
            author=GUARDRAIL,
            note="reward below the control",
            effective_time=since,
        )
        self.record(f"guardrail:{policy}".encode(), msgspec.json.encode(assignment), at)

    def operator_assigns(self, at: float, **weights: float) -> None:
        self.record(b"assignment", msgspec.json.encode(PolicyAssignment(weights=weights)), at)

    def simulate_lists(self, policy: str, *, clicks: float, users: int = 100, ts: float = 100.0) -> None:
        """Users of a policy see a list each; a share of them click."""
        rewards = self.rewards
        for n in range(users):
            common: dict[str, Any] = {
                "partition": 0, "line": 0, "ts": ts, "user_id": f"{policy} {n}", "list_id": f"l{n}", "policy": policy,
            }  # fmt: skip
            offset = len(rewards)
            impression = Reward(
                source=Source.IMPRESSION,
                offset=offset,
                kind=RewardKind.IMPRESSION,
                first_exposure=True,
                **common,
            )
            rewards.append(msgspec.msgpack.encode(impression))
            if n < clicks * users:
                click = Reward(
                    source=Source.CLICK,
                    offset=offset,
                    kind=RewardKind.CLICK,
                    value=1.0,
                    item_id="a",
                    **common,
                )
                # a duplicate, as after a crash, counts once
                rewards += [msgspec.msgpack.encode(click)] * 2


def table_rows(stdout: str) -> Mapping[str, list[str]]:
    """Cells of the table by policy."""
    return {cells[0]: cells[1:] for line in stdout.splitlines() if (cells := line.split())}
