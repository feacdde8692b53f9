"""Thousands of invalid records among as many valid events: these are accepted, those are dead-lettered."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import pytest
from kafka import KafkaProducer

from state.row import UserRow
from stream_app.client.redis_contract import user_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.hostile_records import LabeledRecord, generate_records
from tests.support.integration_environment import IntegrationEnvironment, clean_environment, send_click
from tests.support.worker_handle import WorkerHandle
from topics.catalog import (
    CLICKS,
    DEAD_LETTERS,
    ERASURES,
    IMPRESSIONS,
    USER_EVENTS,
)
from topics.records import DeadLetter

HUGE_RECORD_BYTES = 5_000_000

_decode_dead_letter: Final = msgspec.json.Decoder(DeadLetter)


def dead_letters(environment: IntegrationEnvironment) -> Iterator[DeadLetter]:
    for record in environment.read(DEAD_LETTERS.name):
        assert record.value is not None
        yield _decode_dead_letter.decode(record.value)


SentRecord = tuple[LabeledRecord, tuple[int, int]]
"""A record with its partition and offset."""


@pytest.mark.parametrize("n", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_valid_events_are_accepted_and_invalid_records_become_dead_letters(
    servers: EmbeddedServers, tmp_path: Path, n: int
) -> None:
    records = generate_records(seed=20_260, n_valid=n, n_invalid=n)
    with clean_environment(servers, tmp_path) as environment:
        worker = environment.start_worker().wait_until_ready()
        pid = worker.pid
        record_ids = environment.send([each.record for each in records])
        sent = list(zip(records, record_ids, strict=True))
        worker.wait_until(
            lambda: worker.events("accepted") + worker.events("dead_lettered") >= len(sent),
            "every record to have an outcome",
        )
        worker.wait_until(lambda: environment.uncommitted() == 0, "every record to be committed")
        assert worker.events("accepted") == n
        assert worker.events("dead_lettered") == n
        assert worker.events("duplicate") == worker.events("rekeyed") == worker.events("replayed") == 0
        rows = check_valid_events(environment, [each for each in sent if each[0].reason is None])
        check_invalid_records(environment, worker, [each for each in sent if each[0].reason is not None])

        # The same worker continues.
        assert worker.pid == pid
        assert worker.alive
        send_click(environment, "later-user", "item-1")
        worker.wait_until(
            lambda: environment.redis.exists(user_key("later-user")),
            "a list for an event after the invalid records",
        )
        users_with_items = {user for user, row in rows.items() if row.recent}
        worker.wait_until(
            lambda: environment.user_lists(users_with_items).keys() == users_with_items,
            "a list for every user with items",
        )
        assert worker.terminate() == 0, worker.log


def check_valid_events(environment: IntegrationEnvironment, valid: list[SentRecord]) -> dict[str, UserRow]:
    """Each valid event has one interaction and counts in the row of its user; returns these rows."""
    sources = {spec.name: spec.source for spec in USER_EVENTS}
    expected = sorted(
        (int(sources[each.record.topic] or 0), *record_id)
        for each, record_id in valid
        if each.user is not None and each.record.topic != IMPRESSIONS.name
    )
    actual = sorted((int(i.source), i.partition, i.offset) for i, _ in environment.interactions())
    assert actual == expected, "one interaction for each valid event except impressions"
    users = Counter(
        each.user for each, _ in valid if each.user is not None and each.record.topic != ERASURES.name
    )
    rows = environment.rows()
    assert {user: row.counts.total for user, row in rows.items() if row.counts.total} == users
    return {user: rows[user] for user in users}


def check_invalid_records(
    environment: IntegrationEnvironment, worker: WorkerHandle, invalid: list[SentRecord]
) -> None:
    """Each invalid record is a dead letter with unchanged key and value, and the right reason."""
    letters = list(dead_letters(environment))
    assert len(letters) == len(invalid)
    assert {
        (letter.topic, letter.partition, letter.offset): (letter.key, letter.value) for letter in letters
    } == {
        (each.record.topic, *record_id): (each.record.key, each.record.value) for each, record_id in invalid
    }
    reasons = {(letter.topic, letter.partition, letter.offset): letter for letter in letters}
    mismatched_reasons = [
        (each.reason, (each.record.value or b"")[:200], letter.reason, letter.detail)
        for each, record_id in invalid
        if (letter := reasons[each.record.topic, *record_id]).reason != each.reason
    ]
    assert not mismatched_reasons, f"{len(mismatched_reasons)} have another reason: {mismatched_reasons[:5]}"
    counted = Counter(letter.reason for letter in letters)
    assert {r: worker.metric("headrace_dead_letters_total", reason=r) for r in counted} == counted
    assert all(letter.detail for letter in letters)


def test_an_oversized_compressed_record_becomes_a_truncated_dead_letter(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    huge_value = b'{"event_id":"e","unknown":"' + b"x" * HUGE_RECORD_BYTES + b'"}'
    with clean_environment(servers, tmp_path) as environment:
        worker = environment.start_worker().wait_until_ready()
        with closing(
            KafkaProducer(
                bootstrap_servers=environment.settings.broker,
                compression_type="gzip",
                max_request_size=2 * HUGE_RECORD_BYTES,
            )
        ) as producer:
            record_metadata = producer.send(CLICKS.name, key=b"user", value=huge_value).get(timeout=120)
        worker.wait_until(lambda: worker.events("dead_lettered") == 1, "the record to be dead-lettered")
        worker.wait_until(lambda: environment.uncommitted() == 0, "the record to be committed")

        (letter,) = dead_letters(environment)
        assert (letter.topic, letter.partition, letter.offset) == (
            CLICKS.name,
            record_metadata.partition,
            record_metadata.offset,
        )
        assert letter.value is not None
        assert huge_value.startswith(letter.value)
        assert str(len(huge_value)) in letter.detail, "the original size"
        send_click(environment, "later-user", "item-1")
        worker.wait_until(
            lambda: environment.redis.exists(user_key("later-user")),
            "a list for an event after the invalid records",
        )
        assert worker.terminate() == 0, worker.log
