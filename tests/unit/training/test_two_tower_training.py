"""What the trainer learns, and that workers compute the same as it does."""

import math
from typing import Any

import jax.numpy as jnp
import msgspec
import numpy as np
import pytest

from state.snapshots.encoding import decode_snapshot, encode_snapshot
from stream_app.models.checkpoint import Manifest, decode_checkpoint, encode_checkpoint
from stream_app.models.item_content import ItemContent
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import Head, gap_buckets, parameter_shapes
from stream_app.training.augmentation import make_views
from stream_app.training.loss import Batch, encode, normalized
from stream_app.training.optimizer import train_step
from stream_app.training.two_tower_training import TrainingConfig, TwoTowerTraining, user_key
from tests.support.trained_shop import CONFIG, N_ITEMS, SHAPE, TrainedShop, ring_items
from tests.support.two_tower_builders import context_of
from topics.events import CatalogItem
from topics.log_keys import one_way_hash
from topics.records import Kind


@pytest.fixture(scope="module")
def shop() -> TrainedShop:
    return TrainedShop().learn(150)


def test_the_item_that_follows_is_proposed_first(shop: TrainedShop) -> None:
    model = shop.model()
    n_right = 0
    for start in range(N_ITEMS):
        *seen, following = ring_items(start, 4)
        found = model.candidates(context_of(model, *seen), 5)
        n_right += model.index.id_of(int(found.items[0])) == following
    assert n_right > 0.9 * N_ITEMS
    assert np.mean(shop.losses[-20:]) < 0.5 * np.mean(shop.losses[:5])


@pytest.mark.parametrize("encoder", ["attention", "gru"])
def test_the_worker_computes_the_same_user_vector_as_the_trainer(encoder: str, shop: TrainedShop) -> None:
    if encoder == "gru":
        shop = TrainedShop(shape=msgspec.structs.replace(SHAPE, encoder=encoder)).learn(30)
    trained, model = shop.training.weights(), shop.model()
    params = {name: jnp.asarray(value) for name, value in trained.parameters.items()}
    # heads are equal until a cart or a purchase is learned
    params["heads"] = jnp.asarray(np.random.default_rng(1).normal(0, 0.1, trained.parameters["heads"].shape))
    model.adopt(trained._replace(parameters={name: np.array(value) for name, value in params.items()}), "2")
    for length in (1, 3, SHAPE.context_length, SHAPE.context_length + 3):
        seen = ring_items(7, length)
        read = seen[-SHAPE.context_length :]
        context = context_of(model, *seen)
        times = context.times[-len(read) :]
        rows = [trained.item_ids.index(each) for each in read]
        zeros = np.zeros((1, len(read)), np.int32)
        batch = Batch(
            zeros,
            zeros,
            gap_buckets(times, SHAPE.n_gaps)[None],
            np.arange(len(read), dtype=np.int32)[None],
            zeros,
            zeros,
            zeros,
            zeros.astype(np.float32),
            zeros[0],
            zeros[0].astype(np.float32),
            np.zeros((0, 0), np.float32),
            make_views((), None, 0, len(read), SHAPE.n_gaps),
        )
        state = encode(params, jnp.asarray(trained.vectors[rows])[None], batch)[0, -1]
        candidates = np.arange(len(model.index), dtype=np.int32)
        at = [trained.item_ids.index(model.index.id_of(int(each))) for each in candidates]
        for head in Head:
            user = np.asarray(normalized(state + state @ params["heads"][head]))
            expected = trained.vectors[at] @ user
            assert model.cosines(context, candidates, head) == pytest.approx(expected, abs=1e-5)


def test_a_second_training_takes_the_compiled_steps_of_the_first() -> None:
    """Of a trainer that is elected again: its first step is not compiled again."""
    compiled: Any = train_step
    TrainedShop(20).learn(1)
    n_compiled = compiled._cache_size()
    TrainedShop(20).learn(1)
    assert compiled._cache_size() == n_compiled


def test_training_repeats_exactly() -> None:
    first, second = (TrainedShop(60).learn(5).training.weights() for _ in range(2))
    assert first.item_ids == second.item_ids
    assert first.vectors.tobytes() == second.vectors.tobytes()
    assert all(
        first.parameters[name].tobytes() == second.parameters[name].tobytes() for name in first.parameters
    )


def test_a_purchase_is_predicted_by_a_head_of_its_own() -> None:
    training = TwoTowerTraining(SHAPE, CONFIG)
    for n in range(300):
        ts = 7_200.0 * n
        training.add(f"u{n}", "shoe", Kind.VIEW, ts)
        training.add(f"u{n}", "sock" if n % 2 else "lace", Kind.VIEW if n % 2 else Kind.PURCHASE, ts + 40.0)
        if n % 4 == 0:
            training.step()
    shop = TrainedShop(0)
    shop.training = training
    for item in ("shoe", "sock", "lace"):
        training.items.index(item, 0.0)
    model = shop.model()
    for item in ("shoe", "sock", "lace"):
        model.index.index(item, 0.0)
    model.adopt(training.weights(), "2")
    items = np.array(model.index.find_all(["sock", "lace"]), np.int32)
    context = context_of(model, "shoe")
    viewed, bought = model.cosines(context, items, Head.VIEW), model.cosines(context, items, Head.PURCHASE)
    assert viewed[0] > viewed[1]
    assert bought[1] > bought[0]


def test_a_full_index_evicts_items_and_goes_on() -> None:
    config = TrainingConfig(rows=4, negatives=8, new_interactions=16, max_items=20)
    training = TwoTowerTraining(SHAPE, config)
    for n in range(400):
        training.add(f"u{n // 4}", f"i{n // 3}", Kind.VIEW, 60.0 * n)
        if n % 16 == 15:
            assert np.isfinite(training.step())
    weights = training.weights()
    assert len(weights.item_ids) <= 20
    assert np.isfinite(weights.vectors).all()
    assert len(training.vectors) <= 64


def test_sequences_of_two_items_fill_a_batch_with_distinct_items() -> None:
    training = TwoTowerTraining(SHAPE, TrainingConfig(rows=16, negatives=8))
    for user in range(300):
        for n in range(2):
            training.add(f"user {user}", f"item {user} {n}", Kind.VIEW, 7_200.0 * user + n)
    assert math.isfinite(training.step())


def test_a_forgotten_user_is_in_no_sequence() -> None:
    shop = TrainedShop(50)
    sequences = [each.user_hash for each in shop.training.buffer._reservoir]
    assert len(sequences) == 49
    for user in range(50):
        shop.training.forget_user(f"user {user}")
    assert shop.training.buffer._reservoir == []
    assert np.isnan(shop.training.step())


def test_a_restored_training_goes_on_where_it_was() -> None:
    original = TrainedShop().learn(20).training
    for n in range(6):
        original.add("ann", f"item {n}", Kind.CART, 60.0 * n)
    restored = TwoTowerTraining(SHAPE, CONFIG)
    restored.restore(decode_snapshot(encode_snapshot(original.state())))
    before, after = original.weights(), restored.weights()
    assert after.item_ids == before.item_ids
    assert np.array_equal(after.vectors, before.vectors)
    assert all(np.array_equal(after.parameters[name], before.parameters[name]) for name in before.parameters)
    assert (restored.n_interactions, restored.n_steps) == (original.n_interactions, original.n_steps)
    # what was not learned yet is still to be learned, and what is replayed is there
    new = [
        [(each.user_hash, each.items.tolist()) for each in t.buffer.pop_new()] for t in (original, restored)
    ]
    assert new[0] == new[1]
    assert new[0]
    assert len(restored.buffer) == len(original.buffer) > 0
    assert np.isfinite(restored.step())
    assert restored.n_steps == original.n_steps + 1


def test_a_state_of_another_shape_is_refused() -> None:
    state = TwoTowerTraining(SHAPE, CONFIG).state()
    with pytest.raises(ValueError, match="shape"):
        TwoTowerTraining(msgspec.structs.replace(SHAPE, hidden=SHAPE.hidden + 1), CONFIG).restore(state)


def test_a_user_is_forgotten_by_the_hash_of_a_receipt() -> None:
    training = TwoTowerTraining(SHAPE, CONFIG)
    for user in ("ann", "bob"):
        for n in range(3):
            training.add(user, f"item {n}", Kind.VIEW, 60.0 * n)
    training.forget_user_hash(one_way_hash("ann"))
    assert [each.user_hash for each in training.buffer.pop_new()] == [user_key("bob")]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "sigmoid"},
        {"in_batch": True},
        {"average": 0.0},
        {
            "augmentations": ("crop", "mask", "substitute"),
            "augmented": 0.3,
            "contrast": 0.1,
            "contrast_pairs": 8,
        },
    ],
)
def test_options_learn_what_follows_too(changes: dict[str, Any]) -> None:
    shop = TrainedShop(config=msgspec.structs.replace(CONFIG, **changes)).learn(120)
    model = shop.model()
    n_right = 0
    for start in range(N_ITEMS):
        *seen, following = ring_items(start, 4)
        found = model.candidates(context_of(model, *seen), 3)
        n_right += following in model.index.ids_of(found.items.tolist())
    assert n_right > 0.8 * N_ITEMS


def test_an_item_without_interactions_is_near_items_with_the_same_content() -> None:
    content = ItemContent(category_slots=32, brand_slots=8)
    training = TwoTowerTraining(SHAPE, CONFIG, content=content)
    rng = np.random.default_rng(3)
    for item in range(40):
        training.add_catalog(CatalogItem(ts=0, item_id=f"i{item}", categories=[f"c{item % 4}"]))
    for session in range(300):
        category = int(rng.integers(4))
        for at, number in enumerate(rng.integers(10, size=4)):
            item = category + 4 * int(number)
            training.add(f"u{session}", f"i{item}", Kind.VIEW, 7_200.0 * session + 40.0 * at)
        if session % 3 == 2:
            training.step()
    for category in range(4):
        training.add_catalog(CatalogItem(ts=0, item_id=f"new {category}", categories=[f"c{category}"]))
    restored = TwoTowerTraining(SHAPE, CONFIG, content=ItemContent(category_slots=32, brand_slots=8))
    restored.restore(decode_snapshot(encode_snapshot(training.state())))
    for each in (training, restored):
        weights = each.weights()
        assert set(weights.parameters) == set(parameter_shapes(SHAPE))
        vector = dict(zip(weights.item_ids, weights.vectors, strict=True))
        for category in range(4):
            of_category = [
                np.mean([vector[f"new {category}"] @ vector[f"i{item}"] for item in range(other, 40, 4)])
                for other in range(4)
            ]
            assert int(np.argmax(of_category)) == category
    with pytest.raises(ValueError, match="encoder"):
        TwoTowerTraining(SHAPE, CONFIG).restore(training.state())


def test_an_item_without_interactions_is_proposed_by_its_content_among_items_with_many() -> None:
    content = ItemContent(category_slots=32, brand_slots=8)
    training = TwoTowerTraining(SHAPE, CONFIG, content=content)
    rng = np.random.default_rng(3)
    for item in range(80):
        training.add_catalog(CatalogItem(ts=0, item_id=f"i{item}", categories=[f"c{item % 4}"]))
    # the last 40 items are in the catalog from the first step on, and no one chooses them
    for session in range(600):
        category = int(rng.integers(4))
        for at, number in enumerate(rng.integers(10, size=4)):
            training.add(
                f"u{session}", f"i{category + 4 * int(number)}", Kind.VIEW, 7_200.0 * session + 40.0 * at
            )
        if session % 3 == 2:
            training.step()
    model = TwoTower()
    for item in range(80):
        model.index.index(f"i{item}", 0.0)
    model.adopt(training.weights(), "1")
    for category in range(4):
        found = model.candidates(context_of(model, f"i{category}", f"i{category + 4}"), 20)
        ids = [int(each.removeprefix("i")) for each in model.index.ids_of(found.items.tolist())]
        assert sum(item >= 40 and item % 4 == category for item in ids) >= 5


def test_a_large_catalog_evicts_no_item() -> None:
    content = ItemContent(category_slots=8, brand_slots=4)
    config = msgspec.structs.replace(CONFIG, max_items=20)
    training = TwoTowerTraining(SHAPE, config, content=content)
    for item in range(10):
        training.add("ann", f"i{item}", Kind.VIEW, 60.0 * item)
    for item in range(30):
        training.add_catalog(CatalogItem(ts=2_000_000_000_000, item_id=f"new {item}", categories=["c"]))
    assert {f"i{item}" for item in range(10)} <= set(training.weights().item_ids)
    assert len(training.weights().item_ids) == 20


def test_a_recurrent_encoder_learns_what_follows_too() -> None:
    shop = TrainedShop(shape=msgspec.structs.replace(SHAPE, encoder="gru")).learn(200)
    weights, manifest = decode_checkpoint(
        encode_checkpoint(shop.training.weights(), Manifest(version=1, created_at=0.0))
    )
    model = shop.model()
    model.adopt(weights, str(manifest.version))
    n_right = 0
    for start in range(N_ITEMS):
        *seen, following = ring_items(start, 4)
        found = model.candidates(context_of(model, *seen), 3)
        n_right += following in model.index.ids_of(found.items.tolist())
        assert model.index.id_of(int(found.evidence[0])) == seen[-1]
    assert n_right > 0.8 * N_ITEMS
