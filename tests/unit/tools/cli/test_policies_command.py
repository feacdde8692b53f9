"""``headrace policies`` from the command line, with lists of records in place of Kafka."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import kafka
import msgspec
import pytest
from kafka.errors import KafkaTimeoutError, NotLeaderForPartitionError

from stream_app.__main__ import main
from stream_app.bandit.policy_registry import POLICIES
from stream_app.experiment.confidence_sequence import half_width
from stream_app.tools import policy_control
from topics.catalog import CONTROL, REWARDS, TopicSpec
from topics.records import GUARDRAIL, PolicyAssignment, Reward, RewardKind, Source

DAY = 86_400.0


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


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandRunner:
    return CommandRunner(monkeypatch, capsys)


def table_rows(stdout: str) -> Mapping[str, list[str]]:
    """Cells of the table by policy."""
    return {cells[0]: cells[1:] for line in stdout.splitlines() if (cells := line.split())}


# Results


def test_table_has_metrics_with_intervals_and_lift_over_the_control(
    runner: CommandRunner,
) -> None:
    runner.simulate_lists("fixed", clicks=0.4)
    runner.simulate_lists("thompson", clicks=0.5)
    result = runner.headrace()
    assert (result.status, result.stderr) == (0, "")
    header = result.stdout.splitlines()[1]
    assert "clicks / list" in header
    assert "against fixed" in header
    fixed, thompson = table_rows(result.stdout)["fixed"], table_rows(result.stdout)["thompson"]
    # squares about the mean: 40 · 0.6² + 60 · 0.4² = 24, one additional click: 25 over 100 users
    assert fixed[:5] == ["settings", "100", "100", "0.4000", f"±{half_width(100) * (25 / 100) ** 0.5:.4f}"]
    assert thompson[:4] == ["settings", "100", "100", "0.5000"]
    assert thompson[-2:] == ["+25.0%", "clicks"]


def test_policies_with_too_few_users_have_no_interval(runner: CommandRunner) -> None:
    runner.operator_assigns(1.0, fixed=1, thompson=1)
    runner.simulate_lists("fixed", clicks=0.5, users=10)
    stdout = runner.headrace().stdout
    assert table_rows(stdout)["fixed"] == ["50%", "10", "10", "0.5000", "0.0000", "0.0000", "0.5000"]
    assert table_rows(stdout)["thompson"] == ["50%", "0", "0"]


def test_missing_impressions_are_mentioned(runner: CommandRunner) -> None:
    assert "No impressions are known" in runner.headrace().stdout
    runner.simulate_lists("fixed", clicks=0.5)
    assert "No impressions are known" not in runner.headrace().stdout


def test_json_has_the_same_metrics_and_null_for_unknown_bounds(runner: CommandRunner) -> None:
    runner.operator_assigns(1.0, fixed=1, thompson=1)
    runner.simulate_lists("fixed", clicks=0.4)
    runner.simulate_lists("thompson", clicks=0.5, users=10)
    policies = runner.document()["policies"]
    fixed, thompson = policies["fixed"], policies["thompson"]
    assert (fixed["share"], fixed["users"], fixed["lists_seen"]) == (0.5, 100, 100)
    clicks = fixed["clicks_per_list"]
    assert clicks["low"] < clicks["mean"] == 0.4 < clicks["high"]
    assert thompson["clicks_per_list"] == {"mean": 0.5, "low": None, "high": None}


def test_days_option_limits_the_metrics(runner: CommandRunner) -> None:
    runner.operator_assigns(1.0, fixed=1)
    runner.simulate_lists("fixed", clicks=0.5)
    assert runner.document("--days", "1")["policies"]["fixed"]["users"] == 0
    assert runner.document("--days", "0")["policies"]["fixed"]["users"] == 100


AT = 1_795_543_200.0
"""2026-11-24 18:00 in UTC."""


@pytest.fixture
def with_two_periods(runner: CommandRunner, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandRunner]:
    """A bad period with mostly thompson, then a good one; both policies are equal in each."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    runner.operator_assigns(AT - 3 * DAY, fixed=1, thompson=9)
    runner.simulate_lists("fixed", clicks=0.1, ts=AT - 2 * DAY)
    runner.simulate_lists("thompson", clicks=0.1, users=900, ts=AT - 2 * DAY)
    runner.operator_assigns(AT, fixed=9, thompson=1)
    runner.simulate_lists("fixed", clicks=0.5, users=900, ts=AT + 60)
    runner.simulate_lists("thompson", clicks=0.5, ts=AT + 60)
    yield runner
    monkeypatch.undo()
    time.tzset()


def test_metrics_start_when_the_assignment_last_changed(with_two_periods: CommandRunner) -> None:
    stdout = with_two_periods.headrace().stdout
    assert stdout.splitlines()[0] == (
        "Since 2026-11-24 18:00 UTC, when the split last changed; `--all` includes all lists that Kafka retains."
    )
    assert table_rows(stdout)["fixed"][1:4] == ["900", "900", "0.5000"]
    assert table_rows(stdout)["thompson"][1:4] == ["100", "100", "0.5000"]
    assert table_rows(stdout)["thompson"][-2:] == ["+0.0%", "clicks"]
    document = with_two_periods.document()
    assert document["since"] == AT
    assert document["policies"]["fixed"]["lists_seen"] == 900


@pytest.mark.parametrize("options", [("--all",), ("--days", "0")])
def test_all_option_warns_about_the_changed_assignment(
    options: tuple[str, ...], with_two_periods: CommandRunner
) -> None:
    stdout = with_two_periods.headrace(*options).stdout
    assert stdout.splitlines()[0] == (
        "All lists that Kafka retains. The split changed on 2026-11-24 18:00 UTC: "
        "the policies' lists are of different times."
    )
    assert table_rows(stdout)["fixed"][2] == "1,000"
    document = with_two_periods.document(*options)
    assert document["since"] is None
    assert document["policies"]["fixed"]["lists_seen"] == 1_000


def test_days_option_warns_about_the_changed_assignment(
    with_two_periods: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: AT + DAY)
    stdout = with_two_periods.headrace("--days", "2.5").stdout
    assert stdout.splitlines()[0].startswith(
        "Since 2026-11-23 06:00 UTC. The split changed on 2026-11-24 18:00"
    )
    assert with_two_periods.headrace("--days", "0.5").stdout.splitlines()[0] == "Since 2026-11-25 06:00 UTC."


def test_all_and_days_exclude_each_other(runner: CommandRunner) -> None:
    result = runner.headrace("--all", "--days", "1")
    assert (result.status, result.stdout) == (2, "")
    assert "--all and --days exclude each other" in result.stderr


def test_guardrail_starts_a_period_and_a_no_op_change_does_not(
    with_two_periods: CommandRunner,
) -> None:
    with_two_periods.now = AT + 600
    with_two_periods.headrace("share", "fixed=0.9", "thompson=0.1")
    assert with_two_periods.document()["since"] == AT
    with_two_periods.guardrail_pauses("thompson", at=AT + 900)
    assert with_two_periods.document()["since"] == AT + 900
    with_two_periods.now = AT + 901
    with_two_periods.headrace("pause", "thompson")
    assert with_two_periods.document()["since"] == AT + 900


def test_period_uses_the_broker_timestamp(runner: CommandRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: AT - DAY)
    runner.now = AT
    runner.headrace("share", "fixed=1", "thompson=9")
    assert runner.document()["since"] == AT


def test_the_period_is_the_same_after_compaction(runner: CommandRunner) -> None:
    for at, arguments in enumerate(
        (
            ("share", "fixed=1", "thompson=1", "linucb=1"),
            ("pause", "linucb"),
            ("resume", "linucb"),
            ("share", "fixed=2", "thompson=2", "linucb=2", "--note", "the same"),
            ("resume", "fixed"),
        )
    ):
        runner.now = 10.0 + at
        assert runner.headrace(*arguments).status == 0
        before = runner.document()
        runner.compact()
        assert runner.document() == before
    assert before["since"] == 12.0
    assert len(runner.assignments) == 1


def test_output_defines_clicks(runner: CommandRunner) -> None:
    for stdout in (runner.headrace().stdout, runner.headrace("--help").stdout):
        arguments = " ".join(stdout.split())
        assert "first positive reaction" in arguments
        assert "a click, a cart, a wishlist or a share" in arguments


# Narrow terminals


@pytest.fixture
def narrow(runner: CommandRunner, monkeypatch: pytest.MonkeyPatch) -> CommandRunner:
    monkeypatch.setenv("COLUMNS", "80")
    weights = {"session_value": 0.5, "item_thompson": 0.3, "epsilon_greedy": 0.1, "fixed": 0.1}
    runner.operator_assigns(1.0, **weights)
    for name in weights:
        runner.simulate_lists(name, clicks=0.5, users=1_500)
    return runner


def test_narrow_terminal_keeps_full_names_and_lists_omitted_columns(narrow: CommandRunner) -> None:
    stdout = narrow.headrace().stdout
    table = stdout.splitlines()[1:6]
    assert max(map(len, table)) <= 80
    assert not any("…" in line for line in table)
    assert " ".join(table[0].split()) == "policy share users lists seen clicks / list reward / list"
    assert {*table_rows(stdout)} >= {"session_value", "item_thompson", "epsilon_greedy", "fixed"}
    assert table_rows(stdout)["session_value"][:4] == ["50%", "1,500", "1,500", "0.5000"]
    left_out = "revenue / list, purchases / list, against fixed"
    assert f"Too narrow for {left_out}: widen the terminal, or see --json." in stdout


@pytest.mark.parametrize("columns", [40, 60])
def test_names_are_never_truncated(
    columns: int, narrow: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = narrow.headrace().stdout.splitlines()
    assert {"session_value", "item_thompson"} <= {line.split()[0] for line in lines if line}


def test_policies_without_weight_or_lists_have_no_row(runner: CommandRunner) -> None:
    runner.operator_assigns(1.0, fixed=1, thompson=0, linucb=0, popularity=0)
    runner.simulate_lists("thompson", clicks=0.5)
    rows = table_rows(runner.headrace().stdout)
    assert {"fixed", "thompson"} == {*rows} & {"fixed", "thompson", "linucb", "popularity"}


# Published assignments


def test_assignment_is_published_and_displayed(runner: CommandRunner) -> None:
    result = runner.headrace("share", "fixed=1", "thompson=3", "--note", "the test is over")
    assert (result.status, result.stderr) == (0, "")
    assert "workers follow within a second" in result.stdout
    assignment = runner.newest()
    assert (assignment.weights, assignment.author, assignment.note) == (
        {"fixed": 1.0, "thompson": 3.0},
        "operator",
        "the test is over",
    )
    assert runner.closed == 1
    assert table_rows(runner.headrace().stdout)["thompson"][0] == "75%"


def test_policy_missing_from_the_settings_is_named(runner: CommandRunner) -> None:
    result = runner.headrace("share", "fixed=1", "linucb=1")
    assert result.status == 0
    assert "HEADRACE_POLICIES here has no linucb" in result.stdout


def test_policy_is_paused_and_resumed(runner: CommandRunner) -> None:
    runner.headrace("share", "fixed=1", "thompson=1")
    assert runner.headrace("pause", "thompson").stdout == "thompson: paused.\n"
    assert table_rows(runner.headrace().stdout)["thompson"][0] == "paused"
    assert runner.document()["policies"]["fixed"]["share"] == 1.0
    assert runner.headrace("resume", "thompson").stdout == "thompson: resumed.\n"
    assert table_rows(runner.headrace().stdout)["thompson"][0] == "50%"


@pytest.mark.parametrize("local_policies", ['{"fixed": 1}', '{"fixed": 0, "thompson": 1, "linucb": 3}'])
def test_local_settings_do_not_change_the_assignment_of_workers(
    local_policies: str, runner: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_POLICIES", local_policies)
    for arguments in (("pause", "thompson"), ("resume", "thompson"), ("resume", "popularity")):
        assert runner.headrace(*arguments).status == 0
        assert runner.newest().weights == {}
    runner.headrace("share", "fixed=1", "thompson=3")
    runner.headrace("pause", "thompson")
    assert runner.newest().weights == {"fixed": 1.0, "thompson": 3.0}


def test_without_a_published_assignment_the_workers_settings_hold(runner: CommandRunner) -> None:
    runner.simulate_lists("linucb", clicks=0.5)
    runner.headrace("pause", "thompson")
    stdout = runner.headrace().stdout
    assert (
        "No split was published by `share`: workers split users by their own HEADRACE_POLICIES "
        "(in this shell: fixed=0.5, thompson=0.5)."
    ) in stdout
    rows = table_rows(stdout)
    assert (rows["linucb"][0], rows["thompson"][0]) == ("settings", "paused")
    assert {name: each["share"] for name, each in runner.document()["policies"].items()} == {
        "linucb": None,
        "thompson": None,
    }
    runner.headrace("share", "fixed=1", "linucb=1")
    assert "No split was published" not in runner.headrace().stdout


def test_control_has_all_users_when_all_policies_are_paused(runner: CommandRunner) -> None:
    runner.headrace("share", "fixed=1", "thompson=1")
    runner.headrace("pause", "fixed")
    runner.guardrail_pauses("thompson")
    rows = table_rows(runner.headrace().stdout)
    assert (rows["fixed"][0], rows["thompson"][0]) == ("100%", "paused")


def test_policy_paused_by_the_guardrail_is_displayed_as_such(runner: CommandRunner) -> None:
    runner.guardrail_pauses("thompson")
    stdout = runner.headrace().stdout
    assert table_rows(stdout)["thompson"][0] == "paused"
    assert "Paused by the guardrail: thompson (`headrace policies resume` resumes them)." in stdout
    document = runner.document()
    assert document["operator"]["paused"] == []
    assert document["guardrail"]["paused"] == ["thompson"]
    assert document["policies"]["thompson"]["paused"] is True


def test_last_active_policy_cannot_be_paused(runner: CommandRunner) -> None:
    runner.operator_assigns(1.0, fixed=1, thompson=1)
    runner.guardrail_pauses("thompson")
    result = runner.headrace("pause", "fixed")
    assert result.status != 0
    assert "No policy would get users" in result.stderr
    assert runner.document()["policies"]["fixed"]["share"] == 1.0


@pytest.mark.parametrize("arguments", [("share", "fixed=1", "thompson=9"), ("resume", "fixed")])
def test_guardrail_pauses_are_not_copied_to_the_operator_record(
    arguments: tuple[str, ...], runner: CommandRunner
) -> None:
    runner.guardrail_pauses("thompson")
    assert runner.headrace(*arguments).status == 0
    assert "thompson" not in runner.newest().paused
    assert runner.document()["policies"]["thompson"]["paused"] is True


def test_resumed_policy_stays_active_after_another_assignment(
    runner: CommandRunner,
) -> None:
    runner.guardrail_pauses("thompson")
    runner.headrace("resume", "thompson")
    runner.headrace("share", "fixed=1", "thompson=3")
    assert runner.newest().guardrail_exempt == ("thompson",)
    assert table_rows(runner.headrace().stdout)["thompson"][0] == "75%"
    assert "Paused by the guardrail" not in runner.headrace().stdout


def test_policy_paused_by_an_operator_is_not_exempt_after_resume(
    runner: CommandRunner,
) -> None:
    runner.headrace("share", "fixed=1", "thompson=1")
    runner.headrace("pause", "thompson")
    runner.headrace("resume", "thompson")
    assert runner.newest().guardrail_exempt == ()
    runner.guardrail_pauses("thompson")
    assert table_rows(runner.headrace().stdout)["thompson"][0] == "paused"


def test_policy_paused_by_the_guardrail_is_exempt_after_resume(
    runner: CommandRunner,
) -> None:
    runner.headrace("share", "fixed=1", "thompson=1", "linucb=1")
    runner.guardrail_pauses("thompson")
    runner.headrace("pause", "linucb")
    runner.headrace("resume", "thompson", "linucb")
    assert runner.newest().guardrail_exempt == ("thompson",)
    for arguments in (
        ("resume", "thompson"),
        ("pause", "linucb"),
        ("pause", "thompson"),
        ("resume", "thompson"),
    ):
        runner.headrace(*arguments)
    assert runner.newest().guardrail_exempt == ("thompson",)
    assert table_rows(runner.headrace().stdout)["thompson"][0] == "50%"


def test_help_explains_which_policies_the_guardrail_does_not_pause(runner: CommandRunner) -> None:
    stdout = " ".join(runner.headrace("resume", "--help").stdout.split())
    assert "A policy that the guardrail had paused is exempt from the guardrail from now on" in stdout
    assert "one that only an operator had paused is not" in stdout


# Errors


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("share", "fixd=1"), "There is no policy 'fixd'; there are fixed, popularity, thompson,"),
        (("share", "fixed"), "'fixed' is not POLICY=WEIGHT, such as thompson=0.9."),
        (("share", "fixed=much"), "'fixed=much' is not POLICY=WEIGHT"),
        (("share", "fixed=1", "thompson=-1"), "the weight of policy 'thompson' must be 0 or more, not -1.0."),
        (("share", "fixed=nan"), "the weight of policy 'fixed' must be 0 or more, not nan."),
        (("share", "fixed=0"), "one policy at least needs a weight above 0."),
        (("share", "fixed=1", "fixed=2"), "fixed has two weights; give one."),
        (("pause", "linucbb"), "There is no policy 'linucbb'; there are fixed, popularity, thompson,"),
        (("pause", *POLICIES), "No policy would get users"),
        (("resume", "thomson"), "There is no policy 'thomson'; there are fixed, popularity, thompson,"),
    ],
)
def test_invalid_command_is_one_sentence_and_publishes_nothing(
    arguments: tuple[str, ...], expected: str, runner: CommandRunner
) -> None:
    result = runner.headrace(*arguments)
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr.startswith("headrace: ")
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert runner.assignments == []


@pytest.mark.parametrize(
    ("broker_error", "expected"),
    [
        (KafkaTimeoutError("60 s"), "No Kafka broker answers at localhost:9092."),
        (NotLeaderForPartitionError("at 3"), "The Kafka broker at localhost:9092 refused the request: "),
    ],
)
def test_broker_refusal_is_one_sentence(
    broker_error: Exception, expected: str, runner: CommandRunner
) -> None:
    runner.broker_error = broker_error
    result = runner.headrace("pause", "thompson")
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr.startswith(f"headrace: {expected}")
    assert result.stderr.count("\n") == 1
    assert runner.closed == 1


@pytest.mark.parametrize("arguments", [(), ("share", "fixed=1")], ids=["show", "share"])
def test_unavailable_broker_is_one_sentence(arguments: tuple[str, ...]) -> None:
    # in a subprocess: the Kafka client does not close its sockets if no broker answers
    code = (
        "from stream_app.kafka import broker_errors\n"
        "broker_errors.BOOTSTRAP_MS = 300\n"
        "from stream_app.__main__ import main\n"
        "main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "policies", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "HEADRACE_BROKER": "127.0.0.1:1"},
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "headrace: No Kafka broker answers at 127.0.0.1:1. Start one, or set HEADRACE_BROKER.\n"
    )


def test_invalid_records_are_skipped(runner: CommandRunner) -> None:
    runner.headrace("share", "fixed=1", "thompson=3")
    for value in (b"{", b'{"weights": {"fixed": -1}}', b'{"weights": {"fixed": 0}}', b"{}"):
        runner.record(b"assignment", value, 2.0)
    runner.rewards += [b"\xc1"]
    assert runner.document()["policies"]["thompson"]["share"] == 0.75
