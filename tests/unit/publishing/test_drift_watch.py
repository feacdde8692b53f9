"""What the drift detectors find is counted and logged."""

import logging
from pathlib import Path
from typing import Any

import pytest

from stream_app.experiment.drift import Detector, Direction, Drift
from stream_app.experiment.drift_config import DriftConfig
from stream_app.metrics import Metrics
from stream_app.publishing.drift_watch import LOG_INTERVAL, DriftWatch
from tests.support.in_memory_worker import InMemoryWorker
from topics.events import OrderLine, Purchase
from topics.records import Line, Reward, RewardKind, Source

FAST = DriftConfig(block=10, reference_blocks=10, tolerance=0.25, threshold=10.0)


class Watched:
    """A watch with its metrics."""

    def __init__(self, config: DriftConfig = FAST) -> None:
        self.metrics = Metrics()
        self.watch = DriftWatch(self.metrics, config, is_outlier=lambda line: line.price > 1e6)
        self.losses: list[tuple[str, float]] = []
        self.watch.on_loss = lambda drift, at: self.losses.append((drift.stream, at))

    def count(self, stream: str, detector: str, direction: Direction) -> float | None:
        labels = {"stream": stream, "detector": detector, "direction": str(direction)}
        return self.metrics.registry.get_sample_value("headrace_drifts_total", labels)

    def hit_every(self, n: int, start: int, end: int) -> None:
        for at in range(start, end):
            self.watch.on_choice(at % n == 0, float(at))


def reward(kind: RewardKind, *, policy: str = "thompson", ts: float = 0.0, **fields: Any) -> Reward:
    return Reward(
        source=Source.CLICK, partition=0, offset=0, line=0, ts=ts, user_id="ann", list_id="l", policy=policy,
        kind=kind, **fields,
    )  # fmt: skip


def test_a_fall_of_the_hit_rate_is_counted_logged_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    with caplog.at_level(logging.WARNING):
        watched.hit_every(2, 0, 4_000)
        assert watched.count("hit_rate", "adwin", Direction.DOWN) == 0
        assert caplog.records == []
        watched.hit_every(5, 4_000, 8_000)
    for detector in ("adwin", "page_hinkley", "both"):
        assert watched.count("hit_rate", detector, Direction.DOWN) == 1
        assert watched.count("hit_rate", detector, Direction.UP) == 0
    [(stream, at)] = watched.losses
    assert stream == "hit_rate"
    assert 4_000 < at < 8_000
    name, labels = "headrace_last_drift_timestamp_seconds", {"stream": "hit_rate"}
    assert watched.metrics.registry.get_sample_value(name, labels) == at
    assert "hit_rate drifted down at 1970-01-01T01:" in caplog.text
    assert "from a mean of 0.4" in caplog.text


def test_a_stream_has_one_line_in_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    for number in range(20):
        for at in range(2_000):
            watched.watch.on_choice(at % (2 if number % 2 else 5) == 0, number * LOG_INTERVAL / 4)
    n_drifts = sum(watched.count("hit_rate", "adwin", each) or 0.0 for each in Direction)
    assert n_drifts >= 15
    assert 2 <= len(caplog.records) <= 6


def test_clicks_are_watched_by_policy() -> None:
    watched = Watched()
    for at in range(6_000):
        for policy in ("thompson", "fixed"):
            clicked = at % (2 if at < 3_000 or policy == "fixed" else 6) == 0
            watched.watch.on_reward(
                reward(RewardKind.IMPRESSION, policy=policy, ts=float(at), first_exposure=True)
            )
            if clicked:
                watched.watch.on_reward(reward(RewardKind.CLICK, policy=policy, ts=float(at)))
                # neither a further reaction nor a search's list counts
                watched.watch.on_reward(reward(RewardKind.CART, policy=policy, first_positive=False))
                watched.watch.on_reward(reward(RewardKind.CLICK, policy=policy, search=True))
    assert watched.count("click_rate:thompson", "both", Direction.DOWN) == 1
    assert watched.count("click_rate:fixed", "both", Direction.DOWN) == 0
    assert {stream for stream, _ in watched.losses} == {"click_rate:thompson"}


def test_prices_are_watched_without_unknown_and_implausible_ones() -> None:
    watched = Watched()
    nan = float("nan")
    for at in range(4_000):
        usual = 10.0 + at % 7
        price = usual if at < 2_000 else 3.0 * usual
        watched.watch.on_purchase([Line("a", 1.0, price), Line("b", 1.0, nan), Line("c", 1.0, 1e9)], at)
    assert watched.count("log_price", "both", Direction.UP) == 1
    assert watched.count("log_price", "both", Direction.DOWN) == 0
    assert watched.losses == []


def test_nothing_is_exposed_of_what_is_not_watched() -> None:
    watched = Watched(DriftConfig(significance=0.0))
    watched.hit_every(2, 0, 2_000)
    assert watched.count("hit_rate", "adwin", Direction.DOWN) is None


def test_a_worker_watches_hits_clicks_and_prices(tmp_path: Path) -> None:
    worker = InMemoryWorker(tmp_path)
    for n in range(60):
        user = f"u{n}"
        worker.add_published_list(user, "shoe", "hat", policy="thompson", list_id=f"l{n}")
        worker.clock.now += 1.0
        worker.accept(worker.click(user, "shoe", list_id=f"l{n}"))
        line = OrderLine(item_id="shoe", quantity=1, price=20.0)
        ts = int(worker.clock.now * 1000)
        worker.accept(Purchase(event_id=f"p{n}", user_id=user, ts=ts, order_id=f"o{n}", items=[line]))
    exposed = {
        sample.labels["stream"]
        for family in worker.metrics.registry.collect()
        if family.name == "headrace_drifts"
        for sample in family.samples
    }
    assert exposed == {"hit_rate", "click_rate:thompson", "log_price"}


class FixedMonitor:
    """Finds the same drift in each observation."""

    def __init__(self, **fields: Any) -> None:
        self.observed: list[tuple[str, float, float]] = []
        found: dict[str, Any] = {
            "stream": "hit_rate", "detector": Detector.ADWIN, "direction": Direction.DOWN, "before": 0.5,
            "after": 0.25, "is_sure": True,
        }  # fmt: skip
        self._drift = Drift(**{**found, **fields})

    def observe(self, stream: str, value: float, weight: float) -> list[Drift]:
        self.observed.append((stream, value, weight))
        return [self._drift]

    def watches(self, stream: str) -> bool:
        return bool(stream)


def with_monitor(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> tuple[Watched, FixedMonitor]:
    watched, monitor = Watched(), FixedMonitor(**fields)
    monkeypatch.setattr(watched.watch, "_monitor", monitor)
    return watched, monitor


def test_a_drift_is_logged_again_after_ten_minutes_and_counted_each_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watched, _ = with_monitor(monkeypatch)
    n_lines = []
    for ts in (0.0, 1.0, 599.9, 600.0, 600.5, 1_200.0):
        watched.watch.on_choice(True, ts)
        n_lines.append(len(caplog.records))
    assert n_lines == [1, 1, 1, 2, 2, 3]
    assert caplog.messages[0] == (
        "hit_rate drifted down at 1970-01-01T00:00:00.000Z, from a mean of 0.5 to 0.25 (both)"
    )
    assert watched.count("hit_rate", "adwin", Direction.DOWN) == 6
    assert watched.count("hit_rate", "both", Direction.DOWN) == 6
    assert [ts for _, ts in watched.losses] == [0.0, 1.0, 599.9, 600.0, 600.5, 1_200.0]


@pytest.mark.parametrize(
    ("fields", "is_loss"),
    [
        ({}, True),
        ({"stream": "click_rate:fixed"}, True),
        ({"stream": "log_price"}, False),
        ({"direction": Direction.UP}, False),
        ({"is_sure": False}, False),
        ({"is_sure": False, "direction": Direction.UP}, False),
        ({"stream": "log_price", "direction": Direction.UP}, False),
    ],
)
def test_a_sure_fall_of_a_rate_is_a_loss(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], is_loss: bool
) -> None:
    watched, _ = with_monitor(monkeypatch, **fields)
    watched.watch.on_choice(False, 7.0)
    assert [at for _, at in watched.losses] == [7.0] * is_loss


@pytest.mark.parametrize(
    ("price", "observed"),
    [
        (2.718281828459045, [("log_price", 1.0, 1.0)]),
        (1.0, [("log_price", 0.0, 1.0)]),
        (0.0, []),
        (-0.5, []),
        (float("inf"), []),
        (float("nan"), []),
        (1e7, []),
    ],
)
def test_a_price_is_watched_if_it_can_be_one(
    monkeypatch: pytest.MonkeyPatch, price: float, observed: list[tuple[str, float, float]]
) -> None:
    watched, monitor = with_monitor(monkeypatch)
    watched.watch.on_purchase([Line("a", 1.0, price)], 0.0)
    assert monitor.observed == observed


def test_low_prices_are_watched_and_any_price_is_plausible_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch, monitor = DriftWatch(Metrics()), FixedMonitor()
    monkeypatch.setattr(watch, "_monitor", monitor)
    watch.on_purchase([Line("a", 1.0, 0.5), Line("b", 1.0, 1e9)], 0.0)
    assert len(monitor.observed) == 2


@pytest.mark.parametrize(
    ("kind", "fields", "observed"),
    [
        (RewardKind.IMPRESSION, {"first_exposure": True}, [(0.0, 1.0)]),
        (RewardKind.IMPRESSION, {}, []),
        (RewardKind.CLICK, {}, [(1.0, 0.0)]),
        (RewardKind.CART, {"first_exposure": True}, [(1.0, 1.0)]),
        (RewardKind.WISHLIST, {}, [(1.0, 0.0)]),
        (RewardKind.SHARE, {}, [(1.0, 0.0)]),
        (RewardKind.CLICK, {"first_positive": False}, []),
        (RewardKind.LIKE, {}, []),
        (RewardKind.PURCHASE, {"first_exposure": True, "first_positive": False}, [(0.0, 1.0)]),
        (RewardKind.CLICK, {"search": True}, []),
        (RewardKind.IMPRESSION, {"search": True, "first_exposure": True}, []),
    ],
)
def test_a_list_counts_with_its_first_exposure_and_an_item_with_its_first_click(
    monkeypatch: pytest.MonkeyPatch,
    kind: RewardKind,
    fields: dict[str, Any],
    observed: list[tuple[float, float]],
) -> None:
    watched, monitor = with_monitor(monkeypatch)
    watched.watch.on_reward(reward(kind, **fields))
    assert monitor.observed == [("click_rate:thompson", *each) for each in observed]
