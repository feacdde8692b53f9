"""Pairwise ranking by factors, learned online."""

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context
from stream_app.models.bpr import BPR
from stream_app.models.kernels.bpr import PairSettings, learn_pairs
from stream_app.models.kernels.factors import Factors
from stream_app.models.kernels.jit import plain
from tests.support.factor_model_builders import context, make_index, observation, share_of_own_group

Floats = NDArray[np.float64]


def test_a_step_is_the_gradient_of_the_log_likelihood_of_the_pair() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(1, 4)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
    biases = rng.normal(size=3)
    p, q, b = users[0].astype(float), items.astype(float), biases.copy()
    learning_rate, l2 = 1e-2, 0.1
    context_decay = 0.5

    def likelihood(p: Floats, q: Floats, b: Floats) -> float:
        # item 0 was chosen after item 2, item 1 is the sample
        margin = (p + q[2]) @ (q[0] - q[1]) + b[0] - b[1]
        penalty = l2 / 2 * ((p**2).sum() + (q**2).sum() + b[0] ** 2 + b[1] ** 2)
        return float(-np.log1p(np.exp(-margin)) - penalty)

    def partial_derivative(part: Floats, at: tuple[int, ...]) -> float:
        original, small = part[at], 1e-6
        part[at] = original + small
        upper = likelihood(p, q, b)
        part[at] = original - small
        lower = likelihood(p, q, b)
        part[at] = original
        return (upper - lower) / (2 * small)

    expected_users = np.array([p[at] + learning_rate * partial_derivative(p, (at,)) for at in range(4)])
    expected_items = np.array(
        [[q[i, at] + learning_rate * partial_derivative(q, (i, at)) for at in range(4)] for i in range(3)]
    )
    expected_biases = np.array([b[at] + learning_rate * partial_derivative(b, (at,)) for at in range(2)])
    pool = np.array([1], np.int32)
    has_vector = np.ones(3, np.bool_)
    learn_pairs(
        0,
        0,
        1.0,
        np.array([2], np.int32),
        pool,
        7,
        plain(PairSettings(1, 5, context_decay, learning_rate, l2, 9.0)),
        plain(Factors(users, items, biases, has_vector)),
    )
    # to first order: the kernel changes the vectors one after the other
    np.testing.assert_allclose(users[0], expected_users, atol=3e-4)
    np.testing.assert_allclose(items, expected_items, atol=3e-4)
    np.testing.assert_allclose(biases[:2], expected_biases, atol=1e-6)


def test_it_separates_two_groups_of_users() -> None:
    assert share_of_own_group(BPR(make_index(), seed=1)) >= 0.85  # half of them by chance


def test_an_unknown_user_is_represented_by_the_context_items() -> None:
    model = BPR(make_index(), seed=1)
    rng = np.random.default_rng(0)
    for number in range(4000):
        group = int(rng.integers(2))
        first, second = (2 * int(rng.integers(10)) + group for _ in range(2))
        if first != second:
            model.learn(observation(f"u{number}", first))
            model.learn(observation(f"u{number}", second, previous=(first,)))
    for group in (0, 1):
        best = model.candidates(context("stranger", group), 8).items
        assert sum(item % 2 == group for item in best.tolist()) >= 7


def test_disliked_items_rank_last() -> None:
    model = BPR(make_index())
    for _ in range(50):
        for item in (1, 2, 3):
            model.learn(observation("ann", item))
        model.learn(observation("ann", 4, -1.0))
    scores = model.score(context("ann"), np.arange(1, 5, dtype=np.int32))
    assert scores.argmin() == 3


def test_a_purchase_makes_a_larger_step_than_a_view() -> None:
    def after(weight: float) -> float:
        model = BPR(make_index())
        for item in range(10):
            model.learn(observation("bob", item))
        model.learn(observation("ann", 3, weight))
        return float(model.score(context("ann"), np.array([3], np.int32))[0])

    assert after(5.0) > after(1.0) > 0


def test_recently_viewed_items_are_not_sampled_as_negatives() -> None:
    model = BPR(make_index(), negatives=20)
    for item in (0, 1):
        model.learn(observation("bob", item))
    before = model._factors.item_biases[:2].copy()
    model.learn(observation("ann", 1, previous=(0,)))
    assert model._factors.item_biases[:2].tolist() == before.tolist()  # the pool has no negative


def test_scoring_does_not_allocate_rows() -> None:
    model = BPR(make_index())
    model.learn(observation("ann", 1))
    before = model.memory()
    for number in range(500):
        model.score(context(f"nobody{number}", 5, 99), np.arange(100, dtype=np.int32))
    assert model.memory() == before
    assert model.score(context("ann"), np.array([1, 2], np.int32))[1] == 0.0


def test_repeats_are_not_learned() -> None:
    model = BPR(make_index())
    for item in (1, 2, 3):
        model.learn(observation("ann", item))
    before = model._factors.item_latents.copy()
    model.learn(observation("ann", 1, repeat=True))
    assert np.array_equal(model._factors.item_latents, before)


def test_weights_stay_finite_under_extreme_input() -> None:
    model = BPR(make_index(), learning_rate=0.3)
    rng = np.random.default_rng(0)
    last: tuple[int, ...] = ()
    for number in range(20_000):
        item = int(rng.integers(3)) if number % 2 else int(rng.integers(100))
        weight = float(rng.choice([-2.0, 1.0, 5.0]))
        model.learn(observation(f"u{rng.integers(2)}", item, weight, previous=last))
        last = (*last, item)[-10:]
    assert np.abs(model._factors.item_latents).max() <= model.clip
    assert np.abs(model._factors.user_latents).max() <= model.clip
    assert np.isfinite(model._factors.item_biases).all()
    assert np.isfinite(model.score(context("u1", 1, 2), np.arange(100, dtype=np.int32))).all()


def test_an_anonymous_empty_context_has_no_candidates() -> None:
    model = BPR(make_index())
    model.learn(observation("ann", 1))
    anonymous = Context("", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)
    assert len(model.candidates(anonymous, 10).items) == 0
