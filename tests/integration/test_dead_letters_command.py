"""`headrace dead-letters` against a real broker shows letters and replays originals unchanged."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from stream_app.tools.embedded import EmbeddedServers
from topics import admin
from topics.catalog import CLICKS, DEAD_LETTERS, ERASURES, SEARCHES
from topics.log_keys import letter_key
from topics.records import DeadLetter

pytestmark = pytest.mark.integration

PARTITIONS = 4


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with EmbeddedServers() as servers:
        specs = (CLICKS, SEARCHES, ERASURES, DEAD_LETTERS)
        admin.delete([spec.name for spec in specs], servers.broker_address)
        admin.create(specs, servers.broker_address, partitions=PARTITIONS, replication=1)
        _write_dead_letters(servers.broker_address)
        yield servers.broker_address


LETTERS = [
    *(
        DeadLetter(
            reason="wrong_type" if number % 2 else "unreadable",
            detail="Expected \x1b[2J`str`",
            topic=CLICKS.name,
            partition=number % PARTITIONS,
            offset=number,
            timestamp=1_541_599_523.0 + number,
            key=b"user\xff%d" % number,
            value=b'{"n":%d,"hostile":"\xff\x00\x1b]0;x\x07"}' % number,
        )
        for number in range(40)
    ),
    DeadLetter(
        reason="unreadable",
        detail="the record has no value",
        topic=SEARCHES.name,
        partition=PARTITIONS + 3,  # a partition that no longer exists
        offset=0,
        timestamp=1_541_599_600.0,
        key=b"u1",
        value=None,
    ),
]


def _write_dead_letters(broker: str) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=broker)
    for letter in LETTERS:
        # Each twice, as after a crash.
        key = letter_key(letter.key or b"", letter.topic, letter.partition, letter.offset, letter.timestamp)
        producer.send(DEAD_LETTERS.name, msgspec.json.encode(letter), key=key)
        producer.send(DEAD_LETTERS.name, msgspec.json.encode(letter), key=key)
    producer.send(DEAD_LETTERS.name, b"no dead letter", key=b"no key of a dead letter")
    producer.close()


def erase(broker: str, user: bytes) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=broker)
    producer.send(ERASURES.name, b"{}", key=user)
    producer.close()


def run_dead_letters(broker: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stream_app", "dead-letters", *arguments],
        env={**os.environ, "HEADRACE_BROKER": broker},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def records(broker: str, topic: str) -> set[tuple[int, bytes | None, bytes | None]]:
    """(partition, key, value) of all records of a topic."""
    from kafka import KafkaConsumer, TopicPartition

    consumer: Any = KafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    found: set[tuple[int, bytes | None, bytes | None]] = set()
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for batch in consumer.poll(timeout_ms=500).values():
            found.update((record.partition, record.key, record.value) for record in batch)
    consumer.close()
    return found


def test_dead_letters_are_printed_once_and_escaped(broker: str) -> None:
    printed = run_dead_letters(broker, "--limit", "0")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.isascii()
    assert "\x1b" not in printed.stdout
    assert "41 dead letters, 41 shown" in printed.stdout
    assert "21  unreadable" in printed.stdout
    assert "20  wrong_type" in printed.stdout
    assert "1 records on the topic are not dead letters" in printed.stdout
    assert "2018-11-07T14:05:24.000Z  events.click[1]@1" in printed.stdout


def test_json_output_equals_the_dead_letters(broker: str) -> None:
    printed = run_dead_letters(broker, "--json", "--limit", "0")
    assert [msgspec.convert(json.loads(line), DeadLetter) for line in printed.stdout.splitlines()] == LETTERS


def test_replay_resends_the_original_records(broker: str) -> None:
    unconfirmed = run_dead_letters(broker, "replay")
    assert unconfirmed.returncode == 1
    assert unconfirmed.stderr == (
        "headrace: 40 to events.click, 1 to events.search would be replayed; "
        "give --yes to replay without confirmation.\n"
    )
    assert records(broker, CLICKS.name) == set()

    replayed = run_dead_letters(broker, "replay", "--yes", "--reason", "wrong_type", "--topic", CLICKS.name)
    assert replayed.stdout == "Replayed 20: 20 to events.click.\n", replayed.stderr
    assert records(broker, CLICKS.name) == {
        (letter.partition, letter.key, letter.value) for letter in LETTERS if letter.reason == "wrong_type"
    }

    # A user is erased: their letter, which is older, is not sent.
    erase(broker, b"user\xff0")
    replayed = run_dead_letters(broker, "replay", "--yes", "--reason", "unreadable", "--topic", CLICKS.name)
    assert "Skipping 1 of users who were erased since.\nReplayed 19: 19 to events.click." in replayed.stdout

    # The partition no longer exists: the key determines another.
    replayed = run_dead_letters(broker, "replay", "--yes", "--topic", SEARCHES.name)
    assert replayed.stdout == "Replayed 1: 1 to events.search.\n", replayed.stderr
    assert {(key, value) for _, key, value in records(broker, SEARCHES.name)} == {(b"u1", None)}


@pytest.mark.parametrize("arguments", [(), ("replay", "--yes")])
def test_unavailable_broker_is_one_sentence(arguments: tuple[str, ...]) -> None:
    failure = run_dead_letters("127.0.0.1:1", *arguments)
    assert failure.returncode == 1
    assert failure.stdout == ""
    assert failure.stderr == (
        "headrace: No Kafka broker answers at 127.0.0.1:1. Start one, or set HEADRACE_BROKER.\n"
    )


def test_missing_topic_is_one_sentence(broker: str) -> None:
    admin.delete([DEAD_LETTERS.name], broker)
    failure = run_dead_letters(broker)
    assert failure.returncode == 1
    assert failure.stderr == (
        f"headrace: There is no topic dead-letters at {broker}. `headrace topics create` creates the topics.\n"
    )
