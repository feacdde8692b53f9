"""A shop gives nothing that its terms or its epsilon forbid, and a server learns from honest updates alone."""

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.federation.coordinator import Coordinator
from stream_app.federation.shop import Shop
from stream_app.federation.terms import PrivacyRecord, Release, Terms, decode_terms
from stream_app.federation.updates import Privacy, norm_of
from stream_app.federation.wire import from_tensors, to_tensors
from stream_app.models.item_content import ItemContent
from stream_app.training.two_tower_training import TwoTowerTraining
from tests.support.trained_shop import CONFIG, SHAPE, TrainedShop

QUIET = Privacy(clip=0.5, noise=0.0)


def count_updates(releases: Sequence[Release]) -> float:
    return float(sum(each.updates for each in releases))


def shop_of(path: Path, privacy: Privacy = QUIET, max_epsilon: float = 100.0) -> Shop:
    training = TrainedShop(n_sessions=40).training
    return Shop(training, "", privacy, PrivacyRecord(path), count_updates, max_epsilon)


def coordinator_of(path: Path, privacy: Privacy = QUIET, rounds: int = 2) -> Coordinator:
    return Coordinator(TwoTowerTraining(SHAPE, CONFIG).dense_parameters(), "", privacy, path, rounds, steps=2)


def test_shops_and_a_server_take_rounds(tmp_path: Path) -> None:
    coordinator = coordinator_of(tmp_path / "shared.safetensors")
    shops = {name: shop_of(tmp_path / f"{name}.json") for name in ("north", "south")}
    before = coordinator.parameters
    while not coordinator.is_complete:
        terms, tensors = coordinator.terms(), coordinator.tensors()
        given = {name: shop.answer(terms, tensors) for name, shop in shops.items()}
        assert coordinator.finish_round(given, least=2) == ["north", "south"]
    change = {name: coordinator.parameters[name] - before[name] for name in before}
    assert 0.0 < norm_of(change) <= 2 * QUIET.clip
    shops["north"].finish(coordinator.tensors(), steps=1)
    assert shops["north"].training.n_steps == 5
    assert shops["north"].epsilon == 2.0


def test_a_server_goes_on_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "shared.safetensors"
    coordinator = coordinator_of(path)
    update = {name: np.full(each.shape, 1e-3, np.float32) for name, each in coordinator.parameters.items()}
    assert coordinator.finish_round({"a": to_tensors(update), "b": to_tensors(update)}, least=2)
    again = coordinator_of(path)
    assert again.n_rounds == 1
    assert again.terms().round == 2
    assert again.tensors() == coordinator.tensors()


@pytest.mark.parametrize("data", [b"", b"no model", b"\x10" + b"\0" * 7 + b"{}" + b" " * 14])
def test_a_server_refuses_a_file_that_is_no_model(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "shared.safetensors"
    path.write_bytes(data)
    with pytest.raises(UserError, match="--model"):
        coordinator_of(path)


def test_a_server_refuses_the_model_of_another_federation(tmp_path: Path) -> None:
    path = tmp_path / "shared.safetensors"
    coordinator = coordinator_of(path)
    update = {name: np.zeros(each.shape, np.float32) for name, each in coordinator.parameters.items()}
    coordinator.finish_round({"a": to_tensors(update)}, least=1)
    content = ItemContent()
    other = TwoTowerTraining(SHAPE, CONFIG, content=content).dense_parameters()
    with pytest.raises(UserError, match="other dimensions"):
        Coordinator(other, content.fingerprint, QUIET, path, rounds=2, steps=2)


def test_a_dishonest_update_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    coordinator = coordinator_of(tmp_path / "shared.safetensors")
    shapes = {name: each.shape for name, each in coordinator.parameters.items()}
    before = coordinator.tensors()
    small = to_tensors({name: np.full(shape, 1e-4, np.float32) for name, shape in shapes.items()})
    large = to_tensors({name: np.full(shape, 9.0, np.float32) for name, shape in shapes.items()})
    given: dict[str, list[bytes]] = {"poison": large, "short": small[:-1], "north": small}
    assert coordinator.finish_round(given, least=2) == []
    assert coordinator.n_rounds == 0
    assert coordinator.tensors() == before
    given["south"] = small
    assert coordinator.finish_round(given, least=2) == ["north", "south"]
    moved = from_tensors(coordinator.tensors(), shapes)["query"] - from_tensors(before, shapes)["query"]
    assert float(np.abs(moved).max()) == pytest.approx(1e-4, rel=0.01)
    assert "refusing the update of shop poison" in caplog.text
    assert "refusing the update of shop short" in caplog.text


@pytest.mark.parametrize(
    ("privacy", "reason"),
    [(Privacy(clip=0.5, noise=0.1), "--noise"), (Privacy(clip=9.0, noise=0.0), "--clip")],
)
def test_a_shop_refuses_other_terms(tmp_path: Path, privacy: Privacy, reason: str) -> None:
    shop = shop_of(tmp_path / "north.json")
    coordinator = coordinator_of(tmp_path / "shared.safetensors", privacy)
    with pytest.raises(UserError, match=reason):
        shop.answer(coordinator.terms(), coordinator.tensors())
    assert shop.epsilon == 0.0


def test_a_shop_refuses_a_model_of_other_contents(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "north.json")
    terms = coordinator_of(tmp_path / "shared.safetensors").terms()
    with pytest.raises(UserError, match="--text-dimensions"):
        shop.answer(msgspec.structs.replace(terms, layout="other"), [])


def test_a_shop_refuses_parameters_that_are_not_finite(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "north.json")
    coordinator = coordinator_of(tmp_path / "shared.safetensors")
    coordinator.parameters["scale"] = np.full(3, np.nan, np.float32)
    with pytest.raises(UserError, match="cannot be used"):
        shop.answer(coordinator.terms(), coordinator.tensors())


def test_a_limit_of_epsilon_that_is_no_number_allows_nothing(tmp_path: Path) -> None:
    coordinator = coordinator_of(tmp_path / "shared.safetensors")
    shop = shop_of(tmp_path / "north.json", max_epsilon=math.nan)
    with pytest.raises(UserError, match="nothing was given"):
        shop.answer(coordinator.terms(), coordinator.tensors())
    assert shop.epsilon == 0.0


def test_a_shop_gives_nothing_beyond_its_epsilon_over_all_runs(tmp_path: Path) -> None:
    coordinator = coordinator_of(tmp_path / "shared.safetensors")
    terms, tensors = coordinator.terms(), coordinator.tensors()
    shop_of(tmp_path / "north.json", max_epsilon=2.0).answer(terms, tensors)
    restarted = shop_of(tmp_path / "north.json", max_epsilon=2.0)
    restarted.answer(terms, tensors)
    with pytest.raises(UserError, match="--max-epsilon"):
        restarted.answer(terms, tensors)
    assert restarted.n_rounds == 1
    assert restarted.epsilon == 2.0


def test_an_update_is_recorded_by_its_noise(tmp_path: Path) -> None:
    record = PrivacyRecord(tmp_path / "north.json")
    for noise in (2.0, 1.0, 2.0):
        record.add_update(noise)
    assert PrivacyRecord(tmp_path / "north.json").releases == [Release(1.0, 1), Release(2.0, 2)]


def test_a_damaged_record_stops_the_shop(tmp_path: Path) -> None:
    (tmp_path / "north.json").write_text("[{")
    with pytest.raises(UserError, match="restore it"):
        PrivacyRecord(tmp_path / "north.json")


def test_a_record_that_cannot_be_written_gives_nothing(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "missing" / "north.json")
    coordinator = coordinator_of(tmp_path / "shared.safetensors")
    with pytest.raises(UserError, match="nothing was given"):
        shop.answer(coordinator.terms(), coordinator.tensors())


@pytest.mark.parametrize("steps", [0, -1, 10**9])
def test_terms_with_an_impossible_number_of_steps_are_refused(steps: int) -> None:
    terms = Terms(privacy=QUIET, round=1, rounds=1, steps=steps, layout="")
    with pytest.raises(ValueError, match="steps"):
        decode_terms(terms.encode())


@pytest.mark.parametrize("data", [b"", b"{}", b'{"privacy": 1}', b"\xff"])
def test_terms_that_cannot_be_read_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_terms(data)
