"""The comparison with River's policies, cut short."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from stream_app.tools.bench import bandit
from stream_app.tools.bench.bandit_agents import ENTRANTS
from stream_app.tools.bench.bandit_environments import ENVIRONMENTS


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Any:
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


def test_every_policy_is_run_on_every_environment(figures: Any) -> None:
    assert set(figures["environments"]) == set(ENVIRONMENTS) == set(ENTRANTS)
    for environment, each in figures["environments"].items():
        assert set(each["entrants"]) == {*ENTRANTS[environment], bandit.LOOP, bandit.WHOLE}
        for entry in each["entrants"].values():
            assert 0 <= entry["regret"]["low"] <= entry["regret"]["mean"] <= entry["regret"]["high"]


def test_on_the_linear_problem_rivers_are_left_behind_early(figures: Any) -> None:
    for name in ("thompson", "linucb"):
        against = figures["environments"]["Linear"]["entrants"][name]["against"]["River LinUCBDisjoint"]
        assert against["regret_difference"]["high"] < 0
        assert against["speed_ratio"] > 5


def test_the_compiled_loop_plays_as_well_as_the_policy_it_stands_for(figures: Any) -> None:
    linear = figures["environments"]["Linear"]["entrants"]
    assert linear[bandit.LOOP]["regret"]["mean"] < 0.5 * linear["River LinUCBDisjoint"]["regret"]["mean"]
    for each in figures["environments"].values():
        whole, alone = (each["entrants"][name]["steps_per_second"] for name in (bandit.WHOLE, bandit.LOOP))
        assert alone > whole > 10_000


@pytest.fixture(scope="module")
def few_seeds() -> Any:
    """Runs long enough to learn in; River's LinUCBDisjoint alone would take ten seconds for the contest."""
    pytest.importorskip("gymnasium")
    with pytest.MonkeyPatch.context() as patch:
        for environment, steps in (("KArmedTestbed", 500), ("CandyCaneContest", 1_000), ("Linear", 300)):
            patch.setattr(ENVIRONMENTS[environment], "steps", steps)
        patch.setattr(bandit, "LOOP_RUNS", 5)
        contest = ENTRANTS["CandyCaneContest"]
        patch.setitem(
            ENTRANTS,
            "CandyCaneContest",
            {name: make for name, make in contest.items() if name != "River LinUCBDisjoint"},
        )
        return bandit.measure_regret(3, lambda _: None)


@pytest.mark.parametrize("environment", list(ENVIRONMENTS))
def test_no_regret_is_above_rivers(few_seeds: Any, environment: str) -> None:
    entrants = few_seeds[environment]["entrants"]
    rivers = [entry["regret"]["mean"] for name, entry in entrants.items() if name.startswith("River")]
    ours = {name: entry["regret"]["mean"] for name, entry in entrants.items() if not name.startswith("River")}
    assert max(ours.values()) <= min(rivers), (ours, rivers)


@pytest.mark.parametrize("environment", list(ENVIRONMENTS))
def test_a_compiled_loop_makes_many_times_the_steps_of_rivers(few_seeds: Any, environment: str) -> None:
    for rival in few_seeds[environment]["entrants"][bandit.LOOP]["against"].values():
        # over 20 on a quiet machine (docs/bandit.md)
        assert rival["speed_ratio"] > 10


def test_times_are_told_for_every_policy() -> None:
    latency = bandit.measure_latency(20)
    assert latency["thompson"]["decision_us"]["p50"] > latency["fixed"]["decision_us"]["p50"] > 0
