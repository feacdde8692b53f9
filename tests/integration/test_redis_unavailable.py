"""Redis stops and returns empty: learning continues, and the pending lists are published."""

import time
from pathlib import Path

from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedRedis, EmbeddedServers
from tests.support.integration_environment import clean_environment
from tests.support.kafka_records import KafkaRecord
from topics.events import Click

N_USERS = 300


def clicks(prefix: str, rounds: int) -> list[KafkaRecord]:
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
        for user in range(N_USERS)
    ]
    return [KafkaRecord(sent.topic, sent.key, sent.value) for sent in events]


def test_pending_lists_are_published_when_redis_returns(servers: EmbeddedServers, tmp_path: Path) -> None:
    with EmbeddedRedis() as redis, clean_environment(servers, tmp_path, redis=redis.address) as environment:
        worker = environment.start_worker().wait_until_ready()
        pid = worker.pid
        before_outage, during_outage = clicks("early", 2), clicks("due", 5)
        environment.send(before_outage)
        user_ids = [f"early-{n}" for n in range(N_USERS)]
        worker.wait_until(lambda: len(environment.user_lists(user_ids)) == N_USERS, "lists before the outage")
        environment.redis.set("before-outage", b"1")

        redis.kill()
        environment.send(during_outage)
        worker.wait_until(
            lambda: worker.events("accepted") == len(before_outage) + len(during_outage),
            "events to be handled without Redis",
        )
        worker.wait_until(
            lambda: (
                worker.metric("headrace_pending_users") >= N_USERS
                and worker.metric("headrace_flush_failures_total") > 0
                and worker.metric("headrace_interactions_folded_total")
                == len(before_outage) + len(during_outage)
            ),
            "users to be pending after a failed flush, with models that have learned all events",
        )
        worker.wait_until(lambda: environment.uncommitted() == 0, "offsets to be committed without Redis")

        redis.start()
        # It was empty; the worker may have published lists by now.
        assert not environment.redis.exists("before-outage")
        user_ids = [f"due-{n}" for n in range(N_USERS)]
        worker.wait_until(lambda: len(environment.user_lists(user_ids)) == N_USERS, "the pending lists")
        worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no user to be pending")
        lists = environment.user_lists(user_ids)
        assert {found.model_version for found in lists.values()} == {len(before_outage) + len(during_outage)}
        assert all(found.items for found in lists.values())
        assert worker.pid == pid
        assert worker.alive
        # And publishing continues.
        environment.send(clicks("later", 1))
        user_ids = [f"later-{n}" for n in range(N_USERS)]
        worker.wait_until(lambda: len(environment.user_lists(user_ids)) == N_USERS, "lists of later users")
        assert worker.terminate() == 0, worker.log
