"""The two-tower model in a worker: candidates, features, and the replacement of weights."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from msgspec import structs

from stream_app.models.base import NO_ITEM, Context
from stream_app.models.item_clusters import Grouping, group_vectors
from stream_app.models.item_index import ItemIndex
from stream_app.models.served_weights import LARGEST_PARAMETER, prepare_weights, serve_weights
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import Head, TrainedWeights
from stream_app.ranking.fusion.feature_blocks import write_two_tower
from stream_app.ranking.kernels.feature_table import TwoTowerFeature
from tests.support import two_tower_builders
from tests.support.two_tower_builders import context_of


def random_weights(n: int, seed: int = 3) -> TrainedWeights:
    return two_tower_builders.random_weights([f"i{at}" for at in range(n)], seed=seed)


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


def proposed(model: TwoTower, *history: str) -> set[str]:
    found = model.candidates(context_of(model, *history), 100)
    return set(model.index.ids_of(found.items.tolist()))


def test_an_item_that_enters_the_index_later_has_its_vector() -> None:
    index = ItemIndex(100)
    model = TwoTower(index)
    index.index("i1", 0.0)
    model.adopt(random_weights(5), "1")
    assert proposed(model, "i1") == {"i1"}
    # many others enter, too: the rows have to grow
    for name in (*(f"other {n}" for n in range(80)), "i3"):
        index.index(name, 1.0)
    assert proposed(model, "i1") == proposed(model, "i3") == {"i1", "i3"}


def test_an_integer_that_goes_to_another_item_follows_it() -> None:
    index = ItemIndex(3)
    model = TwoTower(index)
    index.subscribe(model.forget_items)
    for at in range(3):
        index.index(f"i{at}", float(at))
    model.adopt(random_weights(5), "1")
    assert index.index("i4", 9.0) == 0
    assert proposed(model, "i2") == {"i1", "i2", "i4"}
    assert proposed(model, "i4") == {"i1", "i2", "i4"}
    index.index("no vector", 10.0)
    assert proposed(model, "i2") == {"i2", "i4"}
    index.forget("i2")
    assert index.index("i2", 11.0) >= 0
    assert proposed(model, "i4") == {"i2", "i4"}


def test_what_the_index_gets_and_loses_during_the_preparation_is_followed() -> None:
    index = ItemIndex(3)
    model = TwoTower(index)
    index.subscribe(model.forget_items)
    for at in range(3):
        index.index(f"i{at}", float(at))
    served = serve_weights(prepare_weights(random_weights(6), "1"), model.index_hashes())
    for at, name in enumerate(("i5", "no vector", "i0")):
        index.index(name, 10.0 + at)
    model.swap(served)
    assert proposed(model, "i0") == {"i0", "i5"}
    assert not model.score(context_of(model, "i0"), np.array([index.find("no vector")], np.int32)).any()


@pytest.mark.parametrize("field", ["n_factors", "context_length", "hidden", "n_gaps"])
@pytest.mark.parametrize("value", [0, 5_000])
def test_dimensions_that_cannot_be_served_are_refused(field: str, value: int) -> None:
    shape = structs.replace(two_tower_builders.SMALL_SHAPE, **{field: value})
    vectors = np.ones((1, shape.n_factors), np.float32)
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        prepare_weights(TrainedWeights(shape, {}, ["i1"], vectors), "1")


@pytest.mark.parametrize("value", [-LARGEST_PARAMETER, LARGEST_PARAMETER])
def test_the_largest_parameters_that_are_served_give_finite_scores(value: float) -> None:
    weights = random_weights(20)
    for name, array in weights.parameters.items():
        array[...] = abs(value) if name == "scale" else value
    model = model_with(weights)
    context = context_of(model, *(f"i{at}" for at in range(6)))
    assert np.isfinite(model.score(context, np.arange(20, dtype=np.int32))).all()
    out = np.zeros((20, len(TwoTowerFeature)), np.float32)
    write_two_tower(model, context, np.arange(20, dtype=np.int32), 0, out)
    assert np.isfinite(out).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda parameters: parameters.pop("key"),
        lambda parameters: parameters.update(more=parameters["key"]),
        lambda parameters: parameters.update(key=parameters["key"][:3]),
        lambda parameters: parameters.update(scale=np.full(len(Head), np.nan, np.float32)),
        lambda parameters: parameters.update(scale=np.zeros(len(Head), np.float32)),
        lambda parameters: parameters.update(last=np.full(1, 1e30, np.float32)),
    ],
)
def test_weights_of_another_shape_are_refused_and_the_old_ones_stay(
    damage: Callable[[dict[str, Any]], object],
) -> None:
    model = model_with(random_weights(50))
    weights = random_weights(50, seed=9)
    damage(weights.parameters)
    with pytest.raises(ValueError, match=r"parameters|dimensions|finite|positive|beyond"):
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
    weights.parameters["heads"][Head.PURCHASE] = 0.5 * np.eye(two_tower_builders.SMALL_SHAPE.n_factors)[::-1]
    model = model_with(weights)
    items = np.append(np.arange(60), NO_ITEM).astype(np.int32)
    out = np.zeros((61, len(TwoTowerFeature)), np.float32)
    write_two_tower(model, context_of(model, "i3", "i8"), items, 0, out)
    assert not out[:, TwoTowerFeature.CART].any()
    assert (out[:, TwoTowerFeature.PURCHASE] ** 2).sum() == pytest.approx(1.0, abs=1e-3)
    cosines = model.cosines(context_of(model, "i3", "i8"), items[:-1], Head.PURCHASE)
    assert np.argmax(out[:, TwoTowerFeature.PURCHASE]) == np.argmax(cosines)
    assert out[-1, TwoTowerFeature.PURCHASE] == 0.0


def clustered_weights(encoder: Literal["attention", "gru"]) -> TrainedWeights:
    """Items of eight groups; tokens, gates and attention are random and large enough to matter."""
    shape = structs.replace(two_tower_builders.SMALL_SHAPE, encoder=encoder, context_length=8)
    weights = two_tower_builders.random_weights([f"i{at}" for at in range(160)], shape)
    rng = np.random.default_rng(11)
    centers = rng.normal(0.0, 1.0, (8, shape.n_factors))
    vectors = centers[np.arange(160) % 8] + rng.normal(0.0, 0.6, (160, shape.n_factors))
    for name in ("query", "key", "gates_of_token", "gates_of_state"):
        weights.parameters[name] *= 2.0
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    if encoder == "gru":
        # as a trained one: what it proposes is in the space of the items
        d = shape.n_factors
        weights.parameters["gates_of_token"][:, 2 * d :] = np.eye(d)
        weights.parameters["gates_of_state"][:, 2 * d :] *= 0.1
    return weights._replace(vectors=unit)


def without(context: Context, item: int) -> Context:
    is_other = context.items != item
    return context._replace(items=context.items[is_other], times=context.times[is_other])


@pytest.mark.parametrize("encoder", ["attention", "gru"])
def test_the_evidence_is_the_item_without_which_the_proposed_one_would_score_lowest(
    encoder: Literal["attention", "gru"],
) -> None:
    model = model_with(clustered_weights(encoder))
    rng, n_right, falls = np.random.default_rng(4), 0, []
    for _ in range(60):
        history = rng.choice(160, 6, replace=False)
        # one of them is there a second time
        context = context_of(model, *(f"i{at}" for at in (*history, history[int(rng.integers(5))])))
        found = model.candidates(context, 10)
        before = model.cosines(context, found.items)
        distinct = sorted(set(context.items.tolist()))
        fall = np.stack([before - model.cosines(without(context, item), found.items) for item in distinct])
        named = fall[[distinct.index(item) for item in found.evidence.tolist()], range(10)]
        n_right += int((named >= fall.max(axis=0)).sum())
        falls.append((named.sum(), fall.max(axis=0).sum(), fall.mean() * 10))
    named_falls, largest_falls, mean_falls = np.sum(falls, axis=0)
    assert n_right > 0.85 * 600, "one in six would be chance"
    assert named_falls > 0.9 * largest_falls
    assert mean_falls < 0.3 * largest_falls


@pytest.mark.parametrize("encoder", ["attention", "gru"])
def test_a_single_item_is_the_evidence_and_a_repeated_one_adds_up(
    encoder: Literal["attention", "gru"],
) -> None:
    model = model_with(clustered_weights(encoder))
    for history in (("i7",), ("i7", "i7", "i7")):
        found = model.candidates(context_of(model, *history), 5)
        assert model.index.ids_of(found.evidence.tolist()) == ["i7"] * 5
