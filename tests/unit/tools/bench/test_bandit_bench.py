"""The comparison with River's policies, with short runs."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from stream_app.tools.bench import bandit
from stream_app.tools.bench.bandit_agents import BENCH_AGENTS
from stream_app.tools.bench.bandit_environments import ENVIRONMENTS


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("gymnasium")
    report: Path = tmp_path_factory.mktemp("bandit") / "bandit.json"
    with pytest.MonkeyPatch.context() as patch:
        for environment in ENVIRONMENTS.values():
            patch.setattr(environment, "steps", 150)
        patch.setattr(bandit, "measure_latency", lambda _: {})

        app = typer.Typer()
        app.command()(bandit.bench)
        result = CliRunner().invoke(app, ["--seeds", "2", "--report", str(report)])
    assert result.exit_code == 0, result.output
    assert "ThompsonSampling" in result.output
    return json.loads(report.read_text())


def test_every_policy_runs_on_every_environment(results: Any) -> None:
    assert set(results["environments"]) == set(ENVIRONMENTS) == set(BENCH_AGENTS)
    for environment, each in results["environments"].items():
        assert set(each["agents"]) == {
            *BENCH_AGENTS[environment],
            bandit.LOOP_POLICY_ONLY,
            bandit.LOOP_WITH_PROBLEM,
        }
        for entry in each["agents"].values():
            assert 0 <= entry["regret"]["low"] <= entry["regret"]["mean"] <= entry["regret"]["high"]


def test_policies_beat_river_on_the_linear_problem(results: Any) -> None:
    for name in ("thompson", "linucb"):
        against = results["environments"]["LinearProblem"]["agents"][name]["versus_river"][
            "River LinUCBDisjoint"
        ]
        assert against["regret_difference"]["high"] < 0
        assert against["speed_ratio"] > 5


def test_compiled_loop_matches_the_policy_it_replaces(results: Any) -> None:
    linear = results["environments"]["LinearProblem"]["agents"]
    assert (
        linear[bandit.LOOP_POLICY_ONLY]["regret"]["mean"]
        < 0.5 * linear["River LinUCBDisjoint"]["regret"]["mean"]
    )
    for each in results["environments"].values():
        with_problem, policy_only = (
            each["agents"][name]["steps_per_second"]
            for name in (bandit.LOOP_WITH_PROBLEM, bandit.LOOP_POLICY_ONLY)
        )
        assert policy_only > with_problem > 10_000


@pytest.fixture(scope="module")
def short_results() -> Any:
    """Runs long enough to learn; River's LinUCBDisjoint alone would take ten seconds for the contest."""
    pytest.importorskip("gymnasium")
    with pytest.MonkeyPatch.context() as patch:
        for environment, steps in (
            ("KArmedTestbed", 500),
            ("CandyCaneContest", 1_000),
            ("LinearProblem", 300),
        ):
            patch.setattr(ENVIRONMENTS[environment], "steps", steps)
        patch.setattr(bandit, "LOOP_RUNS", 5)
        contest = BENCH_AGENTS["CandyCaneContest"]
        patch.setitem(
            BENCH_AGENTS,
            "CandyCaneContest",
            {name: make for name, make in contest.items() if name != "River LinUCBDisjoint"},
        )
        return bandit.measure_regret(3, lambda _: None)


@pytest.mark.parametrize("environment", list(ENVIRONMENTS))
def test_regret_is_not_above_river(short_results: Any, environment: str) -> None:
    agents = short_results[environment]["agents"]
    river_regrets = [entry["regret"]["mean"] for name, entry in agents.items() if name.startswith("River")]
    our_regrets = {
        name: entry["regret"]["mean"] for name, entry in agents.items() if not name.startswith("River")
    }
    assert max(our_regrets.values()) <= min(river_regrets), (our_regrets, river_regrets)


@pytest.mark.parametrize("environment", list(ENVIRONMENTS))
def test_compiled_loop_is_much_faster_than_river(short_results: Any, environment: str) -> None:
    for comparison in short_results[environment]["agents"][bandit.LOOP_POLICY_ONLY]["versus_river"].values():
        # over 20 on an idle machine (docs/bandit.md)
        assert comparison["speed_ratio"] > 10


def test_latency_is_measured_for_every_policy() -> None:
    latency = bandit.measure_latency(20)
    assert latency["thompson"]["decision_us"]["p50"] > latency["fixed"]["decision_us"]["p50"] > 0
