"""Negatives are drawn from the items of the time."""

import numpy as np

from stream_app.training.negatives import NegativeSampler


def test_a_new_trainer_draws_items_soon_after_their_first_interaction() -> None:
    sampler, counts = NegativeSampler(64, seed=7), np.zeros(400)
    counts[:10] = 5.0
    for _ in range(5):
        rows, _ = sampler.draw(counts, 400)
        assert rows.max() < 10
    counts[10:] = 5.0
    assert max(int(sampler.draw(counts, 400)[0].max()) for _ in range(3)) >= 10


def test_items_without_interactions_are_no_negatives() -> None:
    sampler, counts = NegativeSampler(64, seed=7), np.ones(100)
    counts[50:] = 0.0
    drawn = np.concatenate([sampler.draw(counts, 100)[0] for _ in range(30)])
    assert set(drawn.tolist()) <= set(range(50))


def test_the_distribution_is_not_computed_for_each_batch() -> None:
    sampler, counts = NegativeSampler(8, seed=7), np.ones(20)
    for _ in range(3_000):
        sampler.draw(counts, 20)
    counts[:] = 0.0
    counts[3] = 1.0
    n_old = sum(bool((sampler.draw(counts, 20)[0] != 3).any()) for _ in range(200))
    assert 0 < n_old <= 100
