"""Shops that learn together give a bounded, noisy change of parameters, and nothing that names an item or a user."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_app.federation.updates import (
    Parameters,
    Privacy,
    add_mean_update,
    check_update,
    norm_of,
    shop_update,
)
from stream_app.federation.wire import from_tensors, layout_of, to_tensors
from stream_app.training.two_tower_training import TwoTowerTraining
from tests.support.trained_shop import CONFIG, SHAPE
from topics.records import Kind

ITEM, USER = "secret-item-name", "secret-user-name"


def trained(*items: str) -> TwoTowerTraining:
    training = TwoTowerTraining(SHAPE, CONFIG)
    for n in range(200):
        training.add(f"{USER}-{n // 4}", items[n % len(items)], Kind.VIEW, 60.0 * n)
    for _ in range(3):
        training.step()
    return training


def test_an_update_is_clipped_and_names_neither_items_nor_users() -> None:
    training = trained(f"{ITEM}-1", f"{ITEM}-2", f"{ITEM}-3")
    first = TwoTowerTraining(SHAPE, CONFIG).dense_parameters()
    rng = np.random.default_rng(1)
    update = shop_update(first, training.dense_parameters(), Privacy(clip=0.01, noise=0.0), rng)
    assert norm_of(update) == pytest.approx(0.01, rel=1e-3)
    sent = b"".join(to_tensors(update))
    assert ITEM.encode() not in sent
    assert USER.encode() not in sent
    for vector in training.vectors[: len(training.items)]:
        assert vector.tobytes() not in sent


def test_the_noise_has_the_stated_deviation() -> None:
    same = {"a": np.zeros(40_000, np.float32)}
    update = shop_update(same, same, Privacy(clip=0.5, noise=2.0), np.random.default_rng(1))
    assert float(update["a"].std()) == pytest.approx(1.0, rel=0.03)


def test_two_shops_draw_different_noise() -> None:
    same = {"a": np.zeros(40, np.float32)}
    one, other = (shop_update(same, same, Privacy(), np.random.default_rng()) for _ in range(2))
    assert not np.any(one["a"] == other["a"])


def test_shops_go_on_with_the_mean_of_their_parameters() -> None:
    shops = [trained("a", "b", "c"), trained("x", "y", "z", "w")]
    shared = TwoTowerTraining(SHAPE, CONFIG).dense_parameters()
    privacy, rng = Privacy(clip=1e9, noise=0.0), np.random.default_rng(1)
    updates = [shop_update(shared, shop.dense_parameters(), privacy, rng) for shop in shops]
    mean = add_mean_update(shared, updates)
    expected = sum(shop.dense_parameters()["query"] for shop in shops) / 2
    for shop in shops:
        shop.replace_dense(mean)
        assert shop.weights().parameters["query"] == pytest.approx(expected, abs=1e-5)
        assert math.isfinite(shop.step())
    assert set(shops[0].weights().item_ids) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({}, "other parameters"),
        ({"a": np.zeros(3, np.float32)}, "other parameters"),
        ({"b": np.zeros(2, np.float32)}, "other parameters"),
        ({"a": np.array([0.0, np.nan], np.float32)}, "not finite"),
        ({"a": np.array([3.0, 4.0], np.float32)}, "norm 5"),
    ],
)
def test_an_update_that_is_not_honest_is_refused(update: Parameters, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_update({"a": np.zeros(2, np.float32)}, update, Privacy(clip=1.0, noise=0.0))


@pytest.mark.parametrize("noise", [0.0, 0.1, 8.0])
def test_an_honest_update_is_accepted(noise: float) -> None:
    privacy, rng = Privacy(clip=0.3, noise=noise), np.random.default_rng(1)
    before = {"a": np.zeros((30, 7), np.float32), "b": np.zeros(2, np.float32)}
    after = {name: values + np.float32(5.0) for name, values in before.items()}
    for _ in range(200):
        check_update(before, shop_update(before, after, privacy, rng), privacy)


def test_a_change_that_is_not_finite_is_not_given() -> None:
    before, after = {"a": np.zeros(1, np.float32)}, {"a": np.array([np.inf], np.float32)}
    with pytest.raises(ValueError, match="not finite"):
        shop_update(before, after, Privacy(), np.random.default_rng(1))


def test_parameters_come_back_from_their_bytes() -> None:
    parameters = TwoTowerTraining(SHAPE, CONFIG).dense_parameters()
    shapes = {name: values.shape for name, values in parameters.items()}
    received = from_tensors(to_tensors(parameters), shapes)
    assert received.keys() == parameters.keys()
    for name, values in parameters.items():
        assert np.array_equal(received[name], values)
    assert layout_of(received) == layout_of(parameters) != layout_of(parameters, "other contents")


@pytest.mark.parametrize("tensors", [[], [b""], [b"\0" * 7], [b"\0" * 8, b""], [b"\x93NUMPY" + b"\0" * 90]])
def test_bytes_of_another_size_are_refused(tensors: list[bytes]) -> None:
    with pytest.raises(ValueError, match="tensor"):
        from_tensors(tensors, {"a": (2,)})


def test_a_training_refuses_parameters_of_another_shape() -> None:
    training = TwoTowerTraining(SHAPE, CONFIG)
    parameters: dict[str, Any] = training.dense_parameters()
    with pytest.raises(ValueError, match="query"):
        training.replace_dense({**parameters, "query": np.zeros((2, 2), np.float32)})
    with pytest.raises(ValueError, match="scale"):
        training.replace_dense({name: each for name, each in parameters.items() if name != "scale"})
    with pytest.raises(ValueError, match="not finite"):
        training.replace_dense({**parameters, "scale": np.full(3, np.nan, np.float32)})


def test_privacy_is_compared_by_value_on_the_wire() -> None:
    privacy = Privacy(clip=0.1, noise=1.3)
    assert msgspec.json.decode(msgspec.json.encode(privacy), type=Privacy) == privacy
