"""Segments of users as inputs of the two-tower model, for users with little history."""

from typing import Any

import jax.numpy as jnp
import msgspec
import numpy as np
import pytest

from state.snapshots.encoding import decode_snapshot, encode_snapshot
from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, NO_ITEM, Context
from stream_app.models.item_index import ItemIndex
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import MAX_SEGMENTS, segment_slots
from stream_app.training.batches import empty_tokens
from stream_app.training.generation import GeneratedSessions, Generator
from stream_app.training.hit_rate import Choice, hit_rate
from stream_app.training.loss import encode, encode_segments, normalized
from stream_app.training.two_tower_training import TwoTowerTraining
from tests.support.trained_shop import CONFIG, SHAPE, TrainedShop
from tests.support.two_tower_builders import context_of
from topics.records import Kind

WITH_SEGMENTS = msgspec.structs.replace(SHAPE, n_segments=32)
FRENCH, GERMAN = ("country:FR", "channel:web"), ("country:DE", "channel:web")


@pytest.fixture(scope="module")
def training() -> TwoTowerTraining:
    """Two countries whose users choose among items of their own."""
    training = TwoTowerTraining(WITH_SEGMENTS, CONFIG)
    rng = np.random.default_rng(5)
    for n in range(300):
        first = 10 * (n % 2)
        for at, item in enumerate(rng.integers(first, first + 10, 4).tolist()):
            segments = FRENCH if n % 2 == 0 else GERMAN
            training.add(f"user {n}", f"i{item}", Kind.VIEW, 7_200.0 * n + 40.0 * at, segments)
    for _ in range(150):
        training.step()
    return training


def model_of(training: TwoTowerTraining) -> TwoTower:
    index = ItemIndex(100)
    for at in range(20):
        index.index(f"i{at}", 0.0)
    model = TwoTower(index)
    model.adopt(training.weights(), "1")
    return model


def new_user(*segments: str) -> Context:
    return Context("ann", EMPTY_ITEMS, EMPTY_TIMES, 0, segments, 0.0)


def test_a_new_user_gets_what_users_of_the_segments_choose(training: TwoTowerTraining) -> None:
    model = model_of(training)
    for segments, expected in ((FRENCH, range(10)), (GERMAN, range(10, 20))):
        context = new_user(*segments)
        found = model.candidates(context, 8)
        assert set(found.items.tolist()) <= set(expected)
        assert set(found.evidence.tolist()) == {NO_ITEM}
        reason = model.explain(context, int(found.items[0]), NO_ITEM)
        assert (reason.source, reason.item_id, reason.segment) == ("similar_taste", None, segments[0])


def test_of_an_unknown_user_nothing_is_proposed(training: TwoTowerTraining) -> None:
    assert not len(model_of(training).candidates(new_user(), 8).items)
    without = TrainedShop(30).model()
    assert not len(without.candidates(new_user(*FRENCH), 8).items)


@pytest.mark.parametrize("length", [0, 1, 3, WITH_SEGMENTS.context_length])
def test_the_worker_computes_the_same_as_the_trainer(training: TwoTowerTraining, length: int) -> None:
    model, trained = model_of(training), training.weights()
    params = {name: jnp.asarray(value) for name, value in trained.parameters.items()}
    seen = [f"i{at % 20}" for at in range(length)]
    context = context_of(model, *seen)._replace(segments=FRENCH)
    tokens = empty_tokens(1, max(1, length), segments=True)
    assert tokens.segments is not None
    tokens.segments[0, :, :2] = segment_slots(FRENCH, WITH_SEGMENTS.n_segments)
    if length:
        tokens.sequences[:] = 0
        tokens.positions[0] = np.arange(length)
        tokens.gaps[0, 1:] = 1  # 40 seconds
        rows = [trained.item_ids.index(each) for each in seen]
        state = encode(params, jnp.asarray(trained.vectors[rows])[None], tokens)[0, -1]
    else:
        state = encode_segments(params, tokens.segments)[0, 0]
    user = np.asarray(normalized(state + state @ params["heads"][0]))
    at = [trained.item_ids.index(f"i{item}") for item in range(20)]
    cosines = model.cosines(context, np.arange(20, dtype=np.int32))
    assert cosines == pytest.approx(trained.vectors[at] @ user, abs=1e-5)


def test_the_hit_rate_of_a_trial_knows_the_segments(training: TwoTowerTraining) -> None:
    weights = training.weights()
    choices = [Choice(["i3"], [0], [0.0], f"i{item}", 0, FRENCH) for item in range(10)]
    assert hit_rate(weights, choices, k=10) > 0.9


def test_a_restored_training_knows_the_segments(training: TwoTowerTraining) -> None:
    restored = TwoTowerTraining(WITH_SEGMENTS, CONFIG)
    restored.restore(decode_snapshot(encode_snapshot(training.state())))
    known = [each.segments.tolist() for each in restored.buffer.sample(10)]
    assert all(len(each) == 2 for each in known)
    assert np.isfinite(restored.step())


def test_a_state_of_a_version_without_segments_is_restored() -> None:
    original = TrainedShop(30).learn(5).training
    state: Any = original.state()
    del state["shape"]["n_segments"]
    for part in ("open", "newest", "reservoir"):
        del state[part]["segments"], state[part]["n_segments"]
    restored = TwoTowerTraining(SHAPE, CONFIG)
    restored.restore(state)
    assert np.array_equal(restored.weights().vectors, original.weights().vectors)
    assert np.isfinite(restored.step())


def test_generated_sessions_of_a_segment_are_of_its_items(training: TwoTowerTraining) -> None:
    model = training._as_model()
    slots = np.full((50, MAX_SEGMENTS), -1, np.int32)
    slots[:, :2] = segment_slots(GERMAN, WITH_SEGMENTS.n_segments)
    generator = Generator(np.random.default_rng(1), temperature=0.5)
    starts = generator.first_items(model.weights, slots)
    sessions = generator.sessions(model, starts.tolist(), [4] * 50, slots)
    items = [training.items.ids_of(each.items.tolist()) for each in sessions]
    german = {f"i{n}" for n in range(10, 20)}
    assert all(each.segments.tolist() == slots[0, :2].tolist() for each in sessions)
    assert sum(item in german for each in items for item in each) > 0.9 * 4 * 50


@pytest.mark.parametrize(("generated_for", "share"), [("segments", 1.0), ("both", 0.5)])
def test_sessions_are_generated_for_the_rarest_segment(generated_for: str, share: float) -> None:
    config: Any = msgspec.structs.replace(CONFIG, generated=0.5, generated_for=generated_for)
    training = TwoTowerTraining(WITH_SEGMENTS, config)
    rare = segment_slots(GERMAN, WITH_SEGMENTS.n_segments).tolist()
    for n in range(400):
        training.add(f"u{n // 4}", f"i{n % 15}", Kind.VIEW, 60.0 * n, GERMAN if n // 4 % 20 == 0 else FRENCH)
    training.step()
    generated = GeneratedSessions(config, np.random.default_rng(1))
    generated.generate(training._as_model(), training.counts, training.buffer.sample(1_000))
    found = [each.segments.tolist() == rare for each in generated._sessions]
    assert np.mean(found) == share


def test_without_segments_there_are_no_sessions_of_segments() -> None:
    config = msgspec.structs.replace(CONFIG, generated=0.5, generated_for="segments")
    training = TrainedShop(100, config).learn(2).training
    generated = GeneratedSessions(config, np.random.default_rng(1))
    generated.generate(training._as_model(), training.counts, training.buffer.sample(100))
    assert not generated._sessions
    assert all(each.user_hash for each in generated.mix(training.buffer.sample(100)))
