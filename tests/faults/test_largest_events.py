"""No event within the bounds of the contract ends a worker, however large the records that it causes."""

import time
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaProducer

from stream_app.client.redis_contract import search_key
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import to_record
from tests.support.largest_events import CHARACTERS, largest_erasure, largest_events, longest_id
from topics.catalog import DEAD_LETTERS
from topics.events import Event, Search


def send_compressed(environment: IntegrationEnvironment, events: list[Event]) -> None:
    """Send events of any size: Kafka's limit counts compressed bytes."""
    with closing(
        KafkaProducer(
            bootstrap_servers=environment.settings.broker,
            compression_type="gzip",
            max_request_size=64 * 1024 * 1024,
        )
    ) as producer:
        for event in events:
            sent = event_record(event)
            producer.send(sent.topic, key=sent.key, value=sent.value).get(timeout=30)


@pytest.mark.faults
def test_the_worker_continues_after_the_largest_events(servers: EmbeddedServers, tmp_path: Path) -> None:
    """Promise: no event within the contract's bounds ends a worker, and each has its list."""
    now = int(time.time() * 1000)
    events: list[Event] = []
    for number, character in enumerate(CHARACTERS):
        events += largest_events(character, ts=now, user=number, first=number * 1_000)
        events.append(largest_erasure(character, ts=now, user=number + 100))
    searches = [
        Search(event_id="s", user_id=f"ann-{number}", ts=now, query=query, results=results)
        for number, query in enumerate(("漢" * 1_800, '"' * 2_700, "\x01" * 4_096))
        for results in ([longest_id("x", item) for item in range(200)],)
    ]
    with clean_environment(servers, tmp_path) as environment:
        worker = environment.start_worker().wait_until_ready()
        pid = worker.pid
        environment.send([to_record(search) for search in searches])
        send_compressed(environment, events)
        worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no pending user")
        assert worker.pid == pid
        assert worker.events("dead_lettered") == 0
        assert environment.read(DEAD_LETTERS.name) == []
        for search in searches:
            found = environment.read_list(search_key(search.user_id))
            assert found is not None
            assert len(found.items) == 200
        assert worker.terminate() == 0, worker.log
