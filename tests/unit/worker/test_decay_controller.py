"""Faster decay after a sure drift: announced by one worker, applied by all."""

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_app.experiment.decay_record import DECAY_KEY, parse_decay_record
from stream_app.experiment.drift import Detector, Direction, Drift
from stream_app.models.decay_clock import DecaySchedule
from stream_app.worker.decay_controller import LEAD
from tests.support.in_memory_worker import NOW, InMemoryWorker
from topics.catalog import CONTROL

DAY = 86_400.0
FALL = Drift("hit_rate", Detector.ADWIN, Direction.DOWN, 0.3, 0.2, is_sure=True)


def worker_in(folder: Path, rate: float = 4.0, **settings: Any) -> InMemoryWorker:
    worker = InMemoryWorker(folder, drift_decay_rate=rate, drift_decay_seconds=DAY, **settings)
    worker.accept(worker.click("ann", "shoe"))
    return worker


def announced(worker: InMemoryWorker) -> list[bytes]:
    return [each.value or b"" for each in worker.producer.of(CONTROL) if each.key == DECAY_KEY]


def schedule_of(worker: InMemoryWorker, name: str = "interactions") -> DecaySchedule:
    return worker.models.decay_clocks[name].schedule


def apply(worker: InMemoryWorker, value: bytes) -> None:
    worker.components.policies.apply_record(DECAY_KEY, value, NOW, 7)


def test_a_sure_fall_is_announced_and_takes_effect_when_it_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker, other = worker_in(tmp_path / "one"), worker_in(tmp_path / "other", rate=1.0)
    with caplog.at_level(logging.WARNING):
        worker.components.drift.on_loss(FALL, NOW + 100.0)
    [value] = announced(worker)
    assert "half-lives are 4 times as short for 8.64e+04 s" in caplog.text
    assert schedule_of(worker) == DecaySchedule()
    for each in (worker, other):
        apply(each, value)
    [period] = schedule_of(worker).periods
    assert period == (NOW + LEAD * DAY, NOW + LEAD * DAY + DAY, 4.0)
    assert schedule_of(worker, "rewards").periods[0].start == NOW + 100.0 + LEAD * DAY
    # the worker whose own setting is off follows, too
    assert schedule_of(other) == schedule_of(worker)
    record = parse_decay_record(value)
    assert (record.stream, record.ts) == ("hit_rate", NOW + 100.0)


def test_the_gauge_has_the_current_rate(tmp_path: Path) -> None:
    worker = worker_in(tmp_path)
    worker.components.drift.on_loss(FALL, NOW)
    apply(worker, announced(worker)[0])
    rates = []
    for hours in (0.0, 1.0, 30.0):
        worker.clock.now = NOW + 3600.0 * hours
        worker.accept(worker.click("ann", f"item {hours}"))
        worker.components.decay.report()
        rates.append(worker.count("decay_rate"))
    assert rates == [1.0, 4.0, 1.0]


def test_a_second_fall_is_announced_only_after_the_first_period_and_as_much_time(tmp_path: Path) -> None:
    worker = worker_in(tmp_path)
    counts = []
    for days in (0.0, 0.5, 1.5, 2.1):
        worker.clock.now = NOW + days * DAY
        worker.accept(worker.click("ann", f"item {days}"))
        worker.components.drift.on_loss(FALL, worker.clock.now)
        counts.append(len(announced(worker)))
        apply(worker, announced(worker)[-1])
    assert counts == [1, 1, 1, 2]
    assert len(schedule_of(worker).periods) == 2


def test_with_a_rate_of_1_nothing_is_announced(tmp_path: Path) -> None:
    worker = worker_in(tmp_path, rate=1.0)
    worker.components.drift.on_loss(FALL, NOW)
    assert announced(worker) == []


def test_the_policies_forget_by_the_schedule_of_rewards(tmp_path: Path) -> None:
    worker = worker_in(tmp_path, policies={"thompson": 1.0, "item_thompson": 0.0, "fixed": 0.0})
    worker.components.drift.on_loss(FALL, NOW)
    apply(worker, announced(worker)[0])
    live = worker.components.policies._live
    clock = worker.models.decay_clocks["rewards"]
    assert live.policies["thompson"]._posterior._scale._decay.clock is clock
    assert live.policies["item_thompson"]._scale._decay.clock is clock


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"\xff",
        b'{"interactions": 3}',
        b'{"interactions": {"periods": [[2, 1, 4]]}, "rewards": {}}',
    ],
)
def test_an_invalid_record_is_ignored(value: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    worker = worker_in(tmp_path)
    apply(worker, value)
    assert schedule_of(worker) == DecaySchedule()
    assert "ignoring the invalid record decay of control at 7" in caplog.text


def test_a_worker_that_starts_again_has_the_schedule_of_its_snapshot(tmp_path: Path) -> None:
    worker = worker_in(tmp_path)
    worker.components.drift.on_loss(FALL, NOW)
    apply(worker, announced(worker)[0])
    state = worker.replica.snapshot_state()
    worker.replica.store.save(state, worker.replica.fingerprint)
    again = InMemoryWorker(tmp_path, drift_decay_rate=4.0, drift_decay_seconds=DAY)
    assert schedule_of(again) == schedule_of(worker)
    again.components.drift.on_loss(FALL, NOW)
    assert announced(again) == []
    assert msgspec.to_builtins(schedule_of(again))["periods"]
