"""Markers of an owner: in each fenced log, and in the log of dead letters."""

from typing import Any

from stream_app.kafka.partition_fence import MARKER_KEY, PartitionFence
from stream_app.worker.ownership import append_markers
from topics.catalog import DEAD_LETTERS


class Producer:
    """Keeps what is appended."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def append(self, *record: Any) -> None:
        self.sent.append(record[:4])


def test_the_log_of_dead_letters_gets_a_marker_without_any_dead_letter() -> None:
    producer: Any = Producer()
    offsets = append_markers(producer, PartitionFence(lambda: None, "app", ["lists"]))
    assert producer.sent == [(DEAD_LETTERS.name, 0, MARKER_KEY, None)]
    assert not offsets, "its end is not one of the fenced logs"
