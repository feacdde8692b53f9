"""Events with the wrong key find their shopper's row; an event sent twice counts once, also across a restart."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aiokafka.partitioner import murmur2

from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import (
    PARTITIONS,
    Outgoing,
    Stage,
    Worker,
    clean_stage,
    without_repeats,
)
from topics.catalog import INTERACTIONS, USER_EVENTS, changelog
from topics.events import Click, OrderLine, Purchase, Search

ShopEvent = Click | Purchase | Search

SHOPPERS = 40
EACH = 9


def events() -> list[ShopEvent]:
    """Some of each kind; event ids are a shopper's own: others have the same."""
    now = round(time.time() * 1000) - 600_000
    made: list[ShopEvent] = []
    for step in range(EACH):
        for number in range(SHOPPERS):
            common = {
                "event_id": f"event-{step}",
                "user_id": f"shopper-{number}",
                "ts": now + step * 1000 + number,
            }
            item = f"item-{(number + step) % 30}"
            if step % 3 == 0:
                made.append(Search(query="words", **common))  # type: ignore[arg-type]  # a dict of two types
            elif step % 3 == 1:
                line = OrderLine(item_id=item)
                made.append(Purchase(order_id="o", items=[line], **common))  # type: ignore[arg-type]
            else:
                made.append(Click(item_id=item, **common))  # type: ignore[arg-type]
    return made


def misplaced(event: ShopEvent, place: int) -> Outgoing:
    """The event under a key that is not its shopper's, on a partition that need not be."""
    sent = event_record(event)
    key = (None, b"shopper-0-of-another-shop", b"\xff\xfe", b"", b"shopper-1 ")[place % 5]
    return Outgoing(sent.topic, key, sent.value, place % PARTITIONS)


def well_placed(event: ShopEvent) -> Outgoing:
    sent = event_record(event)
    return Outgoing(sent.topic, sent.key, sent.value)


def partition_of(user: str) -> int:
    return int(murmur2(user.encode()) & 0x7FFFFFFF) % PARTITIONS


def await_outcomes(stage: Stage, worker: Worker, **wanted: int) -> None:
    worker.wait_until(
        lambda: (
            all(worker.events(outcome) >= count for outcome, count in wanted.items())
            and stage.uncommitted() == 0
        ),
        f"outcomes {wanted}",
    )
    for outcome, count in wanted.items():
        assert worker.events(outcome) == count, outcome


def changelog_of(stage: Stage) -> Sequence[object]:
    return stage.read(changelog(stage.settings.app_id).name)


def log_of(stage: Stage) -> Sequence[bytes]:
    return [raw for _, raw in stage.interactions()]


def assert_each_shopper_is_in_one_place(stage: Stage, shop: Sequence[ShopEvent]) -> None:
    places = {(user.encode(), partition_of(user)) for user in {event.user_id for event in shop}}
    for topic in (INTERACTIONS.name, changelog(stage.settings.app_id).name):
        found = {(record.key, record.partition) for record in stage.read(topic)}
        assert found == places, f"{topic}: the partition of the shopper's id, and no other"


def test_an_event_under_a_wrong_key_or_sent_twice_counts_once_even_across_a_restart(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    shop = events()
    with clean_stage(servers, tmp_path) as stage:
        worker = stage.start_worker().await_ready()
        # Two in three stand wrong.
        records = [misplaced(event, n) if n % 3 else well_placed(event) for n, event in enumerate(shop)]
        wrong = sum(record.key != event.user_id.encode() for record, event in zip(records, shop, strict=True))
        stage.send(records)
        await_outcomes(stage, worker, accepted=len(shop), rekeyed=wrong, dead_lettered=0, duplicate=0)

        interactions = stage.interactions()
        assert len(without_repeats(interactions)) == len(interactions) == len(shop)
        assert Counter((i.user_id, i.ts) for i, _ in interactions) == Counter(
            (e.user_id, e.time) for e in shop
        )
        assert_each_shopper_is_in_one_place(stage, shop)
        rows, log, written = stage.rows(), log_of(stage), changelog_of(stage)
        assert {user: row.counts.total for user, row in rows.items()} == Counter(e.user_id for e in shop)

        # All of them again, and some of them under a wrong key again.
        stage.send(map(well_placed, shop))
        again = [misplaced(event, n) for n, event in enumerate(shop) if n % 4 == 0]
        stage.send(again)
        await_outcomes(
            stage,
            worker,
            accepted=len(shop),
            duplicate=len(shop) + len(again),
            rekeyed=wrong + len(again),
            replayed=0,
        )
        for spec in USER_EVENTS:
            counted = worker.metric("headrace_duplicates_total", topic=spec.name)
            assert counted == worker.metric("headrace_events_total", topic=spec.name, outcome="duplicate")
        assert log_of(stage) == log
        assert changelog_of(stage) == written
        assert worker.metric("headrace_interactions_folded_total") == len(shop)
        assert worker.terminate() == 0, worker.log

        worker = stage.start_worker().await_ready()
        stage.send(map(well_placed, shop))
        await_outcomes(stage, worker, accepted=0, duplicate=len(shop), replayed=0)
        assert worker.metric("headrace_interactions_folded_total") == 0
        assert log_of(stage) == log
        assert changelog_of(stage) == written
        assert stage.rows() == rows
        assert worker.terminate() == 0, worker.log
