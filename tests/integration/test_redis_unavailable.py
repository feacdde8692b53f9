"""Redis goes away in the middle and comes back empty: learning goes on, and the lists that were due appear."""

import time
from pathlib import Path

from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedRedis, EmbeddedServers
from tests.support.integration_environment import Outgoing, clean_stage
from topics.events import Click

SHOPPERS = 300


def clicks(prefix: str, rounds: int) -> list[Outgoing]:
    now = round(time.time() * 1000)
    events = [
        event_record(
            Click(
                event_id=f"{prefix}-{step}",
                user_id=f"{prefix}-{user}",
                ts=now - 60_000 + step * 1000,
                item_id=f"item-{(user * 3 + step) % 40}",
            )
        )
        for step in range(rounds)
        for user in range(SHOPPERS)
    ]
    return [Outgoing(sent.topic, sent.key, sent.value) for sent in events]


def test_lists_that_were_due_while_redis_was_away_appear_when_it_returns(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    with EmbeddedRedis() as redis, clean_stage(servers, tmp_path, redis=redis.address) as stage:
        worker = stage.start_worker().await_ready()
        pid = worker.pid
        early, due = clicks("early", 2), clicks("due", 5)
        stage.send(early)
        shoppers = [f"early-{n}" for n in range(SHOPPERS)]
        worker.wait_until(lambda: len(stage.lists_of(shoppers)) == SHOPPERS, "lists while all is well")

        redis.kill()
        stage.send(due)
        worker.wait_until(
            lambda: worker.events("accepted") == len(early) + len(due), "events to be taken without Redis"
        )
        worker.wait_until(
            lambda: worker.metric("headrace_dirty_users") >= SHOPPERS, "the shoppers to wait for Redis"
        )
        assert worker.metric("headrace_flush_failures_total") > 0
        assert worker.metric("headrace_interactions_folded_total") == len(early) + len(due)
        worker.wait_until(lambda: stage.uncommitted() == 0, "offsets to be committed without Redis")

        redis.start()
        assert stage.redis.dbsize() == 0
        shoppers = [f"due-{n}" for n in range(SHOPPERS)]
        worker.wait_until(lambda: len(stage.lists_of(shoppers)) == SHOPPERS, "the lists that were due")
        worker.wait_until(lambda: worker.metric("headrace_dirty_users") == 0, "nobody to wait any more")
        lists = stage.lists_of(shoppers)
        assert {found.model_version for found in lists.values()} == {len(early) + len(due)}
        assert all(found.items for found in lists.values())
        assert worker.pid == pid
        assert worker.alive
        # And it goes on.
        stage.send(clicks("later", 1))
        shoppers = [f"later-{n}" for n in range(SHOPPERS)]
        worker.wait_until(lambda: len(stage.lists_of(shoppers)) == SHOPPERS, "lists of those that came later")
        assert worker.terminate() == 0, worker.log
