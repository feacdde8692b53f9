"""The factorization ranker, on choices by a known rule."""

import numpy as np
import pytest

from stream_app.ranking.fusion.factorization import FactorizationRanker


def make(**parameters: int) -> FactorizationRanker:
    return FactorizationRanker([(0, 6), (1, 6)], [(0, 6, 2, 2)], [(at, 4) for at in range(3)], **parameters)


def choices(count: int, seed: int = 1) -> list[tuple[np.ndarray, int]]:
    """Of ten options the one least on feature 0 is chosen; the largest where feature 2, the same for all, is high."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        options = rng.random((10, 3)).astype(np.float32)
        options[:, 2] = high = rng.integers(2)
        samples.append((options, int(options[:, 0].argmax() if high else options[:, 0].argmin())))
    return samples


def accuracy(ranker: FactorizationRanker) -> float:
    return float(np.mean([ranker.score(x).argmax() == chosen for x, chosen in choices(500, seed=2)]))


def trained(ranker: FactorizationRanker, count: int = 1_500) -> FactorizationRanker:
    for options, chosen in choices(count):
        ranker.learn(options, chosen)
    return ranker


def test_context_dependent_rule_needs_crosses_or_factors() -> None:
    bins = [(0, 6), (1, 6)]
    assert accuracy(trained(FactorizationRanker(bins, [(0, 6, 2, 2)]))) > 0.75
    assert accuracy(trained(FactorizationRanker(bins, pairs=[(0, 6), (2, 2)]))) > 0.75
    assert accuracy(trained(FactorizationRanker(bins))) < 0.55


def test_missing_values_have_their_own_weight() -> None:
    ranker = FactorizationRanker([(0, 6)])
    options = np.array([[0.0], [-1.0], [1.0]], np.float32)
    for _ in range(100):
        ranker.learn(options, 1)
    assert ranker.score(options).argmax() == 1
    low, missing, high = ranker.score(options).tolist()
    assert missing > max(low, high) + 1.0


def test_initialize_bin_sets_the_initial_scores() -> None:
    ranker = FactorizationRanker([(0, 11)])
    ranker.initialize_bin(0, lambda values: 3 * values)
    found = ranker.score(np.array([[0.0], [0.25], [1.0], [-1.0]], np.float32))
    assert found.tolist() == pytest.approx([0.0, 0.75, 3.0, 0.0], abs=1e-5)


def test_reported_loss_decreases() -> None:
    short_run, long_run = trained(make(), 50), trained(make())
    assert short_run.loss == pytest.approx(np.log(10), rel=0.3)
    assert long_run.loss < 0.6 * short_run.loss
    assert long_run.choices == 1_500


def test_training_is_deterministic_and_resumes_from_state() -> None:
    uninterrupted, interrupted, restored = trained(make(), 301), trained(make(), 151), make()
    restored.restore(interrupted.state())
    for options, chosen in choices(301)[151:]:
        restored.learn(options, chosen)
    for actual, expected in zip(restored.weights, uninterrupted.weights, strict=True):
        assert np.array_equal(actual, expected)
    assert restored.choices == uninterrupted.choices
    assert restored.loss == pytest.approx(uninterrupted.loss)


def test_state_is_a_copy_and_other_parameters_are_rejected() -> None:
    ranker = trained(make(), 20)
    state = ranker.state()
    before = state["weights"]["linear"].copy()
    trained(ranker, 20)
    assert np.array_equal(state["weights"]["linear"], before)
    with pytest.raises(ValueError, match="n_factors is 3"):
        make(n_factors=3).restore(state)


def test_out_of_range_features_and_any_list_length_are_accepted() -> None:
    ranker = trained(make(), 50)
    odd = np.array([[-7.0, 2.0, 0.5], [5.0, 0.0, -3.0]], np.float32)
    assert np.isfinite(ranker.score(odd)).all()
    assert ranker.score(odd[:0]).shape == (0,)
    many = np.random.default_rng(0).random((700, 3)).astype(np.float32)
    assert np.array_equal(ranker.score(many)[:20].copy(), ranker.score(many[:20]))


def test_choice_with_non_finite_loss_is_not_learned() -> None:
    ranker = trained(make(), 20)
    ranker.weights.linear[0] = np.nan
    before = [array.copy() for array in ranker.weights]
    ranker.learn(np.zeros((3, 3), np.float32), 0)
    assert ranker.choices == 20
    for actual, expected in zip(before, ranker.weights, strict=True):
        assert np.array_equal(actual, expected, equal_nan=True)
