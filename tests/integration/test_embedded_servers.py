import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from stream_app.errors import UserError
from stream_app.tools.embedded import EmbeddedBroker, EmbeddedRedis, EmbeddedServers
from topics import admin
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


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_redis_answers_while_it_is_started_and_leaves_neither_process_nor_folder() -> None:
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


def test_a_redis_that_was_killed_comes_back_empty_on_the_same_address() -> None:
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


def test_a_server_does_not_take_another_for_itself() -> None:
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


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_does_not_outlive_the_process_that_started_it(end: signal.Signals, tmp_path: Path) -> None:
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
        parent.send_signal(end)
        parent.wait()
    assert eventually(lambda: not alive(pid))


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


def test_a_server_is_out_of_reach_of_the_terminals_interrupt() -> None:
    with EmbeddedRedis() as redis:
        assert redis.pid is not None
        assert os.getsid(redis.pid) != os.getsid(0)


def test_a_broker_makes_no_topic_by_itself_and_keeps_its_topics_over_a_restart() -> None:
    with EmbeddedBroker() as broker:
        address = broker.address
        assert admin.list_names(address) == []
        admin.create([CLICKS, CATALOG_ITEMS], address, partitions=3, replication=1)
        broker.restart()
        assert broker.address == address
        assert [state.partitions for state in admin.describe([CLICKS, CATALOG_ITEMS], address)] == [3, 3]


def test_a_broker_comes_back_after_it_was_killed() -> None:
    with EmbeddedBroker() as broker:
        admin.create([CLICKS], broker.address, partitions=2, replication=1)
        broker.kill()
        with pytest.raises(admin.BrokerUnavailableError, match="No Kafka broker answers at 127"):
            admin.list_names(broker.address)
        broker.start()
        assert eventually(lambda: admin.list_names(broker.address) == ["events.click"], seconds=30)


def test_both_servers_report_what_they_are_doing_and_stop_together() -> None:
    said: list[str] = []
    servers = EmbeddedServers()
    servers.start(said.append)
    try:
        assert servers.broker is not None
        assert servers.redis is not None
        pids = [servers.broker.pid, servers.redis.pid]
        assert said == ["Starting Redis", "Starting Kafka"]
    finally:
        servers.stop()
    assert not any(pid is not None and alive(pid) for pid in pids)


def test_servers_that_the_environment_names_are_used_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis() as real:
        monkeypatch.setenv("HEADRACE_BROKER", "kafka.example:9092")
        monkeypatch.setenv("HEADRACE_REDIS", real.address)
        with EmbeddedServers() as servers:
            assert servers.broker is None
            assert servers.broker_address == "kafka.example:9092"
            assert servers.redis_address == real.address
        assert real.pid is not None
