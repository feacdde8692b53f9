"""No event within the bounds of the contract ends a worker, however large the records that it causes."""

import time
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaProducer
from msgspec import structs

from stream_app.client.redis_contract import search_key
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import PARTITIONS, IntegrationEnvironment, clean_environment
from tests.support.kafka_records import to_record
from tests.support.largest_events import CHARACTERS, largest_erasure, largest_events, longest_id
from topics import admin
from topics.catalog import CLICKS, DEAD_LETTERS
from topics.events import Click, Event, Search


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


@pytest.mark.faults
def test_a_forwarded_event_that_its_topic_does_not_accept_ends_no_worker(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: an event that is too large to forward is a dead letter, and those beside it are forwarded."""
    now = int(time.time() * 1000)
    limited = structs.replace(CLICKS, config=CLICKS.config | {"max.message.bytes": "50000"})
    with clean_environment(servers, tmp_path) as environment:
        broker = environment.settings.broker
        admin.delete([CLICKS.name], broker)
        admin.create([limited], broker, partitions=PARTITIONS, replication=1)
        # Together they are larger than a record may be; the users' key is wrong.
        small = [
            Click(event_id=f"e{number}", user_id=f"ann {number}", ts=now, item_id="shoe", list_id="l" * 200)
            for number in range(1_000)
        ]
        for first in range(0, len(small), 100):  # as much as the topic accepts at once
            environment.send([to_record(each)._replace(key=b"shop") for each in small[first : first + 100]])
        value = event_record(small[0]).value[:-1] + b',"note":"' + b"x" * 130_000 + b'"}'
        with closing(KafkaProducer(bootstrap_servers=broker, compression_type="gzip")) as producer:
            producer.send(CLICKS.name, key=b"shop", value=value).get(timeout=30)
        worker = environment.start_worker().wait_until_ready()
        pid = worker.pid
        worker.wait_until(lambda: worker.events("dead_lettered") == 1, "the dead letter", seconds=240)
        worker.wait_until(lambda: worker.events("accepted") == len(small), "the other events", seconds=240)
        worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        assert (worker.pid, worker.events("rekeyed")) == (pid, len(small) + 1)
        [letter] = environment.read(DEAD_LETTERS.name)
        assert b"max.message.bytes of events.click" in (letter.value or b"")
        assert worker.terminate() == 0, worker.log
