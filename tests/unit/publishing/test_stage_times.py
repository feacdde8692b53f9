"""The seconds of the stages: each is measured, none twice, and a report adds what is new."""

import time

import pytest

from stream_app.metrics import Metrics
from stream_app.stage_metrics import WorkStage
from tests.support.in_memory_worker import InMemoryWorker

STAGES_WITHOUT_KAFKA = set(WorkStage) - {WorkStage.FETCH}


def reported(metrics: Metrics, stage: WorkStage) -> float:
    value = metrics.registry.get_sample_value("headrace_stage_seconds_total", {"stage": str(stage)})
    assert value is not None
    return value


async def test_an_event_takes_time_in_each_stage_and_no_time_counts_twice(worker: InMemoryWorker) -> None:
    before = time.perf_counter()
    worker.accept(worker.click("ann", "a"), worker.search("ann", "red", "a", "b"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    elapsed = time.perf_counter() - before
    worker.metrics.report_stage_times()
    seconds = {stage: reported(worker.metrics, stage) for stage in STAGES_WITHOUT_KAFKA}
    assert min(seconds.values()) > 0, seconds
    assert sum(seconds.values()) < elapsed


def test_a_report_adds_the_seconds_since_the_last_one() -> None:
    metrics = Metrics()
    assert reported(metrics, WorkStage.FETCH) == 0
    metrics.stage_times[WorkStage.FOLD] += 0.25
    metrics.report_stage_times()
    metrics.report_stage_times()
    assert reported(metrics, WorkStage.FOLD) == pytest.approx(0.25)
    metrics.stage_times[WorkStage.FOLD] += 0.5
    metrics.report_stage_times()
    assert reported(metrics, WorkStage.FOLD) == pytest.approx(0.75)


def test_the_time_of_a_thread_that_starts_anew_is_added() -> None:
    metrics = Metrics()
    for seconds in (2.0, 0.5, 0.75):
        metrics.stage_times[WorkStage.FETCH] = seconds
        metrics.report_stage_times()
    assert reported(metrics, WorkStage.FETCH) == pytest.approx(2.75)
