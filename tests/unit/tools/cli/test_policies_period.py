"""``headrace policies``: the period of the results."""

import time
from collections.abc import Iterator

import pytest

from tests.support.policies_command_runner import CommandRunner, table_rows

DAY = 86_400.0
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


@pytest.mark.parametrize("days", ["30000", "1e12", "1e300"])
def test_days_before_the_epoch_include_all_lists(days: str, with_two_periods: CommandRunner) -> None:
    stdout = with_two_periods.headrace("--days", days).stdout
    assert stdout.startswith("All lists that Kafka retains. The split changed on 2026-11-24 18:00 UTC: ")
    assert with_two_periods.document("--days", days)["since"] is None


def test_a_time_beyond_the_calendar_is_displayed_as_a_number(runner: CommandRunner) -> None:
    runner.guardrail_pauses("thompson", since=1e300)
    result = runner.headrace()
    assert result.status == 0, result.stderr
    assert result.stdout.startswith("Since 1e+300, when the split last changed; ")
