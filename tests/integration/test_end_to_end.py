"""From a log file to lists in Redis and on the terminal, and through a stop, a new start and an erasure."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stream_app.client.redis_contract import user_key
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import Outgoing, Stage, Worker, clean_stage
from topics.events import Click, Erasure

USERS = [f"shopper-{n}" for n in range(6)]
CLICKS_EACH = 12


@pytest.fixture
def stage(servers: EmbeddedServers, tmp_path: Path) -> Iterator[Stage]:
    with clean_stage(servers, tmp_path) as made:
        yield made


def write_log(target: Path) -> int:
    start = round(time.time() * 1000) - 3_600_000
    rows = [
        {
            "type": "click",
            "event_id": f"{user}-{step}",
            "user_id": user,
            "ts": start + step * 10_000 + n,
            "item_id": f"item-{(n + step) % 9}",
            "channel": "web",
            "context": {"country": "FR"},
        }
        for step in range(CLICKS_EACH)
        for n, user in enumerate(USERS)
    ]
    target.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return len(rows)


def send_click(stage: Stage, user: str, number: int, item: str = "item-1") -> None:
    event = Click(event_id=f"more-{number}", user_id=user, ts=round(time.time() * 1000), item_id=item)
    sent = event_record(event)
    stage.send([Outgoing(sent.topic, sent.key, sent.value)])


def clicks_behind(stage: Stage, worker: Worker, wanted: int) -> None:
    worker.wait_until(
        lambda: worker.events("accepted") >= wanted and stage.uncommitted() == 0,
        f"{wanted} events to be taken",
    )


def test_a_log_file_becomes_lists_that_survive_a_stop_and_end_with_an_erasure(  # noqa: PLR0915  # one story
    stage: Stage, tmp_path: Path
) -> None:
    worker = stage.start_worker().await_ready()
    log = tmp_path / "log.jsonl"
    events = write_log(log)

    status, said = stage.headrace("replay", str(log))
    assert status == 0, said
    assert f"{events} records of {len(USERS)} shoppers sent and acknowledged" in said
    worker.wait_until(lambda: len(stage.lists_of(USERS)) == len(USERS), "a list for every shopper")
    clicks_behind(stage, worker, events)
    worker.wait_until(
        lambda: (
            worker.metric("headrace_table_users") == len(USERS)
            and worker.metric("headrace_model_bytes", model="popularity") > 0
        ),
        "the gauges, which follow once a second",
    )
    lists = worker.metric("headrace_lists_published_total", kind="user")
    assert worker.metric("headrace_ranking_seconds_count") >= lists >= len(USERS)
    assert worker.metric("headrace_ranking_seconds_sum") > 0
    assert worker.metric("headrace_flush_seconds_count") > 0
    assert worker.metric("headrace_flush_seconds_sum") > 0
    assert worker.metric("headrace_replica_lag_seconds") == 0

    status, said = stage.headrace("show", "user", USERS[0])
    assert status == 0, said
    assert user_key(USERS[0]) in said
    assert "item-" in said
    assert "because you viewed item-" in said
    worker.wait_until(
        lambda: all(
            stage.headrace(*shown)[0] == 0 for shown in (("show", "popular"), ("show", "item", "item-1"))
        ),
        "lists of an item and of what is popular",
    )
    status, said = stage.headrace("show", "popular", "country:FR")
    assert status == 0, said
    assert "popular in country FR" in said
    status, said = stage.headrace("show", "user", "nobody")
    assert status != 0
    assert "Redis holds no list at recs:user:{nobody}" in said
    assert "Traceback" not in said

    # A clean stop.
    asked = time.monotonic()
    status = worker.terminate()
    assert status == 0, worker.log
    assert time.monotonic() - asked < 15
    snapshots = sorted(stage.data_dir().glob("models/*.snapshot"))
    assert snapshots, "a worker that stops leaves a snapshot"
    before = stage.lists_of(USERS)

    # A new start: from the snapshot, not from the log; what Redis lost is there again.
    stage.redis.flushdb()
    worker = stage.start_worker().await_ready()
    worker.wait_until(lambda: len(stage.lists_of(USERS)) == len(USERS), "the lists to be published again")
    assert worker.metric("headrace_interactions_folded_total") == 0
    assert worker.events("accepted") == worker.events("replayed") == 0
    after = stage.lists_of(USERS)
    # The others were ranked before the models had learned the end of the log.
    final = max(found.model_version for found in before.values())
    unchanged = {user for user, found in before.items() if found.model_version == final}
    assert unchanged
    assert {user: after[user].items for user in unchanged} == {user: before[user].items for user in unchanged}
    assert {found.model_version for found in after.values()} == {final}

    # An erasure.
    gone, *others = USERS
    sent = event_record(Erasure(event_id="forget-me", user_id=gone, ts=round(time.time() * 1000)))
    stage.send([Outgoing(sent.topic, sent.key, sent.value)])
    worker.wait_until(lambda: not stage.redis.exists(user_key(gone)), "the erased list to vanish")
    for number, user in enumerate(others):
        send_click(stage, user, number)
    clicks_behind(stage, worker, 1 + len(others))
    worker.wait_until(
        lambda: (
            all(f.model_version == events + 1 + len(others) for f in stage.lists_of([others[-1]]).values())
            and worker.metric("headrace_dirty_users") == 0
        ),
        "the others' lists to go on",
    )
    assert not stage.redis.exists(user_key(gone))
    assert stage.rows()[gone].counts.total == 0
    assert not stage.rows()[gone].recent

    assert worker.terminate() == 0, worker.log
    # As if the worker had ended between the erasure and its word to Redis.
    stage.redis.set(user_key(gone), b"{}")
    worker = stage.start_worker().await_ready()
    worker.wait_until(lambda: not stage.redis.exists(user_key(gone)), "the erased list to vanish for good")
    worker.wait_until(
        lambda: worker.metric("headrace_lists_published_total", kind="user") >= len(others), "the next start"
    )
    assert not stage.redis.exists(user_key(gone)), "an erased shopper's list came back with a new start"
    assert stage.lists_of(USERS).keys() == set(others)
