"""The users agent while its local store fails, holds rows that cannot be decoded, or is closed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.stores import rocksdb as faust_rocksdb
from faust.types import TP

from state.row import EMPTY_ROW, UserRow, encode_row
from state.row_store import RowStore, store_error
from state.user_rows import DamagedStoreError, StoreError
from stream_app.worker.republication import republish_recent_users
from tests.support.app_without_kafka import WorkerWithoutKafka
from topics.catalog import DEAD_LETTERS, INTERACTIONS

DISK_FULL = OSError("IO error: No space left on device: While appending to file: users-0.db/000003.log")


def metric(worker: WorkerWithoutKafka, name: str, **labels: str) -> float:
    return worker.metrics.registry.get_sample_value(name, labels) or 0.0


def table_of(worker: WorkerWithoutKafka) -> Any:
    return worker.app.headrace_worker.rows._table


def store_of(worker: WorkerWithoutKafka, monkeypatch: pytest.MonkeyPatch, *partitions: int) -> RowStore:
    """The store of a worker that owns these partitions."""
    table = table_of(worker)
    actives = {TP(table.changelog_topic_name, each) for each in partitions}
    monkeypatch.setattr(worker.app, "assignor", SimpleNamespace(assigned_actives=lambda: actives))
    store: RowStore = table.data
    return store


@pytest.fixture
def store(worker: WorkerWithoutKafka, monkeypatch: pytest.MonkeyPatch) -> RowStore:
    return store_of(worker, monkeypatch, 0, 1)


async def test_events_wait_while_the_disk_is_full_and_none_is_lost(
    worker: WorkerWithoutKafka, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker.catch_up_barrier.set()
    worker.metrics.ready.set(1)
    worker.components.flush_loop.start()
    retry = worker.app.headrace_worker.store_retry
    monkeypatch.setattr(retry, "_retry_seconds", 0.0)
    put, is_full = RowStore.put, True

    def put_if_there_is_room(self: RowStore, partition: int, key: bytes, value: bytes) -> None:
        if is_full:
            raise store_error(DISK_FULL, partition)
        put(self, partition, key, value)

    monkeypatch.setattr(RowStore, "put", put_if_there_is_room)
    async with worker.agent("users") as agent:
        for number in range(5):
            await worker.click(agent, f"u{number}", "shoe")
        await worker.until(lambda: metric(worker, "headrace_store_errors_total") > 3)
        assert retry.failing
        assert metric(worker, "headrace_ready") == 0
        assert worker.count("events.click", "accepted") == 0
        is_full = False
        await worker.until(lambda: worker.count("events.click", "accepted") == 5)
    await worker.batch_producer.flush()
    assert not retry.failing
    assert metric(worker, "headrace_ready") == 1
    assert worker.letters() == []
    assert len(worker.sent_to(INTERACTIONS.name)) == 5
    assert worker.components.replica.models.version == 5
    assert [worker.rows.get(f"u{number}").counts.clicks for number in range(5)] == [1] * 5
    lines = [record.getMessage() for record in caplog.records if "local store" in record.getMessage()]
    assert len(lines) == 2
    assert lines[0].startswith("the local store failed; taking no events until it works again")
    assert lines[1] == "the local store works again; taking events"


async def test_an_event_that_waits_for_room_on_the_disk_does_not_hold_up_a_revocation(
    worker: WorkerWithoutKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.catch_up_barrier.set()
    monkeypatch.setattr(worker.app.headrace_worker.store_retry, "_retry_seconds", 0.0)

    def refuse(_: RowStore, partition: int, *__: bytes) -> None:
        raise store_error(DISK_FULL, partition)

    monkeypatch.setattr(RowStore, "put", refuse)
    async with worker.agent("users") as agent:
        await worker.click(agent, "ann", "shoe")
        await worker.until(lambda: metric(worker, "headrace_store_errors_total") > 3)
        worker.suspend()
    # The agent has ended, though there is no room.
    assert agent.counted == []


async def test_a_store_that_is_reopened_has_its_rows(worker: WorkerWithoutKafka, store: RowStore) -> None:
    worker.catch_up_barrier.set()
    async with worker.agent("users") as agent:
        await worker.click(agent, "ann", "shoe")
        await worker.until(lambda: worker.count("events.click", "accepted") == 1)
    worker.rows.clear_cache()
    assert store.has_room()
    store.reopen()
    assert worker.rows.get("ann").counts.clicks == 1


async def test_a_store_that_cannot_be_reopened_gives_no_empty_rows(
    worker: WorkerWithoutKafka, store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise DISK_FULL

    store._db_for_partition(0).put(b"ann", encode_row(UserRow(first_ts=1.0)))
    with monkeypatch.context() as patched:
        patched.setattr(faust_rocksdb.Store, "_open_for_partition", refuse)
        with pytest.raises(StoreError):
            store.reopen()
        with pytest.raises(StoreError):
            worker.rows.get("ann")
    store.reopen()
    assert worker.rows.get("ann").first_ts == 1.0


UNREADABLE = {
    "not msgpack": b"\xc1",
    "another format": encode_row(UserRow(format=99)),
    "truncated": encode_row(UserRow(ring=b"x" * 60))[:-9],
    "invalid UTF-8": encode_row(UserRow(segments=("country:FR",))).replace(b"FR", b"\xff\xff"),
    "empty": b"",
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_row_that_cannot_be_decoded_is_set_aside_and_the_users_events_are_processed(
    worker: WorkerWithoutKafka, store: RowStore, raw: bytes
) -> None:
    worker.catch_up_barrier.set()
    store._db_for_partition(0).put(b"ann", raw)
    store._db_for_partition(0).put(b"\xff", encode_row(EMPTY_ROW))
    store._db_for_partition(0).put(b"bob", encode_row(UserRow(first_ts=1.0)))
    worker.components.flush_loop.start()
    worker.components.queue.mark_pending("ann")
    assert [user_id for user_id, _ in worker.rows.scan()] == ["bob"]
    async with worker.agent("users") as agent:
        await worker.click(agent, "ann", "shoe")
        await worker.click(agent, "ann", "sock")
        await worker.until(lambda: worker.count("events.click", "accepted") == 2)
        await worker.components.flush_loop.wait_until_idle()
    await worker.batch_producer.flush()
    letters = worker.letters()
    assert [(each.reason, each.key, each.value) for each in letters] == [
        ("unreadable_row", b"ann", raw),
        ("unreadable_row", b"\xff", encode_row(EMPTY_ROW)),
    ]
    assert letters[0].topic == table_of(worker).changelog_topic_name
    assert metric(worker, "headrace_rows_set_aside_total") == 2
    assert metric(worker, "headrace_dead_letters_total", reason="unreadable_row") == 2
    worker.rows.clear_cache()
    assert [each.item_id for each in worker.rows.get("ann").recent] == ["shoe", "sock"]
    assert len(worker.sent_to(DEAD_LETTERS.name)) == 2


async def test_partitions_that_are_closed_while_rows_are_gone_through_end_the_scan(
    worker: WorkerWithoutKafka, store: RowStore
) -> None:
    for partition in (0, 1):
        for number in range(300):
            row = UserRow(first_ts=1.0)
            store._db_for_partition(partition).put(b"u%d-%d" % (partition, number), encode_row(row))
    scan = worker.rows.scan()
    seen = [next(scan)]
    await store.stop()  # as at a SIGTERM
    seen += list(scan)
    assert len(seen) == 1
    # And as the worker does it, with the stop in the middle.
    for partition in (0, 1):
        store._db_for_partition(partition)
    n_checks = 0

    def close_in_the_middle() -> bool:
        nonlocal n_checks
        n_checks += 1
        if n_checks == 100:
            store._dbs.clear()
        return False

    queue = worker.components.queue
    assert await republish_recent_users(worker.rows, queue, 0.0, close_in_the_middle) == 100


async def test_a_scan_goes_on_with_a_table_that_was_opened_again(
    worker: WorkerWithoutKafka, store: RowStore
) -> None:
    for partition in (0, 1):
        for number in range(300):
            row = UserRow(first_ts=1.0)
            store._db_for_partition(partition).put(b"u%d-%03d" % (partition, number), encode_row(row))
    scan = worker.rows.scan()
    seen = [next(scan) for _ in range(130)]
    # A rebalance opens another partition; a disk that was full is written to again, which no scan holds up.
    store._db_for_partition(2)
    store.reopen()
    seen += scan
    assert [user_id for user_id, _ in seen] == [
        f"u{at}-{number:03}" for at in (0, 1) for number in range(300)
    ]


async def test_a_scan_of_a_closed_table_is_an_error_and_no_end(
    worker: WorkerWithoutKafka, store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        store._db_for_partition(0).put(b"u%03d" % number, encode_row(UserRow(first_ts=1.0)))
    scan = worker.rows.scan()
    next(scan)

    def fail(_store: RowStore, partition: int) -> Any:
        raise StoreError(f"partition {partition} cannot be opened")

    monkeypatch.setattr(RowStore, "_open_for_partition", fail)
    with pytest.raises(StoreError, match="cannot be opened"):
        store.reopen()
    with pytest.raises(StoreError, match="partition 0 of the users table is closed"):
        list(scan)


def damage_current(folder: Path) -> None:
    (folder / "CURRENT").unlink()


def empty_current(folder: Path) -> None:
    (folder / "CURRENT").write_bytes(b"")


def remove_manifest(folder: Path) -> None:
    [manifest] = folder.glob("MANIFEST-*")
    manifest.unlink()


def overwrite_everything(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"\0" * path.stat().st_size)


def replace_by_a_file(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_bytes(b"x")


@pytest.mark.parametrize(
    "damage", [damage_current, empty_current, remove_manifest, overwrite_everything, replace_by_a_file]
)
async def test_damaged_files_are_set_aside_and_the_partition_starts_empty(
    worker: WorkerWithoutKafka, store: RowStore, damage: Any
) -> None:
    tp = TP(table_of(worker).changelog_topic_name, 0)
    for partition in (0, 1):
        store._db_for_partition(partition).put(b"ann", encode_row(EMPTY_ROW))
    store.set_persisted_offset(tp, 41)
    await store.stop()
    folder = store.partition_path(0)
    damage(folder)
    assert store.persisted_offset(tp) is None, "its changelog is read from the start"
    assert store.persisted_offset(TP(tp.topic, 1)) is None
    assert list(folder.parent.glob("users-0.db.damaged-*"))
    assert not list(folder.parent.glob("users-1.db.damaged-*"))
    assert metric(worker, "headrace_local_state_set_aside_total", kind="table") == 1


async def test_at_most_two_damaged_folders_are_kept(store: RowStore) -> None:
    folder = store.partition_path(0)
    for _ in range(5):
        store._db_for_partition(0)
        await store.stop()
        damage_current(folder)
    store._db_for_partition(0)
    assert len(list(folder.parent.glob("*.damaged-*"))) == 2


async def test_a_damaged_block_is_noticed_and_set_aside_at_the_next_opening(
    worker: WorkerWithoutKafka, store: RowStore
) -> None:
    tp = TP(table_of(worker).changelog_topic_name, 0)
    for number in range(2_000):
        store._db_for_partition(0).put(b"u%d" % number, bytes(range(200)))
    store.set_persisted_offset(tp, 41)
    await store.stop()
    store._db_for_partition(0)  # moves the log to a table file
    await store.stop()
    for path in store.partition_path(0).glob("*.sst"):
        raw = bytearray(path.read_bytes())
        raw[100:1000:7] = bytes(len(raw[100:1000:7]))
        path.write_bytes(raw)

    def damaged_partition() -> int:
        try:
            for number in range(2_000):
                store.read(0, b"u%d" % number)
        except DamagedStoreError as error:
            return error.partition
        return -1

    assert damaged_partition() == 0
    store.mark_damaged(0)
    await store.stop()
    assert store.persisted_offset(tp) is None
