"""After an assignment each partition is read from where it was processed to, whatever was fetched before the seek."""

from types import SimpleNamespace
from typing import Any, Final

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.structs import TopicPartition

from stream_app.kafka import availability
from stream_app.worker.faust_transport import DirectConsumer

ERASURES: Final = TopicPartition("events.erasure", 3)
BEGINNING: Final = 2
END: Final = 9


class Consumer(DirectConsumer):
    """The consumer of a partition whose position a fetch has moved, though its records were never delivered."""

    def __init__(self, committed: int | None, stored: int | None, *, is_deleted: bool = False) -> None:
        self.app = SimpleNamespace(
            topics=SimpleNamespace(acks_enabled_for=lambda _: True), consumer_generation_id=1
        )
        self.log: Any = SimpleNamespace(dev=lambda *_: None)
        self.flow_active = False
        self.stop_flow = lambda: None
        self._idle: Any = SimpleNamespace(wait=self._is_idle)
        self._read_offset: Any = {}
        self._committed_offset: Any = {}
        self._reported = {}
        self.positions: Any = SimpleNamespace(
            next_offset=lambda *_: stored, is_of_deleted_topic=lambda *_: is_deleted, begin=self._begin
        )
        self.committed, self.n_outages = committed, 0
        self.position = END
        self._thread: Any = SimpleNamespace(seek_to_committed=self._seek_to_committed, seek=self._seek_now)
        self.begun: dict[Any, int] = {}

    async def _is_idle(self) -> None: ...

    async def _begin(self, offsets: Any) -> None:
        self.begun = offsets

    async def _seek_to_committed(self) -> dict[Any, int | None]:
        """Seek as aiokafka does: not without a committed offset, nor to an offset of 0."""
        if self.committed:
            self.position = self.committed
        return {ERASURES: self.committed}

    def _seek_now(self, _tp: Any, offset: int) -> None:
        self.position = offset

    async def earliest_offsets(self, *tps: Any) -> dict[Any, int]:
        if self.n_outages:
            self.n_outages -= 1
            raise KafkaTimeoutError
        return dict.fromkeys(tps, 0 if self.committed == 0 else BEGINNING)

    async def highwaters(self, *tps: Any) -> dict[Any, int]:
        return dict.fromkeys(tps, END)

    async def _commit(self, offsets: Any) -> bool:
        self.committed = offsets[ERASURES]
        return True


@pytest.mark.parametrize(
    ("committed", "stored", "read_from"),
    [(None, None, BEGINNING), (None, BEGINNING, BEGINNING), (None, 5, 5), (0, None, 0), (0, 0, 0), (6, 6, 6)],
)
async def test_a_partition_is_read_from_where_it_was_processed_to(
    committed: int | None, stored: int | None, read_from: int
) -> None:
    consumer = Consumer(committed, stored)
    await consumer.perform_seek()
    assert consumer.position == read_from
    assert consumer.begun == {ERASURES: read_from}


async def test_a_seek_is_repeated_until_a_broker_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_RETRY_SECONDS", 0.0)
    consumer = Consumer(None, 5)
    consumer.n_outages = 2
    await consumer.perform_seek()
    assert consumer.position == 5
    assert consumer.begun == {ERASURES: 5}


async def test_a_topic_made_anew_is_read_from_its_start_whatever_was_committed() -> None:
    """A worker that had not noticed went on from its position in the deleted topic, and committed."""
    consumer = Consumer(6, None, is_deleted=True)
    await consumer.perform_seek()
    assert consumer.position == BEGINNING
    assert consumer.begun == {ERASURES: BEGINNING}
    assert consumer._read_offset == {ERASURES: BEGINNING}  # Faust drops earlier records
    assert consumer._committed_offset == {ERASURES: BEGINNING}  # Faust commits later offsets alone
    assert consumer.committed == BEGINNING
