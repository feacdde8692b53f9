"""`headrace check-model` on models of Headrace, of River and of a package."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from stream_app.errors import UserError
from stream_app.tools.cli import check_model, settings
from stream_app.tools.model_checks.model_check import Checks, ModelCheck, Outcome, check, expect, run_checks
from stream_app.tools.model_checks.suite import CHECKS
from tests.support.installed_package import install

FORGETFUL = """
from stream_app.bandit.fixed import Fixed
from stream_app.ranking.fusion.weighted import WeightedFusion
from stream_app.models.user_knn import UserKNN

class Forgetful(UserKNN):
    name = "forgetful"
    def forget_user(self, user):
        pass

class GreedyShop(Fixed):
    name = "greedy_shop"
    def decide(self, features, k, seed, items=None):
        slate = super().decide(features, k, seed, items)
        return slate._replace(propensities=slate.propensities / 2)

class Own(WeightedFusion):
    policy = "own"
    def __init__(self, models, *, per_source=100, seed=7):
        super().__init__(models, per_source=per_source, seed=seed)

class Broken(UserKNN):
    name = "broken"
    def candidates(self, context, k):
        raise KeyError("no such thing")
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"forgetful": "checked_shop:Forgetful", "broken": "checked_shop:Broken"}
    groups = {
        "headrace.models": models,
        "headrace.policies": {"greedy_shop": "checked_shop:GreedyShop"},
        "headrace.fusions": {"own": "checked_shop:Own"},
    }
    monkeypatch.syspath_prepend(str(install(tmp_path, "checked-shop", {"checked_shop": FORGETFUL}, groups)))


def run(*arguments: str) -> Result:
    cli = typer.Typer()
    check_model.register(cli)
    settings.register(cli)
    return CliRunner().invoke(cli, ["check-model", *arguments])


def rows(result: Result) -> dict[str, str]:
    """Line of each check."""
    lines = [line.split("│") for line in result.output.splitlines() if line.count("│") > 3]
    return {columns[1].strip(): " | ".join(part.strip() for part in columns[2:-1]) for columns in lines}


@pytest.mark.parametrize("name", ["popularity", "river:reco.Baseline"])
def test_a_model_that_passes_all_checks_exits_with_0(name: str) -> None:
    result = run(name)
    assert result.exit_code == 0
    assert {*rows(result)} >= {each.name for each in CHECKS}
    assert f"{len(CHECKS)} of {len(CHECKS)} checks passed. Learns an interaction in" in result.output


def test_a_check_that_does_not_apply_says_why() -> None:
    found = rows(run("session_knn", "--only", "old-events-decay"))
    assert found["old-events-decay"].startswith("n/a | only additive models must decay")


def test_a_failed_check_says_what_happened_and_what_to_do() -> None:
    result = run("forgetful", "--only", "forgets-users, forgets-items")
    assert result.exit_code == 1
    assert rows(result)["forgets-users"] == (
        "FAIL | the id of a forgotten user is in the state | Drop in `forget_user` all that is keyed by the "
        "user; call `super().forget_user(user)`."
    )
    assert rows(result)["forgets-items"].startswith("ok | ")
    assert "1 of 2 checks passed." in result.output


def test_an_error_of_a_model_fails_a_check_with_its_location() -> None:
    result = run("broken", "--only", "smaller-k-is-a-prefix-of-larger-k")
    assert "KeyError: 'no such thing' (checked_shop.py:" in rows(result)["smaller-k-is-a-prefix-of-larger-k"]


def test_the_parameters_of_the_settings_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "river:reco.BiasedMF"
    monkeypatch.setenv("HEADRACE_MODEL_PARAMETERS", json.dumps({name: {"n_factor": 4}}))
    error = run(name).exception
    assert isinstance(error, UserError)
    assert "has no 'n_factor'; it has n_factors" in str(error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["popularty"], "There is no model 'popularty'; there are popularity, .*broken, forgetful"),
        (["river:reco.BiasMF"], r"River has no reco\.BiasMF; reco has Baseline, BiasedMF"),
        (["policy:tompson"], "There is no policy 'tompson'; there are fixed, popularity, .*greedy_shop"),
        (["policy:river:bandit.UCB"], "UCB: missing a required argument: 'delta'"),
        (["fusion:rrf"], "fusion:rrf learns nothing"),
        (["fusion:weighted", "--only", "speed"], "--only: there is no check 'speed'; there are lists-are-"),
        (["popularity", "--only", "speed"], "--only: there is no check 'speed'; there are learning-is-"),
    ],
)
def test_an_unknown_name_is_a_sentence(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        raise run(*arguments).exception or AssertionError("no error")


def test_a_model_of_a_trainer_passes_the_checks_that_apply() -> None:
    result = run("two_tower")
    assert result.exit_code == 0
    found = rows(result)
    assert found["old-events-decay"].startswith("n/a | a trainer learns the model, and checkpoints hold it")
    assert found["unknown-ids-score-zero"].startswith("ok | ")
    assert "µs here; a trainer learns it." in result.output


def test_policies_and_fusions_have_checks_of_their_own() -> None:
    policy = run("policy:greedy_shop")
    assert policy.exit_code == 1
    failed = rows(policy)["propensities-are-those-of-the-draws"]
    assert "is at position 0 for 100.0% of the seeds, its propensity is 50.0%" in failed
    assert "12 of 13 checks passed." in policy.output
    fusion = run("fusion:own")
    assert fusion.exit_code == 0
    assert "11 of 11 checks passed." in fusion.output


def test_what_to_do_fits_an_object_of_river() -> None:
    found = rows(run("river:reco.RandomNormal", "--only", "scoring-does-not-change-state"))
    assert "Leave it out: it changes or draws when it is asked" in found["scoring-does-not-change-state"]


def test_the_settings_of_a_policy_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_POLICY_PARAMETERS", json.dumps({"thompson": {"draws": 0}}))
    with pytest.raises(UserError, match="Policy thompson"):
        raise run("policy:thompson").exception or AssertionError("no error")


def test_a_river_object_that_cannot_be_saved_is_told() -> None:
    result = run("river:rules.AMRules", "--only", "state-round-trips")
    assert result.exit_code == 0
    assert "AMRules cannot be saved as plain data" in rows(result)["state-round-trips"]
    assert "Snapshots cannot hold it" in result.output


def test_names_of_checks_are_distinct_and_each_has_a_rule_and_a_remedy() -> None:
    assert len({each.name for each in CHECKS}) == len(CHECKS)
    assert all(each.rule.endswith(".") and each.remedy.endswith(".") for each in CHECKS)


def test_the_outcome_of_a_check_is_that_of_its_function() -> None:
    checks: Checks = []

    @check(checks, "Do it.")
    def check_one(_: object) -> None:
        """It is so."""
        expect([], "it is not so")

    [result] = run_checks(lambda: None, checks)
    assert isinstance(check_one, ModelCheck)
    assert (result.outcome, result.detail, result.check.rule) == (Outcome.FAIL, "it is not so", "It is so.")
