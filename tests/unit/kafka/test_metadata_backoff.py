"""The Kafka clients of a worker pause after an attempt to reach a broker that failed."""

from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient

from stream_app.kafka.metadata_backoff import pause_after_failed_updates


class Updates:
    """The results of the updates of the metadata, and the pauses between them."""

    def __init__(self) -> None:
        self.results: list[bool] = []
        self.pauses: list[float] = []

    async def update(self, _client: Any, *_: Any) -> bool:
        return self.results.pop(0)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> Updates:
    found = Updates()

    async def update(client: Any, *args: Any) -> bool:
        return await found.update(client, *args)

    monkeypatch.setattr(AIOKafkaClient, "_metadata_update", update)
    monkeypatch.setattr("stream_app.kafka.metadata_backoff.asyncio.sleep", found.sleep)
    return found


async def test_a_pause_follows_each_failed_update_alone(updates: Updates) -> None:
    # A second call changes nothing.
    pause_after_failed_updates()
    pause_after_failed_updates()
    updates.results = [False, False, True, False]
    client = object.__new__(AIOKafkaClient)
    found = [await client._metadata_update(None, ()) for _ in range(4)]
    assert found == [False, False, True, False]
    assert len(updates.pauses) == 3
    assert min(updates.pauses) > 0.1
