"""A ranker that learns choices whose rule is known."""

import numpy as np
import pytest

from stream_app.ranking.fusion.softmax import SoftmaxRanker


def choices(count: int, seed: int = 1) -> list[tuple[np.ndarray, int]]:
    """Of ten options the one near .3 on feature 0 is taken; near .8 where feature 2, the same for all, is high."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        options = rng.random((10, 4)).astype(np.float32)
        high = rng.random() < 0.5
        options[:, 2] = 0.9 if high else 0.1
        chosen = int(np.abs(options[:, 0] - (0.8 if high else 0.3)).argmin())
        made.append((options, chosen))
    return made


def accuracy(ranker: SoftmaxRanker) -> float:
    return float(np.mean([ranker.score(x).argmax() == chosen for x, chosen in choices(500, seed=2)]))


def taught(count: int = 3_000, **parameters: float) -> SoftmaxRanker:
    ranker = SoftmaxRanker(4, **parameters)  # type: ignore[arg-type]
    for options, chosen in choices(count):
        ranker.learn(options, chosen)
    return ranker


def test_hidden_units_learn_a_rule_that_the_context_turns_round() -> None:
    assert accuracy(taught()) > 0.7
    assert accuracy(taught(hidden=0)) < 0.5, "no sum of single features can tell"


def test_the_loss_is_told_and_falls() -> None:
    early, late = taught(200), taught(3_000)
    assert early.loss == pytest.approx(np.log(10), rel=0.3)
    assert late.loss < 0.75 * early.loss
    assert late.choices == 3_000


def test_nothing_learned_prefers_nothing_when_nothing_is_hidden() -> None:
    options = np.random.default_rng(0).random((5, 4)).astype(np.float32)
    assert SoftmaxRanker(4, hidden=0).score(options).tolist() == [0.0] * 5


def test_the_same_choices_give_the_same_weights_and_a_state_goes_on_from_where_it_was() -> None:
    whole = taught(1_001)
    half = taught(501)
    again = SoftmaxRanker(4)
    again.restore(half.state())
    for options, chosen in choices(1_001)[501:]:
        again.learn(options, chosen)
    for mine, theirs in zip(again.weights, whole.weights, strict=True):
        assert np.array_equal(mine, theirs)
    assert again.loss == pytest.approx(whole.loss)


def test_a_state_of_other_parameters_does_not_fit() -> None:
    with pytest.raises(ValueError, match="hidden"):
        SoftmaxRanker(4, hidden=8).restore(SoftmaxRanker(4, hidden=4).state())


def test_values_outside_of_0_to_1_do_not_break_it() -> None:
    ranker = taught(100)
    options = np.array([[-1.0, 2.0, 0.5, 1.0], [5.0, 0.0, 0.5, -3.0]], np.float32)
    assert np.isfinite(ranker.score(options)).all()


def test_scoring_learns_nothing() -> None:
    ranker = taught(100)
    before = ranker.state()
    ranker.score(np.random.default_rng(0).random((700, 4)).astype(np.float32))
    assert all(
        np.array_equal(left, right)
        for left, right in zip(before["weights"].values(), ranker.state()["weights"].values(), strict=True)
    )


def test_what_is_no_number_counts_as_0() -> None:
    ranker = taught(100)
    nothing = np.zeros((3, 4), np.float32)
    assert ranker.score(np.full((3, 4), np.nan, np.float32)).tolist() == ranker.score(nothing).tolist()
    for _ in range(4):
        ranker.learn(np.full((3, 4), np.nan, np.float32), 0)
    assert all(np.isfinite(array).all() for array in ranker.weights)
