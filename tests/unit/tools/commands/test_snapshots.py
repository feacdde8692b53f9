"""`headrace snapshots` and the exit status of `headrace rebuild`, without a broker."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from state.snapshots.store import folder_store
from stream_app.errors import UserError
from stream_app.models.model_parts import RestoredModels, fingerprint
from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models
from stream_app.settings import load_settings
from stream_app.tools.cli import rebuild, snapshots
from stream_app.tools.log_rebuild import compare_models
from topics.records import Interaction, Kind, Line, Source


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADRACE_MODEL_STORE", str(tmp_path / "models"))
    monkeypatch.setenv("HEADRACE_MODELS", '["popularity"]')
    return tmp_path / "models"


def run(*arguments: str) -> Result:
    cli = typer.Typer()
    snapshots.register(cli)
    rebuild.register(cli)
    return CliRunner().invoke(cli, arguments)


def test_an_empty_store_lists_nothing(folder: Path) -> None:
    assert run("snapshots", "list").output.endswith(f"0 snapshots in {folder}\n")
    result = run("snapshots", "verify")
    assert (result.exit_code, result.output) == (0, f"0 of 0 snapshots in {folder} are sound\n")


def test_the_list_marks_the_configuration_of_the_settings(folder: Path) -> None:
    own = fingerprint(make_models(load_settings().ranking_config))
    store = folder_store(folder)
    store.save({"positions": [["interactions", 0, 1_200], ["interactions", 1, 34]]}, own)
    store.save({}, "aa")
    store.keep(store.save({}, "aa"))
    lines = run("snapshots", "list").output.splitlines()
    assert [line for line in lines if f"{own} (these settings)" in line and "interactions 1,234" in line]
    assert len([line for line in lines if " aa " in line]) == 3
    assert [line for line in lines if line.rstrip().endswith("kept")]


def test_a_damaged_snapshot_fails_the_verification(folder: Path) -> None:
    store = folder_store(folder)
    name = store.save({"text": "x" * 1_000_000}, "aa")
    store.save({}, "aa")
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    result = run("snapshots", "verify")
    assert result.exit_code == 1
    assert f"{name}: 1000" in result.output
    assert "1 of 2 snapshots" in result.output


def test_a_restored_snapshot_of_other_settings_is_explained(folder: Path) -> None:
    store = folder_store(folder)
    first = store.save({"n": 1}, "aa")
    store.save({"n": 2}, "aa")
    output = run("snapshots", "restore", first).output
    assert "restored as models-0001-0000000003-aa-" in output
    assert "It has the models' configuration aa" in output
    assert "Restart the workers" in output
    snapshot = folder_store(folder).newest()
    assert snapshot is not None
    assert snapshot.state == {"n": 1}


def test_what_cannot_be_restored_is_an_error_with_a_next_step(folder: Path) -> None:
    result = run("snapshots", "restore", "models-0000000001.snapshot")
    assert isinstance(result.exception, UserError)
    assert "`headrace snapshots list` lists all" in str(result.exception)
    name = folder_store(folder).save({})
    (folder / name).write_bytes(b"HEADRACE")
    result = run("snapshots", "restore", name)
    assert isinstance(result.exception, UserError)
    assert "cannot be restored: shorter than its header" in str(result.exception)


@pytest.mark.parametrize("arguments", [("--keep",), ("--write", "--keep", "--until", "2026-01-01")])
def test_contradicting_options_are_refused(folder: Path, arguments: tuple[str, ...]) -> None:
    assert not folder.exists()
    result = run("rebuild", *arguments)
    assert isinstance(result.exception, UserError)


def test_models_are_compared_by_their_sums() -> None:
    names = ["popularity", "search", "item_to_item", "two_hop"]
    live, rebuilt = ModelSet(names), ModelSet(names)
    for models, order in ((live, (0, 1, 2)), (rebuilt, (2, 0, 1))):
        # Partitions are read in any order.
        for partition in order:
            ts = 1_000.0 + partition
            user, line = f"u{partition}", (Line(f"i{partition}"),)
            models.learn(Interaction(Source.CLICK, partition, 0, ts, user, Kind.VIEW, line, query="shoe"))
    results = compare_models(rebuilt, RestoredModels(live, {"item_to_item": "depth differs"}, []))
    assert [(each.model, each.outcome) for each in results] == [
        ("popularity", "equal"),
        ("search", "equal"),
        ("item_to_item", "other settings"),
        ("two_hop", "not additive"),
    ]
    live.learn(Interaction(Source.CLICK, 0, 1, 1_005.0, "u", Kind.VIEW, (Line("i"),)))
    assert {each.outcome for each in compare_models(rebuilt, RestoredModels(live, {}, []))} == {
        "different",
        "equal",
        "not additive",
    }
