"""River's BiasedMF on the arrays of the factor model."""

import numpy as np
import pytest
from river import optim, reco

from stream_app.models.biased_mf import BiasedMF, RowSGD
from stream_app.models.factor_model import initial_latents
from stream_app.models.id_index import stable_hash
from tests.support.factor_model_builders import context, make_index, observation, share_of_own_group


def test_river_writes_into_our_arrays() -> None:
    model = BiasedMF(make_index())
    for item in range(100):  # past the first growth
        model.learn(observation(f"u{item}", item))
    assert type(model.river) is reco.BiasedMF
    assert model.river.i_latents is model._factors.item_latents
    assert model.river.u_biases is model._user_biases
    before = model._factors.item_latents[7].copy()
    model.river.learn_one(3, 7, 1.0)
    assert not np.array_equal(model._factors.item_latents[7], before)
    assert model._factors.item_latents.dtype == np.float32


def test_predictions_equal_river() -> None:
    index = make_index()
    ours = BiasedMF(index, negatives=0, learning_rate=0.1, l2=0.01)
    theirs = reco.BiasedMF(
        n_factors=ours.n_factors,
        bias_optimizer=optim.SGD(0.1),
        latent_optimizer=optim.SGD(0.1),
        l2_bias=0.01,
        l2_latent=0.01,
        clip_gradient=ours.clip,
    )
    rng = np.random.default_rng(0)
    for _ in range(200):
        user, item = f"u{rng.integers(9)}", int(rng.integers(9))
        weight = float(rng.choice([1.0, -1.0]))
        if user not in theirs.u_latents:
            tie = stable_hash(user)
            theirs.u_latents[user] = initial_latents(tie, ours.seed, ours.n_factors, 0.1).astype(float)
        if item not in theirs.i_latents:
            tie = int(index.hashes[item])
            theirs.i_latents[item] = initial_latents(tie, ours.seed + 1, ours.n_factors, 0.1).astype(float)
        ours.learn(observation(user, item, weight))
        theirs.learn_one(user, item, float(weight > 0))
    for item in range(9):
        expected = theirs.predict_one("u1", item)
        row = ours._users.find("u1")
        assert ours.river.predict_one(row, item) == pytest.approx(expected, abs=1e-4)


def test_a_row_sgd_step_equals_rivers_sgd_step() -> None:
    ours, theirs = {"a": np.array([1.0, 2.0])}, {"a": np.array([1.0, 2.0])}
    gradient = {"a": np.array([0.5, -1.0])}
    RowSGD(0.1).step(ours, gradient)
    optim.SGD(0.1).step(theirs, gradient)
    assert ours["a"].tolist() == theirs["a"].tolist() == [0.95, 2.1]


def test_scoring_does_not_allocate_rows() -> None:
    model = BiasedMF(make_index())
    model.learn(observation("ann", 1))
    before = model.memory()
    for number in range(500):
        model.score(context(f"nobody{number}", 5, 99), np.arange(100, dtype=np.int32))
    assert model.memory() == before
    assert model.score(context("ann"), np.array([1, 2], np.int32))[1] == 0.0


def test_initial_vectors_depend_on_the_id_and_the_seed_alone() -> None:
    first = initial_latents(5, 7, 16, 0.1)
    assert np.array_equal(first, initial_latents(5, 7, 16, 0.1))
    assert not np.array_equal(first, initial_latents(6, 7, 16, 0.1))
    assert not np.array_equal(first, initial_latents(5, 8, 16, 0.1))
    many = np.concatenate([initial_latents(tie, 7, 16, 0.1) for tie in range(500)])
    assert many.mean() == pytest.approx(0.0, abs=0.005)
    assert many.std() == pytest.approx(0.1, abs=0.005)


def test_repeats_are_not_learned() -> None:
    model = BiasedMF(make_index())
    model.learn(observation("ann", 1))
    before = model._factors.item_biases[1]
    model.learn(observation("ann", 1, repeat=True))
    assert model._factors.item_biases[1] == before


def test_it_separates_two_groups_of_users() -> None:
    assert share_of_own_group(BiasedMF(make_index(), seed=1)) >= 0.85  # half of them by chance


def test_weights_stay_finite_under_extreme_input() -> None:
    model = BiasedMF(make_index())
    rng = np.random.default_rng(0)
    for number in range(6000):
        item = int(rng.integers(3)) if number % 2 else int(rng.integers(100))
        model.learn(observation(f"u{rng.integers(2)}", item, float(rng.choice([-2.0, 1.0, 5.0]))))
    assert np.abs(model._factors.item_latents).max() < 10
    assert np.abs(model._factors.user_latents).max() < 10
