"""A worker that is stopped past its session, and continued, changes nothing that the new owner wrote."""

import time
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from stream_app.client.redis_contract import search_key, user_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.generated_log import generate_log
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, to_record
from tests.support.log_feeder import LogFeeder
from tests.support.worker_handle import WorkerHandle
from topics.events import Erasure, Event, OrderLine, Purchase

SETTINGS: Final = {"models": '["popularity","item_to_item"]', "fusion": "rrf"}
N_EVENTS: Final = 6_000
RATE: Final = 2_000.0


def erasures_and_purchases(users: list[str]) -> tuple[list[KafkaRecord], set[str], set[str]]:
    """Erasures of some users, and purchases of others, after everything that they did before."""
    numbers, now = count(), int(time.time() * 1000)
    erased, buyers = set(users[:40]), set(users[40:120])

    def sent(event_type: type[Event], user_id: str, **fields: Any) -> KafkaRecord:
        return to_record(event_type(event_id=f"f{next(numbers)}", user_id=user_id, ts=now, **fields))  # type: ignore[call-arg]  # of each type

    lines = [OrderLine(item_id="item 1", price=10.0, quantity=1)]
    records = [sent(Erasure, user_id) for user_id in sorted(erased)]
    records += [sent(Purchase, user_id, order_id=f"o{user_id}", items=lines) for user_id in sorted(buyers)]
    return records, erased, buyers


def start_two_workers(environment: IntegrationEnvironment) -> tuple[WorkerHandle, WorkerHandle]:
    first = environment.start_worker(1).wait_until_ready()
    second = environment.start_worker(2)
    for worker in (second, first):
        worker.wait_until_ready()
    return first, second


def keys_of_erased(environment: IntegrationEnvironment, erased: set[str]) -> list[str]:
    return [
        key
        for user_id in sorted(erased)
        for key in (user_key(user_id), search_key(user_id))
        if environment.read_list(key) is not None
    ]


@pytest.mark.faults
def test_a_stopped_and_continued_worker_changes_nothing_of_the_new_owner(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = generate_log(N_EVENTS)
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        stopped, other = start_two_workers(environment)
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.5) as feed:
            stopped.wait_until(lambda: stopped.events("accepted") > 200, "the worker to have events")
            stopped.suspend()
            feed.advance_to(1.0)
            records, erased, buyers = erasures_and_purchases(sorted(log.users))
            other.wait_until(
                lambda: environment.uncommitted() == 0, "the other worker to take over", seconds=240
            )
        environment.send(records)
        other.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        other.wait_until(lambda: other.metric("headrace_pending_users") == 0, "no pending user")
        other.wait_until(
            lambda: environment.rows().keys() == log.users - erased, "no row of an erased user", seconds=120
        )
        rows, lists = environment.rows(), environment.user_lists(log.users)
        assert log.users - rows.keys() == erased
        assert all("item 1" in rows[user_id].bought for user_id in buyers)
        assert not keys_of_erased(environment, erased)

        rebalances = other.metric("headrace_rebalances_total")
        stopped.resume()
        # It restarts if Kafka refused one of its records, and joins the group again in any case.
        other.wait_until(
            lambda: other.metric("headrace_rebalances_total") > rebalances,
            "the worker to join again",
            seconds=240,
        )
        for worker in (stopped, other):
            worker.wait_until(
                lambda worker=worker: (  # type: ignore[misc]  # bound now
                    worker.metric("headrace_ready") == 1 and worker.metric("headrace_pending_users") == 0
                ),
                "both workers to be ready and idle",
                seconds=240,
            )
        assert environment.rows() == rows
        assert not keys_of_erased(environment, erased)
        after = environment.user_lists(log.users)
        assert after.keys() == lists.keys()
        older = {
            user_id: (each.model_version, lists[user_id].model_version)
            for user_id, each in after.items()
            if each.model_version < lists[user_id].model_version
        }
        assert not older
