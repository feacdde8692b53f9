"""Sessions that the model generates."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest

from stream_app.training.config import TrainingConfig
from stream_app.training.generation import GeneratedSessions, Generator, Model, discriminate, rare_items
from stream_app.training.sequences import SequenceBuffer
from stream_app.training.two_tower_training import TwoTowerTraining, user_key
from tests.support.trained_shop import CONFIG, N_ITEMS, TrainedShop
from topics.records import Kind


@pytest.fixture(scope="module")
def model() -> Model:
    weights = TrainedShop().learn(150).training.weights()
    # the numbers of items in sequences are not their positions in the weights
    return Model(weights, np.arange(len(weights.item_ids)) + 1_000)


def number_of(model: Model, position: int) -> int:
    return int(model.weights.item_ids[position].removeprefix("i"))


def test_generated_sessions_follow_the_ring_from_their_first_item_on(model: Model) -> None:
    starts = list(range(N_ITEMS))
    sessions = Generator(np.random.default_rng(1), temperature=0.3).sessions(model, starts, [4] * N_ITEMS)
    n_followed = 0
    for start, session in zip(starts, sessions, strict=True):
        assert session.items[0] == model.rows[start]
        assert len(session.items) == 4
        numbers = [number_of(model, int(row) - 1_000) for row in session.items]
        n_followed += sum((b - a) % N_ITEMS == 1 for a, b in pairwise(numbers))
        assert (np.diff(session.times) >= 0).all()
    assert n_followed > 0.7 * 3 * N_ITEMS


def test_a_higher_temperature_varies_the_sessions_more(model: Model) -> None:
    def n_different(temperature: float) -> int:
        generator = Generator(np.random.default_rng(1), temperature=temperature)
        return len({tuple(each.items.tolist()) for each in generator.sessions(model, [3] * 100, [4] * 100)})

    assert n_different(0.2) < n_different(1.0) < n_different(20.0)


def test_a_classifier_tells_random_sessions_from_real_ones_better_than_generated_ones(model: Model) -> None:
    rng = np.random.default_rng(2)
    position = {number_of(model, at): at for at in range(N_ITEMS)}
    real = [
        np.array([position[(start + at) % N_ITEMS] for at in range(4)], np.int32)
        for start in rng.integers(N_ITEMS, size=300).tolist()
    ]
    starts = rng.integers(N_ITEMS, size=300).tolist()
    sessions = Generator(rng, temperature=0.5).sessions(model, starts, [4] * 300)
    generated = [(each.items - 1_000).astype(np.int32) for each in sessions]
    random = [rng.integers(N_ITEMS, size=4).astype(np.int32) for _ in range(300)]
    of_generated = discriminate(model.weights, real, generated, np.random.default_rng(3))
    of_random = discriminate(model.weights, real, random, np.random.default_rng(3))
    assert of_random > 0.95
    assert of_generated < of_random - 0.1


def test_items_without_interactions_are_the_rarest() -> None:
    assert rare_items(np.array([4.0, 0.0, 7.0, 1.0]), np.arange(4), 0.5).tolist() == [1, 3]


def test_a_training_with_generated_sessions_learns_and_forgets_evicted_items() -> None:
    config = msgspec.structs.replace(CONFIG, generated=0.3, max_items=20)
    training = TwoTowerTraining(config=config, shape=TrainedShop(0).training.shape)
    for n in range(2_000):
        training.add(f"u{n // 4}", f"i{n % 15}", Kind.VIEW, 60.0 * n)
    for _ in range(60):
        assert np.isfinite(training.step())
    assert training._generated is not None
    replayed = list(training._generated.mix(training.buffer.sample(200)))
    n_generated = sum(each.user_hash != 0 for each in replayed)
    assert 100 < n_generated < 180
    for n in range(20):
        training.add("new", f"n{n}", Kind.VIEW, 200_000.0 + n)
    assert all(each.user_hash for each in training._generated.mix(training.buffer.sample(200)))
    assert np.isfinite(training.step())


def test_an_erasure_of_a_user_leaves_no_session_of_a_user() -> None:
    buffer = SequenceBuffer(length=3)
    for n in range(4):
        buffer.add(user_key("ann"), n, 0, float(n))
    buffer.forget_user(user_key("ann"))
    assert list(buffer.sample(5)) == []


@pytest.mark.parametrize("changes", [{"temperature": 0.0}, {"nearest": 0}])
def test_a_generator_that_cannot_draw_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Generator(np.random.default_rng(1), **changes)  # type: ignore[arg-type]


def test_sessions_are_generated_early_and_then_regularly() -> None:
    generated = GeneratedSessions(TrainingConfig(generated=0.1), np.random.default_rng(1))
    assert [step for step in range(2_600) if generated.is_due(step)] == [
        25,
        50,
        100,
        200,
        400,
        800,
        1_300,
        1_800,
        2_300,
    ]
    restored = GeneratedSessions(TrainingConfig(generated=0.1), np.random.default_rng(1))
    assert [step for step in range(5_000, 6_100) if restored.is_due(step)] == [5_000, 5_500, 6_000]
