"""The positions that a worker stores with the rows, before it commits offsets."""

from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from state.positions import decode_positions, positions_key
from state.user_rows import StoreError
from stream_app.kafka.event_logs import OFFSETS_PER_TOPIC, EventLog
from stream_app.kafka.event_origin import EventOrigin
from stream_app.worker.position_log import PositionLog
from topics.catalog import CATALOG_ITEMS, CLICKS, SEARCHES

CLICK_LOGS = {CLICKS.name: EventLog("x", OFFSETS_PER_TOPIC), SEARCHES.name: EventLog("s")}


class Table:
    """The users table; `changelog` has what Kafka has acknowledged."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self.sent: dict[bytes, bytes | None] = {}
        self.changelog: dict[bytes, bytes | None] = {}
        self.is_full = False
        self.on_flush: Any = None

    def read(self, key: bytes, partition: int) -> bytes | None:
        assert key == positions_key(partition)
        return self.rows.get(key)

    def append_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        assert key == positions_key(partition)
        self.sent[key] = value

    def apply_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        assert key == positions_key(partition)
        assert self.changelog[key] == value, "the local store is ahead of the changelog"
        if self.is_full:
            raise StoreError("No space left on device")
        self.rows[key] = value

    async def flush(self) -> None:
        self.changelog |= self.sent
        if self.on_flush is not None:
            self.on_flush()


@pytest.fixture
def table() -> Table:
    return Table()


def positions_of(table: Table, *partitions: int, logs: dict[str, EventLog] = CLICK_LOGS) -> PositionLog:
    log = PositionLog(table, table, logs)
    log.load(partitions)
    return log


def click(partition: int) -> TopicPartition:
    return TopicPartition(CLICKS.name, partition)


async def test_what_is_committed_is_stored_before_and_known_after_a_restart(table: Table) -> None:
    log = positions_of(table, 0, 1)
    assert log.next_offset(CLICKS.name, 1) is None
    assert await log.store({click(1): 17}) == {click(1): 17}
    assert positions_of(table, 1).next_offset(CLICKS.name, 1) == 17
    assert positions_of(table, 1).next_offset(SEARCHES.name, 1) is None
    assert positions_of(table, 0).next_offset(CLICKS.name, 0) is None


async def test_offsets_of_a_topic_made_anew_are_not_known(table: Table) -> None:
    await positions_of(table, 1).store({click(1): 17})
    anew = {**CLICK_LOGS, CLICKS.name: EventLog("y", 2 * OFFSETS_PER_TOPIC)}
    log = positions_of(table, 1, logs=anew)
    assert log.next_offset(CLICKS.name, 1) is None
    assert log.is_of_deleted_topic(CLICKS.name, 1)
    assert not log.is_of_deleted_topic(SEARCHES.name, 1)
    await log.begin({click(1): 0})
    assert not log.is_of_deleted_topic(CLICKS.name, 1)


async def test_partitions_that_are_not_owned_are_not_committed(table: Table) -> None:
    other = TopicPartition(CATALOG_ITEMS.name, 0)
    log = positions_of(table, 1)
    assert await log.store({click(1): 5, click(2): 6, other: 7}) == {click(1): 5, other: 7}
    log.clear()
    assert await log.store({click(1): 6, other: 8}) == {other: 8}
    assert positions_of(table, 1).next_offset(CLICKS.name, 1) == 5


async def test_partitions_that_are_revoked_meanwhile_are_not_committed(table: Table) -> None:
    log = positions_of(table, 1)
    table.on_flush = lambda: log.load((1,))
    assert await log.store({click(1): 5}) == {}


async def test_where_reading_begins_is_stored_once(table: Table) -> None:
    log = positions_of(table, 1)
    await log.store({click(1): 5})
    await log.begin({click(1): 3, TopicPartition(SEARCHES.name, 1): 0})
    known = positions_of(table, 1)
    assert (known.next_offset(CLICKS.name, 1), known.next_offset(SEARCHES.name, 1)) == (5, 0)


async def test_positions_that_a_full_disk_refused_are_stored_with_the_next_commit(table: Table) -> None:
    log = positions_of(table, 1)
    table.is_full = True
    assert await log.store({click(1): 5}) == {click(1): 5}
    table.is_full = False
    await log.store({})
    assert positions_of(table, 1).next_offset(CLICKS.name, 1) == 5


async def test_forwarded_events_are_known_again_after_a_restart(table: Table) -> None:
    log = positions_of(table, 1)
    for offset, previous in ((4, -1), (9, 7)):
        log.on_processed(CLICKS.name, 1, EventOrigin("x", 3, offset, previous))
    await log.store({})
    log = positions_of(table, 1)

    def is_repeated(origin: EventOrigin, topic: str = CLICKS.name, partition: int = 1) -> bool:
        return log.is_repeated(topic, partition, origin)

    assert is_repeated(EventOrigin("x", 3, 4))
    assert is_repeated(EventOrigin("x", 3, 9))
    assert not is_repeated(EventOrigin("x", 3, 7)), "it is still to come"
    assert not is_repeated(EventOrigin("x", 3, 10))
    assert not is_repeated(EventOrigin("x", 2, 4)), "another source"
    assert not is_repeated(EventOrigin("copied", 3, 4)), "a topic of another cluster"
    assert not is_repeated(EventOrigin("s", 3, 4), SEARCHES.name)
    assert not is_repeated(EventOrigin("x", 3, 4), partition=2)


async def test_forwarded_offsets_of_a_topic_made_anew_are_other_events(table: Table) -> None:
    log = positions_of(table, 1)
    log.on_processed(CLICKS.name, 1, EventOrigin("x", 3, 4))
    await log.store({})
    anew = positions_of(table, 1, logs={CLICKS.name: EventLog("y", 2 * OFFSETS_PER_TOPIC)})
    assert not anew.is_repeated(CLICKS.name, 1, EventOrigin("y", 3, 4))
    anew.on_processed(CLICKS.name, 1, EventOrigin("y", 3, 4))
    assert anew.is_repeated(CLICKS.name, 1, EventOrigin("y", 3, 4))


@pytest.mark.parametrize(
    ("current", "later"),
    [
        (EventLog("x", OFFSETS_PER_TOPIC), {}),
        (EventLog("y", 2 * OFFSETS_PER_TOPIC), {}),
        # `control` was deleted: it knows the topic as new, with the base of the first one.
        (EventLog("x", 0), {CLICKS.name: EventLog("x", OFFSETS_PER_TOPIC)}),
        (EventLog("y", 0), {CLICKS.name: EventLog("x", OFFSETS_PER_TOPIC)}),
        (EventLog("y", OFFSETS_PER_TOPIC), {CLICKS.name: EventLog("x", OFFSETS_PER_TOPIC)}),
    ],
)
async def test_bases_that_control_has_lost_are_found(
    table: Table, current: EventLog, later: dict[str, EventLog]
) -> None:
    await positions_of(table, 1).store({click(1): 17})
    assert positions_of(table, 1, logs={CLICKS.name: current}).later_event_logs() == later


async def test_a_damaged_record_is_replaced(table: Table) -> None:
    table.rows[positions_key(1)] = b"\xff"
    await positions_of(table, 1).store({click(1): 17})
    stored = decode_positions(table.changelog[positions_key(1)])
    assert stored.topics[CLICKS.name].next_offset == 17


async def test_what_an_earlier_owner_left_unstored_is_forgotten_with_its_partitions(table: Table) -> None:
    log = positions_of(table, 1)
    log.on_processed(CLICKS.name, 1, EventOrigin("x", 3, 4))
    log.clear()
    assert await log.store({}) == {}
    log.load((2,))
    assert await log.store({click(2): 5}) == {click(2): 5}
    assert positions_key(1) not in table.changelog


async def test_the_base_tells_incarnations_of_one_id_apart(table: Table) -> None:
    await positions_of(table, 1).store({click(1): 17})
    later = {CLICKS.name: EventLog("x", 2 * OFFSETS_PER_TOPIC)}
    assert positions_of(table, 1, logs=later).next_offset(CLICKS.name, 1) is None


async def test_of_several_partitions_the_latest_base_is_found(table: Table) -> None:
    for partition, base in ((1, 3), (2, 5), (3, 4)):
        logs = {CLICKS.name: EventLog("x", base * OFFSETS_PER_TOPIC)}
        await positions_of(table, partition, logs=logs).store({click(partition): 1})
    found = positions_of(table, 1, 2, 3, logs={CLICKS.name: EventLog("y", 0)}).later_event_logs()
    assert found == {CLICKS.name: EventLog("x", 5 * OFFSETS_PER_TOPIC)}


async def test_the_first_event_of_a_worker_leaves_none_to_come_in_a_topic_with_a_base(table: Table) -> None:
    log = positions_of(table, 1)
    log.on_processed(CLICKS.name, 1, EventOrigin("x", 3, 4))
    # Another worker begins at a committed offset: all before it were forwarded, or were not for this partition.
    log.on_processed(CLICKS.name, 1, EventOrigin("x", 3, 9, -1))
    assert log.is_repeated(CLICKS.name, 1, EventOrigin("x", 3, 7))
    # The previous one is numbered as the event is, with the base.
    log.on_processed(CLICKS.name, 1, EventOrigin("x", 3, 20, 15))
    assert not log.is_repeated(CLICKS.name, 1, EventOrigin("x", 3, 15))
    assert log.is_repeated(CLICKS.name, 1, EventOrigin("x", 3, 9))
