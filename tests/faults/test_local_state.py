"""A worker whose local state is damaged, or whose disk is full, loses nothing and goes on by itself."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from state.row import UserRow, encode_row
from stream_app.client.redis_contract import user_key
from stream_app.tools.embedded import EmbeddedServers
from tests.integration.test_hostile_records import dead_letters
from tests.support.crash_runs import SETTINGS
from tests.support.generated_log import GeneratedLog, generate_log
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, sent
from tests.support.worker_handle import WorkerHandle
from topics.catalog import changelog
from topics.events import Click

N_EVENTS: Final = 2_000


def partition_folder(environment: IntegrationEnvironment, partition: int) -> Path:
    [folder] = environment.data_dir().rglob(f"users-{partition}.db")
    return folder


def without_current(folder: Path) -> None:
    (folder / "CURRENT").unlink()


def without_manifest(folder: Path) -> None:
    for path in folder.glob("MANIFEST-*"):
        path.unlink()


def with_zeros(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(bytes(path.stat().st_size))


def with_a_short_log(folder: Path) -> None:
    for path in folder.glob("*.log"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: Final = (without_current, without_manifest, with_zeros, with_a_short_log)
"""One for each partition."""


def process_and_stop(environment: IntegrationEnvironment, log: GeneratedLog) -> None:
    """Let a worker process a log, and stop it: its folder has all rows."""
    worker = environment.start_worker().wait_until_ready()
    environment.send(log.records)
    worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
    assert worker.terminate() == 0, worker.log


@pytest.mark.faults
def test_a_worker_with_damaged_files_rebuilds_its_rows_from_the_changelog(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: damaged files of the table and of snapshots are replaced from Kafka; no row loses its past."""
    log = generate_log(N_EVENTS)
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        process_and_stop(environment, log)
        rows = environment.rows()
        for partition, damage in enumerate(DAMAGES):
            damage(partition_folder(environment, partition))
        for path in (environment.data_dir() / "models").glob("*.snapshot"):
            path.write_bytes(path.read_bytes()[:100])

        worker = environment.start_worker().wait_until_ready()
        worker.wait_until(
            lambda: worker.metric("headrace_table_users") == len(rows), "all rows to be there", seconds=60
        )
        assert worker.metric("headrace_local_state_set_aside_total", kind="table") == 3
        assert worker.metric("headrace_local_state_set_aside_total", kind="snapshot") >= 1
        assert worker.metric("headrace_interactions_folded_total") > 0, "the models learn from the log"
        environment.send(sent(Click, user_id, item_id="item 1") for user_id in rows)
        worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        for user_id, row in environment.rows().items():
            assert row.counts.clicks == rows[user_id].counts.clicks + 1, "the click was added to the old row"
            assert row.first_ts == rows[user_id].first_ts
        assert worker.terminate() == 0, worker.log


@pytest.mark.faults
def test_a_damaged_block_that_is_found_while_the_worker_runs_is_rebuilt(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: damage found while a worker runs restarts it, and no row loses its past."""
    log = generate_log(N_EVENTS)
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        process_and_stop(environment, log)
        # A start moves the rows from the log of RocksDB to table files.
        assert environment.start_worker().wait_until_ready().terminate() == 0
        rows = environment.rows()
        tables = list(environment.data_dir().rglob("users-*.db/*.sst"))
        assert tables
        for path in tables:
            raw = bytearray(path.read_bytes())
            raw[64:2_000:7] = bytes(len(raw[64:2_000:7]))
            path.write_bytes(raw)
        worker = environment.start_worker()
        pid = worker.pid
        # It opens the files, reads the rows, finds the damage, and restarts itself; once for each partition at most.
        worker.wait_until(
            lambda: (
                worker.metric("headrace_ready") == 1
                and worker.metric("headrace_table_users") == len(rows)
                and list(environment.data_dir().rglob("*.damaged-*"))
            ),
            "all rows to be there",
            seconds=300,
        )
        assert worker.pid == pid
        environment.send(sent(Click, user_id, item_id="item 1") for user_id in rows)
        worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        for user_id, row in environment.rows().items():
            assert row.counts.clicks == rows[user_id].counts.clicks + 1
        assert worker.events("dead_lettered") == 0


@pytest.mark.faults
def test_rows_of_the_changelog_that_cannot_be_decoded_are_set_aside(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: a row that cannot be read becomes a dead letter with its bytes, and stops no other user."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        topic = changelog(environment.settings.app_id).name
        bad_rows = {
            b"ann": b"\xc1 no row",
            b"bob": encode_row(UserRow(format=99)),
            b"\xff\xfe": b"{}",
        }
        environment.send([KafkaRecord(topic, key, value) for key, value in bad_rows.items()])
        worker = environment.start_worker().wait_until_ready()
        environment.send(sent(Click, user_id, item_id="item 1") for user_id in ("ann", "bob", "cem"))
        worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=120)
        worker.wait_until(
            lambda: all(environment.redis.exists(user_key(each)) for each in ("ann", "bob", "cem")),
            "lists of all users",
        )
        worker.wait_until(
            lambda: worker.metric("headrace_rows_set_aside_total") == len(bad_rows),
            "all rows to be set aside",
        )
        assert worker.events("accepted") == 3
        assert worker.events("dead_lettered") == 0
        assert worker.terminate() == 0, worker.log
        letters = {letter.key: letter for letter in dead_letters(environment)}
        assert {key: letter.value for key, letter in letters.items()} == bad_rows
        assert {letter.reason for letter in letters.values()} == {"unreadable_row"}
        status, output = environment.run_command("dead-letters", "replay", "--yes")
        assert status == 0, output
        assert "No dead letters to replay" in output


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(
            f"mounting is refused ({mounted.stderr.strip()}): run it as root, in a privileged container"
        )
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill a disk; the file to remove."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    assert shutil.disk_usage(folder).free == 0
    return path


def start_on(disk: Path, environment: IntegrationEnvironment, records: Sequence[KafkaRecord]) -> WorkerHandle:
    """Start a worker whose data is on a disk, and let it process records."""
    environment.data_dir().symlink_to(disk)
    worker = environment.start_worker().wait_until_ready()
    environment.send(records)
    worker.wait_until(lambda: environment.uncommitted() == 0, "half of the events", seconds=120)
    return worker


@pytest.mark.faults
def test_no_event_is_lost_while_the_disk_is_full(
    servers: EmbeddedServers, tmp_path: Path, small_disk: Path
) -> None:
    """Promise: while the disk is full events wait; none is lost, none becomes a dead letter."""
    log = generate_log(N_EVENTS)
    half = len(log.records) // 2
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        worker = start_on(small_disk, environment, log.records[:half])
        pid = worker.pid
        filler = fill(small_disk)
        environment.send(log.records[half:])
        worker.wait_until(lambda: worker.metric("headrace_store_errors_total") >= 2, "the disk to be full")
        assert worker.metric("headrace_ready") == 0
        filler.unlink()
        worker.wait_until(lambda: environment.uncommitted() == 0, "the other half", seconds=120)
        worker.wait_until(lambda: worker.metric("headrace_ready") == 1, "the worker to be ready again")
        assert worker.pid == pid
        assert worker.events("dead_lettered") == 0
        # It restarts itself if RocksDB does not let go of its files.
        assert sum(row.counts.total for row in environment.rows().values()) == log.n_accepted
        assert worker.terminate() == 0, worker.log


@pytest.mark.faults
def test_a_worker_that_starts_while_the_disk_is_full_waits_for_room(
    servers: EmbeddedServers, tmp_path: Path, small_disk: Path
) -> None:
    """Promise: a worker that is assigned partitions while the disk is full waits, and goes on when there is room."""
    log = generate_log(N_EVENTS)
    half = len(log.records) // 2
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        worker = start_on(small_disk, environment, log.records[:half])
        assert worker.terminate() == 0, worker.log
        filler = fill(small_disk)
        environment.send(log.records[half:])
        worker = environment.start_worker()
        pid = worker.pid
        worker.wait_until(
            lambda: worker.metric("headrace_store_errors_total") >= 2, "the disk to be full", seconds=240
        )
        assert worker.metric("headrace_ready") == 0
        filler.unlink()
        worker.wait_until(lambda: environment.uncommitted() == 0, "the other half", seconds=240)
        assert worker.pid == pid
        assert worker.events("dead_lettered") == 0
        assert sum(row.counts.total for row in environment.rows().values()) == log.n_accepted
        assert worker.terminate() == 0, worker.log
