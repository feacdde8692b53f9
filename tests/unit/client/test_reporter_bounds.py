"""The bounds of the reporter of impressions: its queue, its batches, its pauses, and how long it waits."""

import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from stream_app.client import impression_reporter
from stream_app.client.impression_reporter import MAX_PENDING, ImpressionReporter, ReporterCounts
from stream_app.errors import UserError
from stream_app.kafka.event_records import ProducerRecord

MAX_WAIT = 20.0


class Broker:
    """A broker that takes batches, and is unavailable for the first attempts."""

    def __init__(self, n_failures: int = 0) -> None:
        self.batches: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.reached = threading.Event()
        self._n_failures = n_failures
        self._n_sent = 0

    def connect(self, _: object) -> "Broker":
        return self

    def send(self, _: ProducerRecord) -> None:
        self._n_sent += 1

    def flush(self) -> int:
        self.reached.set()
        assert self.may_answer.wait(MAX_WAIT)
        n_sent, self._n_sent = self._n_sent, 0
        if self._n_failures:
            self._n_failures -= 1
            raise UserError("the broker is unavailable")
        self.batches.append(n_sent)
        return n_sent

    def close(self) -> None: ...


def test_a_batch_has_500_impressions_at_most() -> None:
    broker = Broker()
    broker.may_answer.clear()
    with ImpressionReporter("b:9092", connect=broker.connect) as reporter:
        reporter.report_impression("u", "l")
        assert broker.reached.wait(MAX_WAIT)
        for _ in range(1_001):
            assert reporter.report_impression("u", "l")
        broker.may_answer.set()
        assert reporter.flush(MAX_WAIT)
    assert broker.batches == [1, 500, 500, 1]
    assert reporter.counts == ReporterCounts(sent=1_002, pending=0, dropped=0, rejected=0)


def test_a_broker_that_was_never_unavailable_is_not_said_to_be_available_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    broker = Broker()
    with ImpressionReporter("b:9092", connect=broker.connect) as reporter:
        for _ in range(2):
            assert reporter.report_impression("u", "l")
            assert reporter.flush(MAX_WAIT)
    assert caplog.messages == []


class PatientCondition(threading.Condition):
    """Keeps the timeouts that are waited for, and does not wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[float] = []

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        if timeout is not None and timeout < MAX_WAIT:
            self.timeouts.append(timeout)
            timeout = 0.0
        return super().wait_for(predicate, timeout)


def test_each_failure_is_followed_by_a_longer_pause_up_to_five_seconds() -> None:
    broker = Broker(n_failures=8)
    reporter = ImpressionReporter("b:9092", connect=broker.connect)
    condition = reporter._condition = PatientCondition()
    assert reporter.report_impression("u", "l")
    assert reporter.flush(MAX_WAIT)
    assert condition.timeouts == [0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0, 5.0]
    # After a success the pauses start anew.
    broker._n_failures = 2
    assert reporter.report_impression("u", "l")
    assert reporter.flush(MAX_WAIT)
    assert condition.timeouts[8:] == [0.2, 0.5]
    reporter.close()


def test_one_warning_tells_of_each_time_that_the_queue_is_full(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()
    reporter = ImpressionReporter("b:9092", max_pending=1, connect=broker.connect)
    for time in (1, 2):
        broker.may_answer.clear()
        broker.reached.clear()
        assert reporter.report_impression("u", "l")
        assert broker.reached.wait(MAX_WAIT)
        for _ in range(3):
            assert not reporter.report_impression("u", "l")
        assert caplog.text.count("1 are queued") == time
        broker.may_answer.set()
        assert reporter.flush(MAX_WAIT)
    assert reporter.counts == ReporterCounts(sent=2, pending=0, dropped=6, rejected=0)
    reporter.close()
    assert not reporter.report_impression("u", "l")
    assert "the reporter is closed" in caplog.text


def test_ten_thousand_impressions_are_queued_and_closing_waits_for_five_seconds() -> None:
    assert MAX_PENDING == 10_000
    assert inspect.signature(ImpressionReporter).parameters["max_pending"].default == MAX_PENDING
    for method in (ImpressionReporter.close, ImpressionReporter.flush):
        assert inspect.signature(method).parameters["timeout"].default == 5.0


def test_an_impression_that_is_not_acknowledged_before_the_close_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    broker.may_answer.clear()
    reporter = ImpressionReporter("b:9092", connect=broker.connect)
    assert reporter.report_impression("u", "l")
    assert reporter.report_impression("u", "l")
    assert broker.reached.wait(MAX_WAIT)
    reporter.close(timeout=0.0)
    assert reporter.counts == ReporterCounts(sent=0, pending=0, dropped=2, rejected=0)
    assert "2 impressions were not sent before the reporter closed" in caplog.text
    broker.may_answer.set()
    thread = reporter._thread
    assert thread is not None
    assert thread.daemon, "it does not keep the process from its end"
    thread.join(MAX_WAIT)
    # The late acknowledgement counts nothing twice.
    assert reporter.counts == ReporterCounts(sent=0, pending=0, dropped=2, rejected=0)


def test_a_flush_and_a_close_end_when_all_are_acknowledged() -> None:
    broker = Broker()
    broker.may_answer.clear()
    reporter = ImpressionReporter("b:9092", connect=broker.connect)
    assert reporter.report_impression("u", "l")
    assert broker.reached.wait(MAX_WAIT)
    flushed: list[bool] = []
    flushing = threading.Thread(target=lambda: flushed.append(reporter.flush(1_000.0)), daemon=True)
    flushing.start()
    broker.may_answer.set()
    flushing.join(MAX_WAIT)
    assert flushed == [True]
    closing = threading.Thread(target=reporter.close, args=(1_000.0,), daemon=True)
    closing.start()
    closing.join(MAX_WAIT)
    assert not closing.is_alive()
    thread = reporter._thread
    assert thread is not None
    assert not thread.is_alive()


def test_each_outage_is_told_once_and_so_is_its_end_however_short_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    broker = Broker()
    reporter = ImpressionReporter("b:9092", connect=broker.connect)
    reporter._condition = PatientCondition()
    for n_failures in (1, 0, 2, 1):
        broker._n_failures = n_failures
        assert reporter.report_impression("u", "l")
        assert reporter.flush(MAX_WAIT)
    reporter.close()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * 3


@pytest.mark.parametrize(("excess", "is_sent"), [(0, True), (1, False)])
def test_a_record_may_be_as_large_as_its_bound(
    monkeypatch: pytest.MonkeyPatch, excess: int, is_sent: bool
) -> None:
    sizes: list[int] = []

    class Sized(Broker):
        def send(self, record: ProducerRecord) -> None:
            sizes.append(len(record.value))
            super().send(record)

    broker = Sized()
    with ImpressionReporter("b:9092", connect=broker.connect) as reporter:
        assert reporter.report_impression("u", "l", ["a", "b"])
        assert reporter.flush(MAX_WAIT)
        monkeypatch.setattr(impression_reporter, "MAX_RECORD_BYTES", sizes[0] - excess)
        assert reporter.report_impression("u", "l", ["a", "b"]) == is_sent
        assert reporter.counts.rejected == (not is_sent)
