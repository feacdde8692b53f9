"""``headrace policies share``, ``pause`` and ``resume``: published assignments and errors."""

import os
import subprocess
import sys

import pytest
from kafka.errors import KafkaTimeoutError, NotLeaderForPartitionError

from stream_app.bandit.policy_registry import POLICIES
from tests.support.policies_command_runner import CommandRunner, table_rows


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
