"""Events with a wrong key reach the row of their user; duplicates count once, also across a restart."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aiokafka.partitioner import murmur2

from state.positions import is_positions
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import PARTITIONS, IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, to_record
from tests.support.run_outcome import deduplicate
from tests.support.worker_handle import WorkerHandle
from topics.catalog import INTERACTIONS, USER_EVENTS, changelog
from topics.events import Click, OrderLine, Purchase, Search
from topics.log_keys import user_of

ShopEvent = Click | Purchase | Search

N_USERS = 40
EVENTS_PER_USER = 9


def events() -> list[ShopEvent]:
    """Events of several types; event ids are unique per user only."""
    now = round(time.time() * 1000) - 600_000
    generated_events: list[ShopEvent] = []
    for step in range(EVENTS_PER_USER):
        for number in range(N_USERS):
            common = {
                "event_id": f"event-{step}",
                "user_id": f"user-{number}",
                "ts": now + step * 1000 + number,
            }
            item = f"item-{(number + step) % 30}"
            if step % 3 == 0:
                generated_events.append(Search(query="words", **common))  # type: ignore[arg-type]  # a dict of two types
            elif step % 3 == 1:
                line = OrderLine(item_id=item)
                generated_events.append(Purchase(order_id="o", items=[line], **common))  # type: ignore[arg-type]
            else:
                generated_events.append(Click(item_id=item, **common))  # type: ignore[arg-type]
    return generated_events


def with_wrong_key(event: ShopEvent, index: int) -> KafkaRecord:
    """The event with a wrong key, on an arbitrary partition."""
    sent = event_record(event)
    key = (None, b"user-0-of-another-shop", b"\xff\xfe", b"", b"user-1 ")[index % 5]
    return KafkaRecord(sent.topic, key, sent.value, index % PARTITIONS)


def partition_of(user: str) -> int:
    return int(murmur2(user.encode()) & 0x7FFFFFFF) % PARTITIONS


def wait_for_outcomes(environment: IntegrationEnvironment, worker: WorkerHandle, **expected: int) -> None:
    worker.wait_until(
        lambda: (
            all(worker.events(outcome) >= count for outcome, count in expected.items())
            and environment.uncommitted() == 0
        ),
        f"outcomes {expected}",
    )
    for outcome, count in expected.items():
        assert worker.events(outcome) == count, outcome


def changelog_of(environment: IntegrationEnvironment) -> Sequence[object]:
    """The records of rows; positions are stored with each commit."""
    records = environment.read(changelog(environment.settings.app_id).name)
    return [each for each in records if each.key is None or not is_positions(each.key)]


def log_of(environment: IntegrationEnvironment) -> Sequence[bytes]:
    return [raw for _, raw in environment.interactions()]


def assert_each_user_is_in_one_partition(
    environment: IntegrationEnvironment, shop_events: Sequence[ShopEvent]
) -> None:
    expected_placements = {
        (user.encode(), partition_of(user)) for user in {event.user_id for event in shop_events}
    }
    for topic in (INTERACTIONS.name, changelog(environment.settings.app_id).name):
        found = {
            (user_of(key), record.partition)
            for record in environment.read(topic)
            if (key := record.key) is not None and not is_positions(key)
        }
        assert found == expected_placements, f"{topic}: only the partition of the user id"


def test_misrouted_and_duplicate_events_count_once_across_a_restart(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    shop_events = events()
    with clean_environment(servers, tmp_path) as environment:
        worker = environment.start_worker().wait_until_ready()
        # Two of three have a wrong key.
        records = [
            with_wrong_key(event, n) if n % 3 else to_record(event) for n, event in enumerate(shop_events)
        ]
        n_wrong_keys = sum(
            record.key != event.user_id.encode() for record, event in zip(records, shop_events, strict=True)
        )
        environment.send(records)
        wait_for_outcomes(
            environment, worker, accepted=len(shop_events), rekeyed=n_wrong_keys, dead_lettered=0, duplicate=0
        )

        interactions = environment.interactions()
        assert len(deduplicate(interactions)) == len(interactions) == len(shop_events)
        assert Counter((i.user_id, i.ts) for i, _ in interactions) == Counter(
            (e.user_id, e.time) for e in shop_events
        )
        assert_each_user_is_in_one_partition(environment, shop_events)
        rows, log, changelog_records = environment.rows(), log_of(environment), changelog_of(environment)
        assert {user: row.counts.total for user, row in rows.items()} == Counter(
            e.user_id for e in shop_events
        )

        # All of them again, and some once more with a wrong key.
        environment.send(map(to_record, shop_events))
        rekeyed_again = [with_wrong_key(event, n) for n, event in enumerate(shop_events) if n % 4 == 0]
        environment.send(rekeyed_again)
        wait_for_outcomes(
            environment,
            worker,
            accepted=len(shop_events),
            duplicate=len(shop_events) + len(rekeyed_again),
            rekeyed=n_wrong_keys + len(rekeyed_again),
            replayed=0,
        )
        for spec in USER_EVENTS:
            counted = worker.metric("headrace_duplicates_total", topic=spec.name)
            assert counted == worker.metric("headrace_events_total", topic=spec.name, outcome="duplicate")
        assert log_of(environment) == log
        assert changelog_of(environment) == changelog_records
        worker.wait_until(
            lambda: worker.metric("headrace_interactions_folded_total") == len(shop_events),
            "the models to learn each event once",
        )
        assert worker.terminate() == 0, worker.log

        worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, shop_events))
        wait_for_outcomes(environment, worker, accepted=0, duplicate=len(shop_events), replayed=0)
        assert worker.metric("headrace_interactions_folded_total") == 0
        assert log_of(environment) == log
        assert changelog_of(environment) == changelog_records
        assert environment.rows() == rows
        assert worker.terminate() == 0, worker.log
