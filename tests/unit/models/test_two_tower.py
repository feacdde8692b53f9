"""The two-tower model in a worker: candidates, features, and the replacement of weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stream_app.models.base import NO_ITEM
from stream_app.models.item_clusters import Grouping, group_vectors
from stream_app.models.item_index import ItemIndex
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import Head, NetworkShape, TrainedWeights, first_parameters
from stream_app.ranking.fusion.feature_blocks import write_two_tower
from stream_app.ranking.kernels.feature_table import TwoTowerFeature
from tests.support.two_tower_builders import context_of

SHAPE = NetworkShape(n_factors=16, hidden=8, context_length=6)


def random_weights(n: int, shape: NetworkShape = SHAPE, seed: int = 3) -> TrainedWeights:
    vectors = np.random.default_rng(seed).normal(0.0, 1.0, (n, shape.n_factors)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TrainedWeights(shape, first_parameters(shape, seed), [f"i{at}" for at in range(n)], vectors)


def model_with(weights: TrainedWeights, **parameters: int) -> TwoTower:
    index = ItemIndex(200_000)
    for name in weights.item_ids:
        index.index(name, 0.0)
    model = TwoTower(index, **parameters)
    model.adopt(weights, "1")
    return model


def test_candidates_are_the_items_with_the_largest_cosines() -> None:
    model = model_with(random_weights(500))
    context = context_of(model, "i3", "i8", "i9")
    found = model.candidates(context, 20)
    cosines = model.cosines(context, np.arange(500, dtype=np.int32))
    assert sorted(found.items.tolist()) == sorted(np.argsort(-cosines)[:20].tolist())
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert model.score(context, found.items) == pytest.approx(found.scores, rel=1e-4)
    assert model.explain(context, 0, int(found.evidence[0])).source == "similar_taste"
    assert model.explain(context, 0, int(found.evidence[0])).item_id in {"i3", "i8", "i9"}


def test_a_search_in_some_groups_finds_most_of_the_nearest_items() -> None:
    # vectors of a shop are in groups, unlike random ones
    rng = np.random.default_rng(5)
    centers = rng.normal(0.0, 1.0, (150, 16))
    vectors = (centers[rng.integers(150, size=12_000)] + rng.normal(0.0, 0.5, (12_000, 16))).astype(
        np.float32
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    model = model_with(random_weights(12_000)._replace(vectors=vectors))
    n_found = 0
    for start in range(0, 100, 2):
        context = context_of(model, f"i{start}", f"i{start + 1}")
        found = set(model.candidates(context, 50).items.tolist())
        cosines = model.cosines(context, np.arange(12_000, dtype=np.int32))
        n_found += len(found & set(np.argsort(-cosines)[:50].tolist()))
    assert n_found > 0.9 * 50 * 50


def test_groups_hold_every_vector_once_and_begin_where_the_earlier_ended() -> None:
    vectors = random_weights(6_000).vectors
    first = group_vectors(vectors)
    assert sorted(first.order.tolist()) == list(range(6_000))
    assert first.starts[0] == 0
    assert first.starts[-1] == 6_000
    again = group_vectors(vectors, first.centroids)

    def closeness(grouping: Grouping) -> float:
        """Mean cosine of the vectors with their centroids."""
        group = np.repeat(np.arange(len(grouping.centroids)), np.diff(grouping.starts))
        return float((vectors[grouping.order] * grouping.centroids[group]).sum(axis=1).mean())

    assert closeness(again) >= closeness(first) - 1e-3


def test_features_are_from_0_to_1_and_0_for_items_without_a_vector() -> None:
    model = model_with(random_weights(100))
    unknown = model.index.index("new", 0.0)
    items = np.array([3, unknown, 8, 40, NO_ITEM], np.int32)
    out = np.full((5, len(TwoTowerFeature) + 2), 9.0, np.float32)
    write_two_tower(model, context_of(model, "i3", "i8"), items, 1, out)
    features = out[:, 1:-1]
    assert (out[:, [0, -1]] == 9.0).all()
    assert features.min() >= 0.0
    assert features.max() <= 1.0 + 1e-6
    per_item = np.delete(features, TwoTowerFeature.CONFIDENCE, axis=1)
    assert (per_item[[1, 4]] == 0.0).all()
    known = features[[0, 2, 3]]
    order = np.argsort(-known[:, TwoTowerFeature.COSINE])
    for name in (TwoTowerFeature.PROBABILITY, TwoTowerFeature.LOG_PROBABILITY, TwoTowerFeature.RANK):
        assert (np.diff(known[order, name]) <= 0).all()
    assert known[1, TwoTowerFeature.WITH_NEWEST] == pytest.approx(1.0, abs=1e-5)


def test_probabilities_over_all_items_sum_to_1() -> None:
    model = model_with(random_weights(300))
    items = np.arange(300, dtype=np.int32)
    out = np.zeros((300, len(TwoTowerFeature)), np.float32)
    write_two_tower(model, context_of(model, "i3", "i8"), items, 0, out)
    assert (out[:, TwoTowerFeature.PROBABILITY] ** 2).sum() == pytest.approx(1.0, abs=1e-3)


def test_without_weights_or_known_items_nothing_is_proposed() -> None:
    empty = TwoTower(ItemIndex(10))
    assert len(empty.candidates(context_of(empty, "x"), 5).items) == 0
    assert empty.memory() == 0
    model = model_with(random_weights(50))
    for context in (context_of(model, "unknown"), context_of(model)):
        assert len(model.candidates(context, 5).items) == 0
        assert not model.score(context, np.arange(3, dtype=np.int32)).any()
    out = np.ones((2, len(TwoTowerFeature)), np.float32)
    write_two_tower(model, context_of(model, "unknown"), np.array([1, 2], np.int32), 0, out)
    assert not out.any()


def test_new_weights_replace_the_old_ones_at_once() -> None:
    model, fresh = model_with(random_weights(50)), model_with(random_weights(50, seed=9))
    context = context_of(model, "i1", "i2")
    before = model.candidates(context, 5)
    model.adopt(random_weights(50, seed=9), "2")
    expected = fresh.candidates(context_of(fresh, "i1", "i2"), 5)
    assert model.version == "2"
    assert model.candidates(context, 5).items.tolist() == expected.items.tolist()
    assert before.items.tolist() != model.candidates(context, 5).items.tolist()


def test_an_evicted_item_is_not_proposed_and_its_successor_has_no_vector() -> None:
    model = model_with(random_weights(50))
    context = context_of(model, "i1", "i2")
    best = model.candidates(context, 5).items
    model.forget_items(best[:1])
    assert best[0] not in model.candidates(context, 50).items
    assert model.score(context, best[:1]).tolist() == [0.0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda parameters: parameters.pop("key"),
        lambda parameters: parameters.update(more=parameters["key"]),
        lambda parameters: parameters.update(key=parameters["key"][:3]),
        lambda parameters: parameters.update(scale=np.full(len(Head), np.nan, np.float32)),
    ],
)
def test_weights_of_another_shape_are_refused_and_the_old_ones_stay(
    damage: Callable[[dict[str, Any]], object],
) -> None:
    model = model_with(random_weights(50))
    weights = random_weights(50, seed=9)
    damage(weights.parameters)
    with pytest.raises(ValueError, match=r"parameters|dimensions|finite"):
        model.adopt(weights, "2")
    assert model.version == "1"
    assert len(model.candidates(context_of(model, "i1"), 5).items) == 5


def test_the_vector_of_a_user_depends_on_what_they_did_with_the_items() -> None:
    weights = random_weights(60)
    weights.parameters["kind"][Head.CART] = 1.0
    model = model_with(weights)
    context = context_of(model, "i1", "unknown", "i2")
    items = np.arange(60, dtype=np.int32)
    viewed, carted = (
        model.cosines(context._replace(heads=np.array(heads, np.int32)), items)
        for heads in ([0, 0, 0], [1, 1, 0])
    )
    assert viewed == pytest.approx(model.cosines(context._replace(user="bob"), items))
    assert np.abs(viewed - carted).max() > 1e-3


def test_heads_of_carts_and_purchases_have_features_once_they_learned_something() -> None:
    weights = random_weights(60)
    weights.parameters["heads"][Head.PURCHASE] = 0.5 * np.eye(SHAPE.n_factors)[::-1]
    model = model_with(weights)
    items = np.append(np.arange(60), NO_ITEM).astype(np.int32)
    out = np.zeros((61, len(TwoTowerFeature)), np.float32)
    write_two_tower(model, context_of(model, "i3", "i8"), items, 0, out)
    assert not out[:, TwoTowerFeature.CART].any()
    assert (out[:, TwoTowerFeature.PURCHASE] ** 2).sum() == pytest.approx(1.0, abs=1e-3)
    cosines = model.cosines(context_of(model, "i3", "i8"), items[:-1], Head.PURCHASE)
    assert np.argmax(out[:, TwoTowerFeature.PURCHASE]) == np.argmax(cosines)
    assert out[-1, TwoTowerFeature.PURCHASE] == 0.0
