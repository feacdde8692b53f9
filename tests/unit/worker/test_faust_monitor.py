"""The monitor that counts in plain attributes: its use by Faust, and the exported metrics."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from prometheus_client import CollectorRegistry

from stream_app.worker.faust_monitor import ScrapedMonitor

CLICKS = TP("events.click", 3)


class Stream:
    shortlabel = "Stream: users"


STREAM = Stream()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def monitor(registry: CollectorRegistry) -> ScrapedMonitor:
    return ScrapedMonitor(registry)


def watchdog_complaints(monitor: ScrapedMonitor, now: float) -> list[Any]:
    """The complaints of Faust's watchdog at `now` about a partition in use, long after the start."""
    complaints: list[Any] = []
    state = SimpleNamespace(highwater=100, position=50)
    subscription = SimpleNamespace(assignment=SimpleNamespace(state_value=lambda _: state))
    consumer = SimpleNamespace(
        _fetcher=SimpleNamespace(_subscriptions=SimpleNamespace(subscription=subscription))
    )
    app = SimpleNamespace(monitor=monitor, topics=SimpleNamespace(acks_enabled_for=lambda _: True))
    thread = SimpleNamespace(
        consumer=SimpleNamespace(app=app),
        time_started=now - 3_600.0,
        tp_stream_timeout_secs=300.0,
        tp_commit_timeout_secs=300.0,
        tp_last_committed_at={CLICKS: now},
        _verify_aiokafka_event_path=lambda *_: False,
        _ensure_consumer=lambda: consumer,
        _log_slow_processing_stream=lambda *args: complaints.append(args),
        _log_slow_processing_commit=lambda *args: complaints.append(args),
    )
    AIOKafkaConsumerThread.verify_event_path(thread, now, CLICKS)
    return complaints


def test_faust_watchdog_reports_a_stopped_stream_and_not_an_active_one(
    monitor: ScrapedMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.worker.faust_monitor.monotonic", lambda: 10_000.0)
    assert watchdog_complaints(monitor, 10_001.0), "nothing has come in yet"
    monitor.on_stream_event_in(CLICKS, 7, STREAM, None)
    assert watchdog_complaints(monitor, 10_001.0) == []
    assert watchdog_complaints(monitor, 10_400.0), "nothing for more than five minutes"


def test_counts_are_exported_after_they_are_copied(
    monitor: ScrapedMonitor, registry: CollectorRegistry
) -> None:
    for offset in range(3):
        monitor.on_message_in(CLICKS, offset, None)
        monitor.on_stream_event_in(CLICKS, offset, STREAM, None)
    monitor.on_stream_event_out(CLICKS, 0, STREAM, None)
    monitor.on_message_out(CLICKS, 0, None)
    monitor.copy_to_metrics()
    served = {sample.name: sample.value for family in registry.collect() for sample in family.samples}
    assert served["faust_total_events_total"] == served["faust_messages_received_total"] == 3
    assert served["faust_total_active_events"] == served["faust_active_messages"] == 2
