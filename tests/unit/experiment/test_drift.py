"""Drift detectors find a planted change, and are silent on streams without one."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from stream_app.experiment.drift import Detector, Direction, Drift, DriftMonitor
from stream_app.experiment.drift_config import DriftConfig

SEEDS = range(100)


def found_in(values: Iterable[float], config: DriftConfig | None = None) -> list[tuple[int, Drift]]:
    """The drifts in one stream, with the number of the observation."""
    monitor = DriftMonitor(config)
    return [(at, each) for at, value in enumerate(values) for each in monitor.observe("stream", value)]


def hits(rng: np.random.Generator, rate: float, n: int) -> list[float]:
    values: list[float] = (rng.random(n) < rate).astype(float).tolist()
    return values


def sessions(rng: np.random.Generator, n: int) -> list[float]:
    """Hits of interleaved sessions, of which half have many hits and half have few; no change."""
    open_sessions = rng.choice([0.1, 0.5], 30)
    values = []
    for slot in rng.integers(30, size=n).tolist():
        values.append(float(rng.random() < open_sessions[slot]))
        if rng.random() < 0.15:
            open_sessions[slot] = rng.choice([0.1, 0.5])
    return values


STATIONARY: dict[str, Callable[[np.random.Generator], list[float]]] = {
    "hits, one in three": lambda rng: hits(rng, 0.33, 100_000),
    "clicks, one in a hundred": lambda rng: hits(rng, 0.01, 100_000),
    "prices": lambda rng: rng.normal(3.0, 1.0, 100_000).tolist(),
    "prices with a long tail": lambda rng: (3.0 + rng.standard_t(4, 100_000)).tolist(),
    "hits of sessions": lambda rng: sessions(rng, 100_000),
}


@pytest.mark.parametrize("stream", STATIONARY)
def test_false_alarms_are_rare(stream: str) -> None:
    alarms = [found_in(STATIONARY[stream](np.random.default_rng(seed))) for seed in range(25)]
    assert sum(bool(each) for each in alarms) <= 1
    n_sure = sum(drift.is_sure for each in alarms for _, drift in each)
    assert n_sure <= (1 if stream == "hits of sessions" else 0)


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [(0.4, 0.32, Direction.DOWN), (0.3, 0.39, Direction.UP), (0.05, 0.02, Direction.DOWN)],
)
def test_a_planted_change_of_a_rate_is_found_by_both_within_6000_observations(
    before: float, after: float, direction: Direction
) -> None:
    n_found = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        found = found_in(hits(rng, before, 20_000) + hits(rng, after, 6_000))
        sure = [each for at, each in found if at >= 20_000 and each.is_sure]
        n_found += any(each.direction is direction for each in sure)
    assert n_found >= 0.95 * len(SEEDS)


def test_a_planted_change_of_prices_is_found_with_the_means_before_and_after() -> None:
    rng = np.random.default_rng(1)
    prices = [*rng.normal(3.0, 1.0, 20_000), *rng.normal(3.0 + np.log(1.5), 1.0, 4_000)]
    [sure] = [each for _, each in found_in(prices) if each.is_sure]
    assert sure.direction is Direction.UP
    assert sure.before == pytest.approx(3.0, abs=0.1)
    assert sure.after == pytest.approx(3.4, abs=0.2)


def test_a_slow_change_is_found() -> None:
    rng = np.random.default_rng(2)
    rates = np.concatenate([np.full(10_000, 0.4), np.linspace(0.4, 0.25, 30_000)])
    found = found_in((rng.random(len(rates)) < rates).astype(float).tolist())
    assert {each.detector for _, each in found} == set(Detector)
    assert all(each.direction is Direction.DOWN for _, each in found)


def test_both_edges_of_a_dip_are_found() -> None:
    rng = np.random.default_rng(3)
    found = found_in(hits(rng, 0.4, 20_000) + hits(rng, 0.2, 8_000) + hits(rng, 0.4, 4_000))
    sure = [each.direction for _, each in found if each.is_sure]
    assert sure == [Direction.DOWN, Direction.UP]


def test_a_rate_per_list_is_of_numerators_and_denominators() -> None:
    """Clicks come at any time after the list that they are of."""
    rng, monitor, found = np.random.default_rng(4), DriftMonitor(), list[Drift]()
    for n in range(30_000):
        found += monitor.observe("clicks", 0.0, 1.0)
        if rng.random() < (0.3 if n < 20_000 else 0.15):
            found += monitor.observe("clicks", 1.0, 0.0)
    assert any(each.is_sure and each.direction is Direction.DOWN for each in found)
    assert found[0].before == pytest.approx(0.3, abs=0.05)


def test_streams_are_apart_and_bounded() -> None:
    monitor = DriftMonitor(DriftConfig(max_streams=2))
    for name in ("a", "b", "c"):
        monitor.observe(name, 1.0)
    assert [monitor.watches(name) for name in ("a", "b", "c")] == [True, True, False]


def test_a_constant_stream_is_silent_and_each_change_of_it_is_found() -> None:
    assert found_in([1.0] * 20_000) == []
    assert any(each.is_sure for _, each in found_in([1.0] * 20_000 + [0.99] * 3_000))


def test_a_significance_of_0_watches_nothing() -> None:
    monitor = DriftMonitor(DriftConfig(significance=0.0))
    assert not any(monitor.observe("hits", float(n > 5_000)) for n in range(10_000))
    assert not monitor.watches("hits")


@pytest.mark.parametrize(
    "wrong",
    [
        {"significance": 1.0},
        {"significance": -0.1},
        {"block": 0.0},
        {"threshold": 0.0},
        {"tolerance": -1.0},
        {"reference_blocks": 1},
        {"agreement_blocks": 0},
        {"max_streams": 0},
    ],
)
def test_a_setting_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DriftConfig(**wrong)  # type: ignore[arg-type]
