"""What workers remember of the topics of user events."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stream_app.kafka import event_logs
from stream_app.kafka.event_logs import (
    EVENT_LOGS_KEY,
    OFFSETS_PER_TOPIC,
    EventLog,
    bases,
    decode_event_logs,
    resolve_event_logs,
)


class ControlTopic:
    """The topic `control`, with the methods of the producer that are used."""

    def __init__(self) -> None:
        self.records: list[Any] = [SimpleNamespace(key=b"assignment", value=b'{"weights":{"fixed":1}}')]

    def __call__(self, **_: Any) -> "ControlTopic":
        return self

    def send(self, _topic: str, *, key: bytes, value: bytes, partition: int) -> Any:
        assert partition == 0
        self.records.append(SimpleNamespace(key=key, value=value))
        return SimpleNamespace(get=lambda timeout: timeout)

    def close(self) -> None: ...


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> ControlTopic:
    topic = ControlTopic()
    monkeypatch.setattr(event_logs, "topic_records", lambda *_: iter(topic.records))
    return topic


def resolve(control: ControlTopic, **topic_ids: str) -> dict[str, int]:
    return bases(resolve_event_logs("unused", topic_ids, control))


def test_a_topic_made_anew_gets_offsets_above_all_of_the_deleted_one(
    control: ControlTopic, caplog: pytest.LogCaptureFixture
) -> None:
    assert resolve(control, click="x", search="y") == {"click": 0, "search": 0}
    assert "anew" not in caplog.text
    assert resolve(control, click="z", search="y") == {"click": OFFSETS_PER_TOPIC, "search": 0}
    assert "topic click was deleted and created anew" in caplog.text
    # A worker that starts later finds the same, and writes nothing.
    n_records = len(control.records)
    assert resolve(control, click="z", search="y") == {"click": OFFSETS_PER_TOPIC, "search": 0}
    assert len(control.records) == n_records
    assert resolve(control, click="w", search="y")["click"] == 2 * OFFSETS_PER_TOPIC


def test_a_broker_without_topic_ids_changes_nothing(control: ControlTopic) -> None:
    assert resolve(control, click="") == {}
    assert resolve(control, click="x") == {"click": 0}
    assert resolve(control, click="") == {"click": 0}


def test_an_invalid_record_is_ignored_with_a_warning(
    control: ControlTopic, caplog: pytest.LogCaptureFixture
) -> None:
    control.records.append(SimpleNamespace(key=EVENT_LOGS_KEY, value=b"no JSON"))
    assert resolve(control, click="x") == {"click": 0}
    assert "ignoring the invalid record event-logs of control" in caplog.text


def test_the_record_is_read_as_it_was_written(control: ControlTopic) -> None:
    resolve(control, click="x")
    assert decode_event_logs(control.records[-1].value) == {"click": EventLog("x")}
    assert msgspec.json.decode(control.records[-1].value) == {"click": {"topic_id": "x", "base": 0}}
