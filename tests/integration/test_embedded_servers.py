import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from redis import Redis

from stream_app.errors import UserError
from stream_app.tools.embedded import (
    EmbeddedBroker,
    EmbeddedRedis,
    EmbeddedServers,
    broker,
    kafka_runtime,
    startup_cache,
)
from tests.support.worker_handle import wait_until
from topics import admin, broker_client
from topics.catalog import CATALOG_ITEMS, CLICKS

PARENT = """
import sys
from stream_app.tools.embedded import EmbeddedRedis
redis = EmbeddedRedis()
redis.start()
print(redis.pid, redis.folder, flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_stopped_redis_leaves_neither_process_nor_folder() -> None:
    redis = EmbeddedRedis()
    with redis:
        pid, folder = redis.pid, redis.folder
        assert pid is not None
        with Redis.from_url(redis.address) as connection:
            assert connection.ping()
        assert folder.is_dir()
    assert not alive(pid)
    assert not folder.exists()
    assert redis.pid is None


def test_a_killed_redis_restarts_empty_on_the_same_address() -> None:
    with EmbeddedRedis() as redis:
        address = redis.address
        with Redis.from_url(address) as connection:
            connection.set("recs:user:{u1}", "a list")
        redis.kill()
        assert redis.pid is None
        redis.start()
        assert redis.address == address
        with Redis.from_url(address) as connection:
            assert connection.get("recs:user:{u1}") is None


def test_a_given_folder_is_kept(tmp_path: Path) -> None:
    with EmbeddedRedis(folder=tmp_path / "mine") as redis:
        assert redis.folder == tmp_path / "mine"
    assert (tmp_path / "mine" / "server.log").is_file()


def test_a_port_in_use_is_an_error() -> None:
    with EmbeddedRedis() as first:
        second = EmbeddedRedis(port=first.port)
        with pytest.raises(
            UserError, match=f"Redis cannot listen on 127.0.0.1:{first.port}: another process"
        ):
            second.start()
        assert second.pid is None


def test_a_server_that_was_not_started_has_no_address() -> None:
    with pytest.raises(UserError, match="Redis has not been started"):
        _ = EmbeddedRedis().address


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_does_not_outlive_the_process_that_started_it(
    signal_number: signal.Signals, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        assert alive(pid)
        parent.send_signal(signal_number)
        parent.wait()
    wait_until(lambda: not alive(pid), "the server to end", seconds=120.0)


def test_a_server_outlives_the_thread_that_started_it() -> None:
    redis = EmbeddedRedis()
    thread = threading.Thread(target=redis.start)
    thread.start()
    thread.join()
    try:
        with Redis.from_url(redis.address) as connection:
            assert connection.ping()
    finally:
        redis.stop()


def test_a_server_runs_in_its_own_session() -> None:
    with EmbeddedRedis() as redis:
        assert redis.pid is not None
        assert os.getsid(redis.pid) != os.getsid(0)


def test_a_broker_does_not_auto_create_topics_and_keeps_them_across_a_restart() -> None:
    with EmbeddedBroker() as broker:
        address = broker.address
        assert admin.list_names(address) == []
        admin.create([CLICKS, CATALOG_ITEMS], address, partitions=3, replication=1)
        broker.restart()
        assert broker.address == address
        assert [state.partitions for state in admin.describe([CLICKS, CATALOG_ITEMS], address)] == [3, 3]


def test_a_killed_broker_can_be_restarted() -> None:
    with EmbeddedBroker() as broker:
        admin.create([CLICKS], broker.address, partitions=2, replication=1)
        broker.kill()
        with pytest.raises(broker_client.BrokerUnavailableError, match="No Kafka broker answers at 127"):
            admin.list_names(broker.address)
        broker.start()
        wait_until(
            lambda: admin.list_names(broker.address) == ["events.click"],
            "the topic to be listed",
            seconds=120,
        )


def test_both_servers_report_progress_and_stop_together() -> None:
    messages: list[str] = []
    servers = EmbeddedServers()
    servers.start(messages.append)
    try:
        assert servers.broker is not None
        assert servers.redis is not None
        pids = [servers.broker.pid, servers.redis.pid]
        assert messages == ["Starting Redis", "Starting Kafka"]
    finally:
        servers.stop()
    assert not any(pid is not None and alive(pid) for pid in pids)


def test_external_servers_are_used_and_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis() as external_redis:
        monkeypatch.setenv("HEADRACE_BROKER", "kafka.example:9092")
        monkeypatch.setenv("HEADRACE_REDIS", external_redis.address)
        with EmbeddedServers() as servers:
            assert servers.broker is None
            assert servers.broker_address == "kafka.example:9092"
            assert servers.redis_address == external_redis.address
        assert external_redis.pid is not None


@pytest.mark.slow
def test_java_accepts_the_file_for_fast_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = kafka_runtime.kafka_runtime(lambda _message: None)
    (tmp_path / "lib").symlink_to(installed.lib)
    own = msgspec.structs.replace(installed, lib=tmp_path / "lib")
    if own.java_version < startup_cache.FIRST_JAVA:
        pytest.skip(f"Java {own.java_release} writes no file for fast starts")
    for module in (broker, startup_cache):
        monkeypatch.setattr(module, "kafka_runtime", lambda _progress: own)
    startup_cache.prepare()
    assert own.startup_cache.is_file()
    # Java ends when it must use a file and it does not fit.
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:AOTMode=on")
    with EmbeddedBroker() as server:
        assert "[aot" not in server.log.read_text()
    own.startup_cache.write_bytes(b"none")
    with pytest.raises(UserError, match="Kafka exited during startup"):
        EmbeddedBroker().start()
    monkeypatch.delenv("JAVA_TOOL_OPTIONS")
    with EmbeddedBroker() as server:
        assert admin.list_names(server.address) == []
