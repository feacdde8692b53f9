"""The learner of result lists, on choices whose rule is known."""

import numpy as np
import pytest

from stream_app.ranking.fusion.factorization import FactorizationRanker


def make(**parameters: int) -> FactorizationRanker:
    return FactorizationRanker([(0, 6), (1, 6)], [(0, 6, 2, 2)], [(at, 4) for at in range(3)], **parameters)


def choices(count: int, seed: int = 1) -> list[tuple[np.ndarray, int]]:
    """Of ten options the one least on feature 0 is taken; the one most where feature 2, the same for all, is high."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        options = rng.random((10, 3)).astype(np.float32)
        options[:, 2] = high = rng.integers(2)
        made.append((options, int(options[:, 0].argmax() if high else options[:, 0].argmin())))
    return made


def accuracy(ranker: FactorizationRanker) -> float:
    return float(np.mean([ranker.score(x).argmax() == chosen for x, chosen in choices(500, seed=2)]))


def taught(ranker: FactorizationRanker, count: int = 1_500) -> FactorizationRanker:
    for options, chosen in choices(count):
        ranker.learn(options, chosen)
    return ranker


def test_a_rule_that_the_context_turns_round_is_learned_by_a_cross_or_by_factors_but_not_without() -> None:
    bins = [(0, 6), (1, 6)]
    assert accuracy(taught(FactorizationRanker(bins, [(0, 6, 2, 2)]))) > 0.75
    assert accuracy(taught(FactorizationRanker(bins, pairs=[(0, 6), (2, 2)]))) > 0.75
    assert accuracy(taught(FactorizationRanker(bins))) < 0.55


def test_what_is_missing_has_a_weight_of_its_own() -> None:
    ranker = FactorizationRanker([(0, 6)])
    options = np.array([[0.0], [-1.0], [1.0]], np.float32)
    for _ in range(100):
        ranker.learn(options, 1)
    assert ranker.score(options).argmax() == 1
    low, missing, high = ranker.score(options).tolist()
    assert missing > max(low, high) + 1.0


def test_it_begins_where_it_is_told_to() -> None:
    ranker = FactorizationRanker([(0, 11)])
    ranker.start_at(0, lambda values: 3 * values)
    found = ranker.score(np.array([[0.0], [0.25], [1.0], [-1.0]], np.float32))
    assert found.tolist() == pytest.approx([0.0, 0.75, 3.0, 0.0], abs=1e-5)


def test_the_loss_is_told_and_falls() -> None:
    early, late = taught(make(), 50), taught(make())
    assert early.loss == pytest.approx(np.log(10), rel=0.3)
    assert late.loss < 0.6 * early.loss
    assert late.choices == 1_500


def test_the_same_choices_give_the_same_weights_and_a_state_goes_on_from_where_it_was() -> None:
    whole, half, again = taught(make(), 301), taught(make(), 151), make()
    again.restore(half.state())
    for options, chosen in choices(301)[151:]:
        again.learn(options, chosen)
    for mine, theirs in zip(again.weights, whole.weights, strict=True):
        assert np.array_equal(mine, theirs)
    assert again.choices == whole.choices
    assert again.loss == pytest.approx(whole.loss)


def test_a_state_shares_nothing_and_one_of_other_parameters_does_not_fit() -> None:
    ranker = taught(make(), 20)
    state = ranker.state()
    before = state["weights"]["single"].copy()
    taught(ranker, 20)
    assert np.array_equal(state["weights"]["single"], before)
    with pytest.raises(ValueError, match="rank is 3"):
        make(rank=3).restore(state)


def test_values_outside_of_0_to_1_do_not_break_it_nor_do_lists_of_any_length() -> None:
    ranker = taught(make(), 50)
    odd = np.array([[-7.0, 2.0, 0.5], [5.0, 0.0, -3.0]], np.float32)
    assert np.isfinite(ranker.score(odd)).all()
    assert ranker.score(odd[:0]).shape == (0,)
    many = np.random.default_rng(0).random((700, 3)).astype(np.float32)
    assert np.array_equal(ranker.score(many)[:20].copy(), ranker.score(many[:20]))


def test_a_choice_that_cannot_be_scored_teaches_nothing() -> None:
    ranker = taught(make(), 20)
    ranker.weights.single[0] = np.nan
    before = [array.copy() for array in ranker.weights]
    ranker.learn(np.zeros((3, 3), np.float32), 0)
    assert ranker.choices == 20
    for mine, theirs in zip(before, ranker.weights, strict=True):
        assert np.array_equal(mine, theirs, equal_nan=True)
