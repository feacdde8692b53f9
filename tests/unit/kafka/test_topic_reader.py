"""A topic read to its end offsets, on a consumer whose partitions are lists."""

from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.errors import UserError
from stream_app.kafka import topic_reader
from stream_app.kafka.topic_reader import TopicReader, raw_records
from topics.catalog import CONTROL


class ListConsumer:
    """One partition; `end` is its end offset when it is opened, records beyond it come later."""

    def __init__(self, offsets: list[int], end: int, *, exists: bool = True) -> None:
        self.records = [SimpleNamespace(partition=0, offset=at, value=b"%d" % at) for at in offsets]
        self.end = end
        self.exists = exists
        self.next = 0
        self.closed = False

    def partitions_for_topic(self, _name: str) -> set[int]:
        return {0} if self.exists else set()

    def assign(self, partitions: list[Any]) -> None:
        self.partition = partitions[0]

    def end_offsets(self, _partitions: list[Any]) -> dict[Any, int]:
        return {self.partition: self.end}

    def seek_to_beginning(self, *_partitions: Any) -> None:
        self.next = 0

    def seek(self, _partition: Any, offset: int) -> None:
        self.next = offset

    def position(self, _partition: Any, timeout_ms: int) -> int:
        assert timeout_ms > 0
        return self.next

    def poll(self, timeout_ms: int) -> dict[Any, list[Any]]:
        assert timeout_ms > 0
        batch = [record for record in self.records if record.offset >= self.next][:2]
        if batch:
            self.next = batch[-1].offset + 1
        return {self.partition: batch}

    def close(self) -> None:
        self.closed = True


def use(monkeypatch: pytest.MonkeyPatch, consumer: ListConsumer) -> ListConsumer:
    monkeypatch.setattr(topic_reader, "groupless_consumer", lambda _broker: consumer)
    return consumer


def test_reads_up_to_the_end_offsets_and_follows_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = use(monkeypatch, ListConsumer([0, 2, 3, 4], end=4))
    with TopicReader("broker", CONTROL) as reader:
        for _ in range(2):
            assert [record.offset for record in reader.read()] == [0, 2, 3]
        assert next(reader.follow()).offset == 4
    assert consumer.closed


def test_records_are_named_by_partition_and_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = use(monkeypatch, ListConsumer([0, 1], end=2))
    consumer.records[0].value = None
    assert list(raw_records("broker", CONTROL)) == [("control[0]@1", b"1")]
    assert consumer.closed


def test_a_broker_that_stops_answering_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ListConsumer([0], end=5))
    with (
        TopicReader("broker", CONTROL) as reader,
        pytest.raises(UserError, match="stopped answering; check it"),
    ):
        list(reader.read())


def test_a_missing_topic_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = use(monkeypatch, ListConsumer([], end=0, exists=False))
    monkeypatch.setattr("stream_app.kafka.broker_errors.is_denied", lambda *_: False)
    with pytest.raises(UserError, match="no topic control"):
        TopicReader("broker", CONTROL)
    assert consumer.closed
