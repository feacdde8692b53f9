"""Snapshots on S3, by moto's server."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from state.snapshots.files import StoreUnavailableError
from state.snapshots.store import SnapshotStore
from stream_app.errors import UserError
from stream_app.settings import load_settings
from stream_app.tools.check_result import CheckStatus
from stream_app.tools.diagnostics import check_model_store
from stream_app.tools.embedded import EmbeddedServers
from stream_app.worker.model_stores import make_model_store
from tests.support.generated_log import generate_log
from tests.support.integration_environment import clean_environment

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto")
pytestmark = [
    pytest.mark.integration,
    # Libraries of the test's server.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


class S3Server:
    """moto's server on a port of loopback; its objects survive a stop."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def server() -> Iterator[S3Server]:
    running = S3Server()
    yield running
    running.stop()


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new bucket; the address of its server is in the variables that s3fs reads."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"snapshots-{uuid.uuid4().hex[:8]}"
    s3fs.S3FileSystem().mkdir(name)
    yield name
    s3fs.S3FileSystem.clear_instance_cache()


def store_in(bucket: str, **settings: Any) -> SnapshotStore:
    return make_model_store(load_settings(model_store=f"s3://{bucket}/shop/models", **settings))


def state_of(store: SnapshotStore, fingerprint: str | None = None) -> Any:
    snapshot = store.newest(fingerprint)
    return None if snapshot is None else snapshot.state


def test_workers_share_a_store_on_s3(bucket: str) -> None:
    first, second = store_in(bucket), store_in(bucket)
    assert first.newest() is None
    first.save({"n": 1}, "aa")
    second.save({"n": 2}, "bb")
    assert state_of(second, "aa") == {"n": 1}
    for n in range(3, 8):
        first.save({"n": n}, "aa")
    assert state_of(second, "aa") == {"n": 7}
    assert state_of(second, "bb") == {"n": 2}
    assert [entry.error for entry in second.entries(verify=True)] == [""] * 4
    assert all(entry.modified > 0 for entry in second.entries())


def test_damage_on_s3_is_set_aside_and_a_snapshot_restored(bucket: str) -> None:
    store = store_in(bucket)
    first, damaged = store.save({"n": 1}, "aa"), store.save({"n": 2}, "aa")
    s3fs.S3FileSystem().pipe_file(f"{bucket}/shop/models/{damaged}", b"HEADRACE torn")
    assert state_of(store, "aa") == {"n": 1}
    copy = store.keep(first)
    assert copy is not None
    restored = store.restore(copy)
    store.save({"n": 3}, "aa")
    assert store_in(bucket).newest("aa") == store.load(restored)
    assert {entry.name.rsplit(".", 1)[-1] for entry in store.entries()} == {"snapshot", "damaged", "kept"}
    assert copy in store.remove_older_than(9e9)


def test_an_empty_object_is_a_damaged_snapshot(bucket: str) -> None:
    store = store_in(bucket)
    store.save({"n": 1}, "aa")
    s3fs.S3FileSystem().touch(f"{bucket}/shop/models/models-0000-0000000002-aa-w1.snapshot")
    assert [entry.error for entry in store.entries()] == ["shorter than its header", ""]
    assert state_of(store, "aa") == {"n": 1}


def test_a_large_snapshot_appears_at_once(bucket: str) -> None:
    """It is uploaded in parts, which become an object when all are there."""
    store = store_in(bucket)
    state = {"bytes": bytes(60_000_000)}
    name = store.save(state, "aa")
    assert store.load(name).state == state


def test_a_missing_bucket_and_a_server_that_is_down_are_errors(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreUnavailableError, match="there is no missing-bucket"):
        store_in("missing-bucket").newest()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreUnavailableError, match=f"s3://{bucket}/shop/models could not list"):
        store_in(bucket).newest()


def test_a_new_worker_starts_from_what_another_stored_on_s3(
    server: S3Server, bucket: str, servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = generate_log(600)
    settings = {"models": ["popularity", "item_to_item"], "model_store": f"s3://{bucket}/shop"}
    with clean_environment(servers, tmp_path, **settings, snapshot_interval=1.0) as environment:
        first = environment.start_worker(1).wait_until_ready()
        environment.send(log.records)
        first.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        assert first.terminate() == 0, first.log
        second = environment.start_worker(2).wait_until_ready()
        assert second.metric("headrace_interactions_folded_total") == 0
        second.wait_until(
            lambda: len(environment.user_lists(log.users)) == len(log.users), "the lists of all users"
        )
        # A store that goes down stops no events.
        server.stop()
        second.wait_until(lambda: second.metric("headrace_snapshot_failures_total") > 0, "a failed snapshot")
        environment.send(generate_log(50, seed=12).records)
        second.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        server.start()
        stored = second.metric("headrace_snapshot_seconds_count")
        second.wait_until(
            lambda: second.metric("headrace_snapshot_seconds_count") > stored, "a snapshot again"
        )


def test_the_doctor_checks_the_store(bucket: str) -> None:
    [result] = check_model_store(load_settings(model_store=f"s3://{bucket}/models"))
    assert str(result) == f"ok    model store: s3://{bucket}/models can be read and written"
    assert s3fs.S3FileSystem().find(bucket) == []
    [result] = check_model_store(load_settings(model_store="s3://missing-bucket/models"))
    assert result.status is CheckStatus.FAIL
    assert result.detail == "s3://missing-bucket/models: The specified bucket does not exist"


def test_a_url_without_a_bucket_is_refused() -> None:
    with pytest.raises(UserError, match="HEADRACE_MODEL_STORE: s3: names no bucket"):
        make_model_store(load_settings(model_store="s3://"))
