"""A worker starts again when the topics of its events are not those of its start."""

from collections.abc import Iterator

import pytest

from stream_app.kafka.event_logs import OFFSETS_PER_TOPIC, EventLog
from stream_app.worker import topic_watch
from stream_app.worker.topic_watch import TopicWatch
from topics import admin
from topics.broker_client import BrokerUnavailableError
from topics.catalog import CLICKS

AT_START = {CLICKS.name: EventLog("x", OFFSETS_PER_TOPIC)}


@pytest.fixture
def crashes() -> list[Exception]:
    return []


@pytest.fixture
def watch(crashes: list[Exception]) -> TopicWatch:
    return TopicWatch("unused", AT_START, crashes.append)


def answer(monkeypatch: pytest.MonkeyPatch, *answers: str | Exception) -> None:
    """Let the broker answer with ids of the topic of clicks, or not at all."""
    waiting: Iterator[str | Exception] = iter(answers)

    def topic_ids(*_: object) -> dict[str, str]:
        found = next(waiting)
        if isinstance(found, Exception):
            raise found
        return {CLICKS.name: found}

    monkeypatch.setattr(admin, "topic_ids", topic_ids)
    monkeypatch.setattr(topic_watch, "_RETRY_SECONDS", 0.0)


async def test_an_assignment_is_taken_up_with_the_topics_of_the_start_alone(
    watch: TopicWatch, crashes: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "x", BrokerUnavailableError("no"), "x", BrokerUnavailableError("no"), "y")
    assert await watch.verify()
    assert await watch.verify()
    assert not crashes
    assert not await watch.verify()
    assert watch.is_outdated
    assert len(crashes) == 1


async def test_topics_that_are_deleted_and_not_created_yet_end_no_worker(
    watch: TopicWatch, crashes: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "")
    assert await watch.verify()
    assert not crashes


async def test_bases_that_control_has_lost_are_written_before_the_restart(
    watch: TopicWatch, crashes: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    monkeypatch.setattr(topic_watch, "resolve_event_logs", lambda *_, remembered: written.append(remembered))
    answer(monkeypatch, BrokerUnavailableError("no"), "x")
    await watch.record({})
    assert not written
    later = {CLICKS.name: EventLog("x", 3 * OFFSETS_PER_TOPIC)}
    await watch.record(later)
    assert written == [later]
    assert watch.is_outdated
    assert len(crashes) == 1


def test_a_later_base_on_control_is_noticed_once(watch: TopicWatch, crashes: list[Exception]) -> None:
    watch.compare({CLICKS.name: EventLog("x", OFFSETS_PER_TOPIC), "other": EventLog("z", OFFSETS_PER_TOPIC)})
    assert not crashes
    for _ in range(2):
        watch.compare({CLICKS.name: EventLog("y", 2 * OFFSETS_PER_TOPIC)})
    assert len(crashes) == 1


def test_a_topic_that_became_shorter_restarts_the_worker_once(
    watch: TopicWatch, crashes: list[Exception]
) -> None:
    watch.on_lost(CLICKS.name, 3, 10)
    watch.on_lost(CLICKS.name, 2, 12)
    assert watch.is_outdated
    assert len(crashes) == 1
