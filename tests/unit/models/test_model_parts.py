"""Restoring the parts of models that fit, and the stored snapshots of earlier versions."""

import gzip
import json
from typing import Any

import pytest

from state.snapshots.encoding import decode_snapshot
from stream_app.models import model_state
from stream_app.models.model_parts import fingerprint, parts_of, restore_parts
from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models
from tests.support.stored_snapshot import FOLDER as STORED
from tests.support.stored_snapshot import candidates_of, configuration
from topics.records import Interaction, Kind, Line, Source


def learned(names: list[str], **parameters: Any) -> ModelSet:
    models = ModelSet(names, max_items=50, max_users=50, **parameters)
    for offset in range(30):
        ts, user = 1_000.0 + offset, f"u{offset % 4}"
        models.learn(Interaction(Source.CLICK, 0, offset, ts, user, Kind.VIEW, (Line(f"i{offset % 6}"),)))
    return models


@pytest.mark.parametrize("path", sorted(STORED.glob("*.snapshot.gz")), ids=lambda path: path.name)
def test_a_stored_snapshot_loads_for_ever(path: Any) -> None:
    expected = json.loads(path.with_name(path.name.replace(".snapshot.gz", ".json")).read_text())
    config = configuration(expected)
    state = decode_snapshot(gzip.decompress(path.read_bytes()))
    models, missing, unused = restore_parts(lambda: make_models(config), state["models"])
    assert (missing, unused) == ({}, [])
    assert (models.version, models.digest()) == (expected["version"], expected["digest"])
    # Not the same ones: how models score may change.
    found = candidates_of(models)
    assert {name for name, items in found.items() if items} == {
        name for name, items in expected["candidates"].items() if items
    }


def test_a_part_that_does_not_fit_leaves_the_others() -> None:
    saved = learned(["popularity", "item_to_item", "item_vectors", "two_hop"])
    state = saved.state()
    models, missing, _ = restore_parts(
        lambda: ModelSet(
            ["popularity", "item_to_item", "item_vectors", "two_hop"],
            max_items=50,
            max_users=50,
            overrides={"item_vectors": {"n_factors": 4}, "popularity": {"half_life": 5.0}},
        ),
        state,
    )
    assert set(missing) == {"item_vectors", "popularity"}
    assert "n_factors is 4" in missing["item_vectors"]
    parts = parts_of(models)
    assert parts["session_store"].state()["seen"] == parts_of(saved)["session_store"].state()["seen"]
    assert models.version == 30


@pytest.mark.parametrize("damage", ["missing_key", "another_type", "later_format", "wrong_shape"])
def test_a_malformed_part_leaves_the_others(damage: str) -> None:
    state = learned(["popularity", "item_to_item"]).state()
    part = state["models"]["popularity"]
    if damage == "missing_key":
        del part["overall"]
    elif damage == "another_type":
        state["models"]["popularity"] = 7
    elif damage == "later_format":
        part["format"] = 99
    else:
        part["totals"] = part["totals"][:0]
        part["overall"] = part["overall"].reshape(-1, 1)
    models, missing, _ = restore_parts(
        lambda: ModelSet(["popularity", "item_to_item"], max_items=50, max_users=50), state
    )
    assert set(missing) == {"popularity"}
    assert models.version == 30


def test_without_the_items_nothing_can_be_restored() -> None:
    state = learned(["popularity"]).state()
    with pytest.raises(ValueError, match="the index holds 5 items, the state has 6"):
        restore_parts(lambda: ModelSet(["popularity"], max_items=5, max_users=50), state)


def test_a_larger_index_keeps_everything() -> None:
    saved = learned(["popularity", "item_to_item", "session_knn"])
    models, missing, unused = restore_parts(
        lambda: ModelSet(["popularity", "item_to_item", "session_knn"], max_items=500, max_users=50),
        saved.state(),
    )
    assert (missing, unused, models.digest()) == ({}, [], saved.digest())
    for offset in range(30, 230):
        line = (Line(f"new-{offset}"),)
        models.learn(Interaction(Source.CLICK, 0, offset, 2_000.0 + offset, "u", Kind.VIEW, line))
    assert len(models.index) == 206


def test_a_state_of_an_earlier_layout_is_migrated_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    state = learned(["popularity"]).state()

    def add_parameter(old: dict[str, Any]) -> dict[str, Any]:
        parameters = dict(old["parameters"])
        parameters["segments"] = parameters.pop("groups")
        return {**old, "parameters": parameters}

    def rename_counts(old: dict[str, Any]) -> dict[str, Any]:
        renamed = {**old, "overall": old["counts_of_all"]}
        del renamed["counts_of_all"]
        return renamed

    monkeypatch.setitem(model_state.VERSIONS, "popularity", 4)
    monkeypatch.setitem(model_state.MIGRATIONS, ("popularity", 2), add_parameter)
    monkeypatch.setitem(model_state.MIGRATIONS, ("popularity", 3), rename_counts)
    old = state["models"]["popularity"]
    old["counts_of_all"] = old.pop("overall")
    old["parameters"]["groups"] = old["parameters"].pop("segments")
    models, missing, _ = restore_parts(lambda: ModelSet(["popularity"], max_items=50, max_users=50), state)
    assert missing == {}
    assert models.digest() == learned(["popularity"]).digest()
    assert models.state()["models"]["popularity"]["format"] == 4


def test_the_fingerprint_depends_on_every_hyperparameter_and_not_on_what_was_learned() -> None:
    configurations = [
        ModelSet(["popularity"]),
        ModelSet(["item_to_item"]),
        ModelSet(["popularity", "item_to_item"]),
        ModelSet(["popularity"], max_items=7),
        ModelSet(["popularity"], session_gap=7.0),
        ModelSet(["popularity"], outlier_z=0.0),
        ModelSet(["popularity"], overrides={"popularity": {"segments": 3}}),
    ]
    assert len({fingerprint(each) for each in configurations}) == len(configurations)
    names = ["popularity", "session_knn"]
    assert fingerprint(learned(names)) == fingerprint(ModelSet(names, max_items=50, max_users=50))
