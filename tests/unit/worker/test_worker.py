"""The checks of a worker process before it starts."""

import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from state.snapshots.files import FolderFiles, StoreUnavailableError
from state.snapshots.model_store import Snapshot
from state.snapshots.store import SnapshotStore
from stream_app.errors import UserError
from stream_app.metrics import Metrics
from stream_app.publishing.memory_publisher import MemoryPublisher
from stream_app.settings import Settings, load_settings
from stream_app.worker import lifecycle as worker
from stream_app.worker.bootstrap import Ports, build_components
from stream_app.worker.lifecycle import (
    lock_data_dir,
    set_aside_unless_folder,
    topic_incarnations,
    verified_partition_count,
)
from tests.support.in_memory_worker import FakeBatchProducer, InMemoryUserRows
from topics import admin
from topics.broker_client import BrokerUnavailableError, TopicAdminError
from topics.catalog import changelog


def test_a_data_folder_is_created_and_locked_by_one_worker(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "worker"
    with lock_data_dir(folder):
        with pytest.raises(UserError) as raised:
            lock_data_dir(folder)
        assert str(folder) in str(raised.value)
        assert "Another worker uses" in str(raised.value)
        assert "HEADRACE_DATA_DIR" in str(raised.value)
        # Another worker can use another folder.
        lock_data_dir(tmp_path / "other").close()
    lock_data_dir(folder).close()


def test_a_file_in_place_of_the_folder_of_snapshots_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No snapshot could be read or written: each start would learn from the logs, for ever."""
    models, counted = tmp_path / "models", Counter[str]()
    set_aside_unless_folder(models, lambda: counted.update(["set aside"]))
    models.write_bytes(b"damaged")
    set_aside_unless_folder(models, lambda: counted.update(["set aside"]))
    [kept] = tmp_path.glob("models.damaged-*")
    assert kept.read_bytes() == b"damaged"
    FolderFiles(models).write("a", b"snapshot")
    set_aside_unless_folder(models, lambda: counted.update(["set aside"]))
    assert counted.total() == 1
    assert FolderFiles(models).read("a") == b"snapshot"
    assert "is no folder" in caplog.text


def test_a_folder_in_place_of_the_lock_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock" / "file").touch()
    with lock_data_dir(tmp_path):
        assert (tmp_path / "lock").is_file()
    [kept] = tmp_path.glob("lock.damaged-*")
    assert (kept / "file").exists()


def test_a_second_worker_on_a_folder_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "verified_partition_count", lambda _: 4)
    monkeypatch.setattr(worker, "check_redis", lambda _: None)
    with lock_data_dir(tmp_path), pytest.raises(UserError, match="Another worker uses the data folder"):
        worker.run_worker(load_settings(data_dir=tmp_path, metrics_port=0))


def test_a_worker_without_redis_ends_before_it_locks_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "verified_partition_count", lambda _: 4)
    with socket.socket() as closed:
        # Bound and not listening: a connection is refused.
        closed.bind(("127.0.0.1", 0))
        redis = f"redis://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(UserError, match=r"No Redis answers at .*HEADRACE_REDIS"):
            worker.run_worker(load_settings(data_dir=tmp_path / "worker", redis=redis, metrics_port=0))
    # A supervisor may start it again at once.
    lock_data_dir(tmp_path / "worker").close()


def test_an_unwritable_data_folder_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written to .* HEADRACE_DATA_DIR"):
        lock_data_dir(tmp_path / "file" / "worker")


@pytest.mark.parametrize(
    "error",
    [
        BrokerUnavailableError("kafka:9092"),
        TopicAdminError("The broker does not describe it"),
    ],
)
def test_an_unavailable_broker_is_reported_in_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: Any) -> None:
        raise error

    monkeypatch.setattr(admin, "describe", refusing)
    with pytest.raises(UserError) as raised:
        verified_partition_count(load_settings())
    assert str(raised.value) == str(error)


def test_a_folder_with_rows_of_a_deleted_changelog_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    first_id, second_id = "hL2f0mXRQoGgL1Uq0yq9Sw", "0c9d2f1e-7d1b-4e6e-9f43-2f1f5a1f2b77"
    changelog_name, ids = changelog(settings.app_id).name, {"id": first_id}
    monkeypatch.setattr(admin, "topic_ids", lambda *_: {changelog_name: ids["id"]})
    monkeypatch.setattr(worker, "resolve_event_logs", lambda *_: {})
    topic_incarnations(settings)
    (tmp_path / "table").mkdir()
    assert topic_incarnations(settings).topic_ids == {changelog_name: first_id}
    ids["id"] = second_id
    with pytest.raises(
        UserError, match=f"{changelog_name} was deleted and created anew; .*table has the rows"
    ):
        topic_incarnations(settings)
    (tmp_path / "table").rename(tmp_path / "old")
    assert topic_incarnations(settings).topic_ids == {changelog_name: second_id}
    assert (tmp_path / "changelog-id").read_text() == second_id


@pytest.mark.parametrize(
    "damaged", [b"", b"\xff\xfe\x00", bytes(22), b"hL2f0m", b"hL2f0mXRQoGgL1Uq0yq9Sw" * 9]
)
def test_a_damaged_file_with_the_id_of_the_changelog_is_written_anew(
    damaged: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, topic_id = Settings(data_dir=tmp_path), "hL2f0mXRQoGgL1Uq0yq9Sw"
    changelog_name = changelog(settings.app_id).name
    monkeypatch.setattr(admin, "topic_ids", lambda *_: {changelog_name: topic_id})
    monkeypatch.setattr(worker, "resolve_event_logs", lambda *_: {})
    (tmp_path / "table").mkdir()
    (tmp_path / "changelog-id").write_bytes(damaged)
    assert topic_incarnations(settings).topic_ids == {changelog_name: topic_id}
    assert (tmp_path / "changelog-id").read_text() == topic_id


def test_a_worker_does_not_start_with_empty_models_because_its_store_is_unavailable(tmp_path: Path) -> None:
    class UnavailableStore(SnapshotStore):
        def newest(self, fingerprint: str | None = None) -> Snapshot | None:
            del fingerprint
            raise StoreUnavailableError("s3://bucket/models did not answer within 30 s (list)")

    ports = Ports(
        InMemoryUserRows(),
        FakeBatchProducer().append,
        MemoryPublisher(),
        UnavailableStore(FolderFiles(tmp_path)),
        Metrics(),
    )
    with pytest.raises(UserError, match=r"did not answer within 30 s.* Check HEADRACE_MODEL_STORE"):
        build_components(Settings(models=["popularity"], max_items=100, max_users=100), ports)
