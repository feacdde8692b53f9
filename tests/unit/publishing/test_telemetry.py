"""The metrics of the flush loop: exposure and diversity."""

import math

import pytest

from state.list_store import PublishedListStore
from state.published_list import PublishedList
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.publishing.clocks import Clocks
from stream_app.publishing.degraded_ranking import DegradedRanking
from stream_app.publishing.flush_batch import FlushBatch
from stream_app.publishing.pending_queue import PendingQueue
from stream_app.publishing.prequential import PrequentialEvaluator
from stream_app.publishing.shared_lists import EMPTY_CYCLE
from stream_app.publishing.telemetry import FlushTelemetry
from tests.support.in_memory_worker import InMemoryWorker, ManualClock

EMPTY_BATCH = FlushBatch("2026-01-01T00:00:00.000Z", {}, [], [], {}, EMPTY_CYCLE, {}, [], 0)


class Measured:
    """The telemetry of a flush loop on a machine that was just started."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.models = ModelSet(["popularity"])
        self.timer = ManualClock()
        self.timer.now = 0.0
        for item, category in (("shoe", "feet"), ("sock", "feet"), ("hat", "head")):
            number = self.models.index.index(item, 0.0)
            self.models.index.describe(number, 0.0, categories=(category,))
        evaluator = PrequentialEvaluator(self.metrics, PublishedListStore())
        self.telemetry = FlushTelemetry(self.metrics, evaluator, self.models, Clocks(timer=self.timer))

    def publish(self, *lists: tuple[str, ...]) -> None:
        published = [PublishedList("l", "fixed", 0.0, items) for items in lists]
        self.telemetry.on_acknowledged(EMPTY_BATCH, published, 0.5)

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"headrace_{name}")


def test_the_diversity_of_one_list_in_four_is_measured() -> None:
    measured = Measured()
    measured.publish(("shoe", "sock"), *[("sock", "shoe")] * 3, ("shoe", "hat"), ("hat", "sock"))
    assert measured.value("list_categories") == 1.5


def test_exposure_is_reported_with_the_first_lists_and_then_every_five_seconds() -> None:
    measured = Measured()
    reported = []
    for now in (0.0, 4.9, 5.0, 9.9, 10.0):
        measured.timer.now = now
        # One category more each time.
        measured.publish(("shoe", "hat") if now else ("shoe", "sock"))
        reported.append(measured.value("list_categories"))
    assert reported[0] == reported[1] == 1.0
    assert reported[2] == reported[3] == pytest.approx(5 / 3)
    assert reported[4] == pytest.approx(9 / 5)


def test_a_flush_without_lists_reports_no_exposure() -> None:
    measured = Measured()
    measured.publish()
    assert measured.value("exposure_gini_ratio") == 0.0
    measured.publish(("shoe",))
    assert measured.value("exposure_gini_ratio") != 0.0


def test_evictions_of_both_queues_are_counted_once() -> None:
    measured = Measured()
    queue, degraded = PendingQueue(max_pending=2), DegradedRanking(max_pending=1)
    for user in "abc":
        queue.mark_pending(user)
        degraded.schedule(user, 0.0)
    for _ in range(2):
        measured.telemetry.report_pending(queue, degraded)
        assert measured.value("pending_evicted_total") == 3.0
    queue.mark_pending("d")
    measured.telemetry.report_pending(queue, degraded)
    assert measured.value("pending_evicted_total") == 4.0
    assert (measured.value("pending_users"), measured.value("degraded_users")) == (2.0, 1.0)


async def test_exposure_is_reported_with_the_lists(worker: InMemoryWorker) -> None:
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            worker.accept(worker.click(user, item))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("exposure_gini_ratio") == pytest.approx(0.0)
    assert worker.count("exposure_new_items_ratio") == 1.0
    assert 0.0 <= worker.count("exposure_long_tail_ratio") <= 1.0


async def test_list_diversity_is_reported_for_described_items(worker: InMemoryWorker) -> None:
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            worker.accept(worker.click(user, item))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert math.isnan(worker.count("list_dissimilarity_ratio"))
    for item, category in (("shoe", "feet"), ("sock", "feet"), ("hat", "head")):
        number = worker.models.index.index(item, 0.0)
        worker.models.index.describe(number, 0.0, categories=(category,))
    worker.clock.now += 10.0
    worker.accept(worker.click("ann", "hat"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("list_dissimilarity_ratio") == pytest.approx(2 / 3)
    assert worker.count("list_categories") == 2.0
