"""``headrace policies``: metrics by policy as a table and as JSON."""

import pytest

from stream_app.experiment.confidence_sequence import half_width
from tests.support.policies_command_runner import CommandRunner, table_rows


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
    assert " ".join(table[0].split()) == "policy share users displayed lists clicks / list reward / list"
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
