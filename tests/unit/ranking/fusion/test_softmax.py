"""The softmax ranker, on choices by a known rule."""

import numpy as np
import pytest

from stream_app.ranking.fusion.softmax import SoftmaxRanker


def choices(count: int, seed: int = 1) -> list[tuple[np.ndarray, int]]:
    """Of ten options the one near .3 on feature 0 is chosen; near .8 where feature 2, the same for all, is high."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        options = rng.random((10, 4)).astype(np.float32)
        high = rng.random() < 0.5
        options[:, 2] = 0.9 if high else 0.1
        chosen = int(np.abs(options[:, 0] - (0.8 if high else 0.3)).argmin())
        samples.append((options, chosen))
    return samples


def accuracy(ranker: SoftmaxRanker) -> float:
    return float(np.mean([ranker.score(x).argmax() == chosen for x, chosen in choices(500, seed=2)]))


def trained(count: int = 3_000, **parameters: float) -> SoftmaxRanker:
    ranker = SoftmaxRanker(4, **parameters)  # type: ignore[arg-type]
    for options, chosen in choices(count):
        ranker.learn(options, chosen)
    return ranker


def test_hidden_units_learn_a_context_dependent_rule() -> None:
    assert accuracy(trained()) > 0.7
    assert accuracy(trained(hidden=0)) < 0.5, "no sum of single features can tell"


def test_reported_loss_decreases() -> None:
    short_run, long_run = trained(200), trained(3_000)
    assert short_run.loss == pytest.approx(np.log(10), rel=0.3)
    assert long_run.loss < 0.75 * short_run.loss
    assert long_run.choices == 3_000


def test_untrained_linear_ranker_scores_all_equally() -> None:
    options = np.random.default_rng(0).random((5, 4)).astype(np.float32)
    assert SoftmaxRanker(4, hidden=0).score(options).tolist() == [0.0] * 5


def test_training_is_deterministic_and_resumes_from_state() -> None:
    uninterrupted = trained(1_001)
    interrupted = trained(501)
    restored = SoftmaxRanker(4)
    restored.restore(interrupted.state())
    for options, chosen in choices(1_001)[501:]:
        restored.learn(options, chosen)
    for actual, expected in zip(restored.weights, uninterrupted.weights, strict=True):
        assert np.array_equal(actual, expected)
    assert restored.loss == pytest.approx(uninterrupted.loss)


def test_state_of_other_parameters_is_rejected() -> None:
    with pytest.raises(ValueError, match="hidden"):
        SoftmaxRanker(4, hidden=8).restore(SoftmaxRanker(4, hidden=4).state())


def test_out_of_range_features_are_accepted() -> None:
    ranker = trained(100)
    options = np.array([[-1.0, 2.0, 0.5, 1.0], [5.0, 0.0, 0.5, -3.0]], np.float32)
    assert np.isfinite(ranker.score(options)).all()


def test_scoring_learns_nothing() -> None:
    ranker = trained(100)
    before = ranker.state()
    ranker.score(np.random.default_rng(0).random((700, 4)).astype(np.float32))
    assert all(
        np.array_equal(left, right)
        for left, right in zip(before["weights"].values(), ranker.state()["weights"].values(), strict=True)
    )


def test_nan_features_count_as_zero() -> None:
    ranker = trained(100)
    zero_features = np.zeros((3, 4), np.float32)
    assert ranker.score(np.full((3, 4), np.nan, np.float32)).tolist() == ranker.score(zero_features).tolist()
    for _ in range(4):
        ranker.learn(np.full((3, 4), np.nan, np.float32), 0)
    assert all(np.isfinite(array).all() for array in ranker.weights)
