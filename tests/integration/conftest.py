"""Real servers, with a clean state for each test.

The servers start once per session. Each test has new, empty topics, a new application id (and with it a new
consumer group and changelog), an empty Redis, and its own data folder. A test may kill or stop a server; the next
test starts it again.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from stream_app.settings import Settings, load_settings
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import PARTITIONS
from topics import admin
from topics.catalog import catalog


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    """The embedded broker and Redis, or external ones from the environment variables."""
    with EmbeddedServers() as embedded_servers:
        # Each test deletes all topics and flushes Redis, so external servers must be empty.
        if embedded_servers.broker is None and _user_topics(embedded_servers.broker_address):
            pytest.exit(
                f"The tests delete all topics on {embedded_servers.broker_address}: use an empty broker."
            )
        if embedded_servers.redis is None:
            with Redis.from_url(embedded_servers.redis_address) as connection:
                if connection.dbsize():
                    pytest.exit(f"The tests flush {embedded_servers.redis_address}: use an empty database.")
        yield embedded_servers


@pytest.fixture
def broker(servers: EmbeddedServers) -> Iterator[str]:
    """A running broker without topics; its address."""
    if servers.broker is not None:
        servers.broker.start()
    admin.delete(_user_topics(servers.broker_address), servers.broker_address)
    yield servers.broker_address
    if servers.broker is None:
        admin.delete(_user_topics(servers.broker_address), servers.broker_address)


@pytest.fixture
def redis_url(servers: EmbeddedServers) -> Iterator[str]:
    """A running, empty Redis; its URL."""
    if servers.redis is not None:
        servers.redis.start()
    _flush(servers.redis_address)
    yield servers.redis_address
    if servers.redis is None:
        _flush(servers.redis_address)


@pytest.fixture
def settings(broker: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of a worker on clean servers, with new topics."""
    app_id = f"test-{uuid.uuid4().hex[:8]}"
    worker_settings = load_settings(
        app_id=app_id,
        broker=broker,
        redis=redis_url,
        partitions=PARTITIONS,
        data_dir=tmp_path / "worker",
        metrics_port=0,
    )
    admin.create(catalog(app_id), broker, partitions=PARTITIONS, replication=1)
    return worker_settings


def _user_topics(broker: str) -> list[str]:
    # Internal topics stay: committed offsets belong to groups, and no two tests share a group.
    return [name for name in admin.list_names(broker) if not name.startswith("__")]


def _flush(url: str) -> None:
    with Redis.from_url(url) as connection:
        connection.flushdb()
