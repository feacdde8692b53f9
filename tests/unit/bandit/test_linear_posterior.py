"""The posterior compared with a computation from a list of all events."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.bandit.examination import PositionConfig
from stream_app.bandit.kernels.linear_algebra import cholesky_rank_one_update, solve_transposed
from stream_app.bandit.posterior import LinearPosterior

D = 4
PRIOR = np.array([0.5, 0.0, 0.0, 0.0])

Event = tuple[float, NDArray[np.float32], int, float | None]


def posterior(half_life: float = math.inf, model: str = "none", **settings: Any) -> LinearPosterior:
    return LinearPosterior(
        D,
        PRIOR,
        prior_strength=10.0,
        half_life=half_life,
        examination=PositionConfig(position_model=model).examination_model(),
        **{"reward_scale": 1.0, **settings},
    )


def events(count: int = 300, seed: int = 1) -> list[Event]:
    """Impressions (value None) and rewards, each with time, features and position."""
    rng = np.random.default_rng(seed)
    return [
        (
            float(rng.uniform(0, 10_000)),
            rng.random(D).astype(np.float32),
            int(rng.integers(0, 10)),
            float(rng.normal()) if rng.random() < 0.3 else None,
        )
        for _ in range(count)
    ]


def fold(learned: LinearPosterior, log: list[Event]) -> LinearPosterior:
    for ts, x, position, value in log:
        if value is None:
            learned.observe_impressions(x[None], np.array([position], np.int32), ts)
        else:
            learned.reward(x, position, value, ts, first=True)
    learned.refresh()
    return learned


@pytest.mark.parametrize("half_life", [math.inf, 3_000.0, 20.0])
def test_mean_and_precision_match_the_formula(half_life: float) -> None:
    log = sorted(events(), key=lambda event: event[0])
    learned = fold(posterior(half_life), log)
    newest = max(event[0] for event in log)
    precision = np.diag([10.0] * D + [1.0])
    rhs = np.append(10.0 * PRIOR, 0.0)
    for ts, features, _, value in log:
        x = np.append(features.astype(np.float64), 1.0)
        weight = 2.0 ** ((ts - newest) / half_life)
        if value is None:
            precision += weight * np.outer(x, x)
        else:
            rhs += weight * value * x
    assert np.allclose(np.tril(learned.lower) @ np.tril(learned.lower).T, precision)
    assert np.allclose(learned.mean, np.linalg.solve(precision, rhs))


def test_rank_one_updates_match_the_batch_posterior() -> None:
    rng = np.random.default_rng(5)
    learned = posterior()
    learned.refresh()
    lower = np.tril(learned.lower)
    whitened_mean = lower.T @ learned.mean
    for turn in range(1, 10_001):
        x = (rng.normal(size=D) * 10.0 ** rng.uniform(-2, 2, size=D)).astype(np.float32)
        value = float(rng.normal(0, 10.0))
        learned.observe_impressions(x[None], np.zeros(1, np.int32), float(turn))
        learned.reward(x, 0, value, float(turn), first=True)
        cholesky_rank_one_update(lower, whitened_mean, np.append(x.astype(np.float64), 1.0), value)
        if turn in (1, 100, 10_000):
            learned.refresh()
            mean = whitened_mean.copy()
            solve_transposed(lower, mean)
            assert np.allclose(lower, np.tril(learned.lower), rtol=1e-9, atol=1e-9)
            assert np.allclose(mean, learned.mean, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", ["position", "cascade", "none"])
def test_event_order_does_not_matter(model: str) -> None:
    log = events()
    one = fold(posterior(2_000.0, model), log)
    other = fold(posterior(2_000.0, model), log[::-1])
    assert np.allclose(one.mean, other.mean, rtol=1e-9, atol=1e-12)
    assert np.allclose(one.lower, other.lower, rtol=1e-9, atol=1e-12)
    assert np.allclose(one.examination_probabilities, other.examination_probabilities, rtol=1e-9)


def test_intermediate_refresh_changes_nothing() -> None:
    log = events()
    refreshed_often = posterior(model="position")
    for event in log:
        fold(refreshed_often, [event])
    assert refreshed_often.mean.tolist() == fold(posterior(model="position"), log).mean.tolist()


def test_without_events_the_posterior_decays_to_the_prior() -> None:
    learned = fold(posterior(100.0), [(ts, x, position, 30.0) for ts, x, position, _ in events()])
    assert abs(learned.mean[:D] - PRIOR).max() > 1
    x = np.zeros(D, np.float32)
    fold(learned, [(1e5, x, 0, None)])
    assert np.allclose(learned.mean[:D], PRIOR, atol=1e-6)
    assert np.allclose(np.diag(learned.lower)[:D] ** 2, 10.0)
    for age in range(1, 40):
        fold(learned, [(1e5 + 1e5 * age, x, 0, None)])
    assert np.isfinite(learned.lower).all()
    assert np.allclose(learned.mean[:D], PRIOR, atol=1e-6)


def test_a_late_reward_counts_like_a_timely_one() -> None:
    log = [event for event in events() if event[3] is None]
    reward: Event = (5_000.0, log[0][1], 0, 2.0)
    early, late = fold(posterior(3_000.0), [reward, *log]), fold(posterior(3_000.0), [*log, reward])
    assert np.allclose(early.mean, late.mean)


def test_posterior_follows_drift() -> None:
    rng = np.random.default_rng(3)
    learned = posterior(half_life=500.0)
    truth = np.array([0.1, 0.9, 0.1, 0.1])
    for turn in range(6_000):
        if turn == 3_000:
            truth = truth[[0, 2, 1, 3]]
        x = rng.random(D).astype(np.float32)
        learned.observe_impressions(x[None], np.zeros(1, np.int32), float(turn))
        learned.reward(x, 0, float(x @ truth + rng.normal(0, 0.1)), float(turn), first=True)
    learned.refresh()
    assert learned.mean[2] > 0.6
    assert learned.mean[1] < 0.3


def test_extreme_rewards_leave_the_posterior_finite() -> None:
    learned = posterior(reward_scale=None)
    huge = np.full(D, 1e30, np.float32)
    for turn in range(200):
        learned.observe_impressions(huge[None], np.zeros(1, np.int32), float(turn))
        learned.reward(huge, 0, 1e12 if turn % 2 else 1e-12, float(turn), first=True)
    learned.refresh()
    assert np.isfinite(learned.mean).all()
    assert (np.diag(learned.lower) > 0).all()


def test_attached_arrays_share_the_decay_scale() -> None:
    learned, count = posterior(half_life=1.0), np.zeros(1)
    learned.attach_arrays(count)
    x = np.ones((1, D), np.float32)
    for ts in range(600):
        learned.observe_impressions(x, np.zeros(1, np.int32), float(ts))
        count += learned.weight(float(ts))
        assert learned.decay_factor * count[0] == pytest.approx(learned.decayed_impressions)


@pytest.mark.parametrize("name", ["rewards", "ranks", "outer"])
@pytest.mark.parametrize("model", ["position", "cascade", "none"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_non_finite_sums_fall_back_to_the_prior(name: str, model: str, value: float) -> None:
    learned = fold(posterior(model=model, reward_scale=None), events())
    state = learned.state()
    state[name][...] = value
    learned.restore(state)
    learned.refresh()
    assert np.isfinite(learned.mean).all()
    assert np.isfinite(learned.examination_probabilities).all()
    if name != "ranks":
        assert learned.mean.tolist() == [*PRIOR, 0.0]
        assert np.diag(learned.lower) ** 2 == pytest.approx([10.0] * D + [1.0])
