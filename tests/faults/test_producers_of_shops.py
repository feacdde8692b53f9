"""Promise: what producers of shops may do, compress or write transactions, is read as they meant it."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import kafka
import msgspec
import pytest
from kafka.admin import ConfigResource

from stream_app.kafka.event_records import event_record
from stream_app.kafka.partitioning import partition_of_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import SETTINGS
from tests.support.integration_environment import PARTITIONS, IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, producer_for, send_records, to_record
from tests.support.worker_handle import WorkerHandle
from topics.catalog import CATALOG_ITEMS, CLICKS, CONTROL, catalog
from topics.events import CatalogItem, Click, Event, Search
from topics.records import PolicyAssignment

CODECS: Final = ("gzip", "snappy", "lz4", "zstd")
N_USERS: Final = 12
ABORTED_ITEM: Final = next(
    item_id
    for item_id in (f"aborted {number}" for number in range(100))
    if partition_of_key(item_id.encode(), PARTITIONS) == partition_of_key(b"b", PARTITIONS)
)
"""In the partition of the item b, whose record lets the offset of the aborted one be committed."""


def now_ms() -> int:
    return int(time.time() * 1000)


def click(user: str, item: str, event_id: str) -> Click:
    return Click(event_id=event_id, user_id=user, ts=now_ms(), item_id=item)


def item(item_id: str) -> CatalogItem:
    return CatalogItem(item_id=item_id, ts=now_ms())


def compress_all_topics(environment: IntegrationEnvironment, codec: str) -> None:
    """Let the broker write all records in this codec."""
    with closing(kafka.KafkaAdminClient(bootstrap_servers=environment.settings.broker)) as client:
        client.alter_configs(
            [
                ConfigResource("topic", spec.name, {"compression.type": codec})
                for spec in catalog(environment.settings.app_id)
            ]
        )


def wait_until_processed(worker: WorkerHandle, n_events: int) -> None:
    worker.wait_until(
        lambda: worker.events("accepted") == n_events and worker.metric("headrace_pending_users") == 0,
        f"{n_events} events to be accepted",
    )


@pytest.mark.faults
def test_records_of_every_codec_are_read_by_workers_recovery_and_tools(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: records in all four codecs are read by workers, recoveries and tools."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        events: list[Event] = []
        for codec in CODECS:
            compress_all_topics(environment, codec)
            users = [f"{codec} user {number}" for number in range(N_USERS)]
            sent: list[Event] = [click(user, f"{codec} item", f"click {user}") for user in users]
            sent += [
                Search(event_id=f"search {user}", user_id=user, ts=now_ms(), query=codec) for user in users
            ]
            producer = kafka.KafkaProducer(
                bootstrap_servers=environment.settings.broker, compression_type=codec
            )
            assignment = PolicyAssignment(weights={"fixed": 1.0}, ts=time.time(), author=codec)
            control = KafkaRecord(CONTROL.name, b"assignment", msgspec.json.encode(assignment))
            broken = KafkaRecord(CLICKS.name, users[0].encode(), b"no JSON")
            with closing(producer):
                described = to_record(item(f"{codec} item"))
                send_records(producer, [described, control, broken, *map(to_record, sent)])
            events += sent
            n_items = CODECS.index(codec) + 1
            wait_until_processed(worker, len(events) + n_items)
        rows = environment.rows()
        assert len(rows) == len(CODECS) * N_USERS
        worker.kill()
        # Everything is read again from the topics, whose batches have all codecs.
        shutil.rmtree(environment.data_dir())
        worker = environment.start_worker().wait_until_ready()
        worker.wait_until(
            lambda: worker.metric("headrace_model_items") == len(CODECS), "the items to be learned"
        )
        worker.wait_until(
            lambda: worker.metric("headrace_table_users") == len(rows), "the table to be recovered"
        )
        status, letters = environment.run_command("dead-letters")
        assert status == 0, letters
        assert letters.count("events.click") >= len(CODECS), letters
        status, report = environment.run_command("policies")
        assert status == 0, report
        status, report = environment.run_command("doctor")
        assert "FAIL" not in report, report


@contextmanager
def transaction(environment: IntegrationEnvironment, *, commit: bool = True) -> Iterator[Any]:
    """A transactional producer; its transaction is committed or aborted."""
    producer = kafka.KafkaProducer(
        bootstrap_servers=environment.settings.broker, transactional_id="shop", acks="all"
    )
    with closing(producer):
        producer.init_transactions()
        producer.begin_transaction()
        yield producer
        producer.flush()
        if commit:
            producer.commit_transaction()
        else:
            producer.abort_transaction()


def send_transaction(environment: IntegrationEnvironment, events: list[Event], *, commit: bool) -> None:
    with transaction(environment, commit=commit) as producer:
        for event in events:
            sent = event_record(event)
            producer.send(sent.topic, key=sent.key, value=sent.value)


@pytest.mark.faults
def test_aborted_records_are_never_read_and_control_records_are_passed(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: aborted records are never learned, and the ends of transactions stop nothing."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        users = [f"user {number}" for number in range(N_USERS)]
        # The first records of the logs are followed by aborted ones: Faust found no gap after offset 0.
        plain: list[Event] = [click(user, "a", f"first {user}") for user in users]
        with closing(producer_for(environment.settings.broker)) as producer:
            send_records(producer, [to_record(item("a")), *map(to_record, plain)])
        aborted: list[Event] = [click(user, "aborted", f"aborted {user}") for user in users]
        send_transaction(environment, [item(ABORTED_ITEM), *aborted], commit=False)
        committed: list[Event] = [click(user, "b", f"second {user}") for user in users]
        send_transaction(environment, [item("b"), *committed], commit=True)

        for n_start in range(2):
            worker = environment.start_worker().wait_until_ready()
            if n_start == 0:
                wait_until_processed(worker, 2 * N_USERS + 2)
            worker.wait_until(lambda: worker.metric("headrace_model_items") == 2, "the items to be learned")  # noqa: B023  # called in this iteration
            rows = environment.rows()
            assert {each.item_id for row in rows.values() for each in row.recent} == {"a", "b"}
            # All but the control record at the end of each log is committed.
            n_logs = len(logs(environment))
            worker.wait_until(lambda: environment.uncommitted() <= n_logs, "the events to be committed")  # noqa: B023  # called in this iteration
            assert worker.terminate() == 0
        status, output = environment.run_command("show", "user", users[0])
        assert "aborted" not in output, (status, output)


def logs(environment: IntegrationEnvironment) -> list[Any]:
    """The logs of clicks and items that are not empty."""
    consumer = kafka.KafkaConsumer(bootstrap_servers=environment.settings.broker)
    with closing(consumer):
        tps = [
            kafka.TopicPartition(topic, number)
            for topic in (CLICKS.name, CATALOG_ITEMS.name)
            for number in consumer.partitions_for_topic(topic)
        ]
        return [tp for tp, end in consumer.end_offsets(tps).items() if end]
