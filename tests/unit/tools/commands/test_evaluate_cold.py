"""`headrace evaluate cold`: options, and the compared arms."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream_app.__main__ import build_cli
from stream_app.errors import UserError
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.settings import load_settings
from stream_app.tools.commands.evaluate_cold import make_arms
from stream_app.tools.evaluation.cold_items.arms import FUSED, FUSED_NEURAL, WITHOUT_BONUS


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--shops", "toys", "no shop 'toys'; there are words, books"),
        ("--seeds", "one", "numbers between commas"),
    ],
)
def test_a_wrong_option_is_one_sentence(option: str, value: str, message: str, tmp_path: Path) -> None:
    report = tmp_path / "cold.json"
    result = CliRunner().invoke(build_cli(), ["evaluate", "cold", "--report", str(report), option, value])
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert not report.exists()


@pytest.mark.parametrize("neural", ["true", "false"])
@pytest.mark.parametrize("names", ['["content", "session_knn"]', '["content", "session_knn", "two_tower"]'])
def test_the_arms_do_not_depend_on_whether_the_workers_run_the_two_tower_model(
    names: str, neural: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jax", reason="the arms are trained: pip install 'headrace[neural]'")
    monkeypatch.setenv("HEADRACE_MODELS", names)
    monkeypatch.setenv("HEADRACE_NEURAL", neural)
    monkeypatch.setenv("HEADRACE_MODEL_PARAMETERS", '{"fusion": {"new_item_bonus": 0.3, "batch_size": 8}}')
    arms = make_arms(load_settings(), (8, 8), 20)
    names_of = {name: [model.name for model in arm.models.models] for name, arm in arms.items()}
    assert names_of[FUSED] == ["content", "session_knn"]
    assert names_of[FUSED_NEURAL] == names_of[WITHOUT_BONUS] == ["content", "session_knn", "two_tower"]
    fusions = {
        name: next(each for each in arms[name].models.learners if isinstance(each, LearnedFusion))
        for name in (FUSED_NEURAL, WITHOUT_BONUS)
    }
    assert fusions[FUSED_NEURAL]._get_params()["new_item_bonus"] == 0.3
    without = fusions[WITHOUT_BONUS]._get_params()
    assert (without["new_item_bonus"], without["batch_size"]) == (0, 8)
