"""A worker that is stopped past its session, and continued, changes nothing that the new owner wrote."""

from functools import partial
from pathlib import Path
from typing import Final

import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE, SETTINGS, reference_outcome
from tests.support.erased_users import keys_of_erased
from tests.support.generated_log import generate_log
from tests.support.integration_environment import clean_environment
from tests.support.kafka_records import KafkaRecord, sent
from tests.support.log_feeder import LogFeeder
from tests.support.newest_records import assert_log_and_redis_agree, newest_by_key
from tests.support.reacting_users import REACTING, with_reactions
from tests.support.run_outcome import assert_same_outcome, read_outcome, wait_until_settled
from tests.support.stops import start_two_workers, stop_and_continue, terminate_and_wait
from topics.catalog import INTERACTIONS, LISTS, REWARDS
from topics.events import Erasure, OrderLine, Purchase
from topics.log_keys import user_of

N_EVENTS: Final = 6_000
RATE: Final = 2_000.0
N_STOPS: Final = 20


def erasures_and_purchases(users: list[str]) -> tuple[list[KafkaRecord], set[str], set[str]]:
    """Erasures of some users, and purchases of others, after everything that they did before."""
    erased, buyers = set(users[:40]), set(users[40:120])
    lines = [OrderLine(item_id="item 1", price=10.0, quantity=1)]
    records = [sent(Erasure, user_id) for user_id in sorted(erased)]
    records += [sent(Purchase, user_id, order_id=f"o{user_id}", items=lines) for user_id in sorted(buyers)]
    return records, erased, buyers


@pytest.mark.faults
def test_a_stopped_and_continued_worker_changes_nothing_of_the_new_owner(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: a worker that lost its partitions changes no row and no list, and brings no erased user back."""
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
        logs = {each.name: newest_by_key(environment, each.name) for each in (INTERACTIONS, REWARDS, LISTS)}
        assert all(logs.values())

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
        for topic, values in logs.items():
            found = newest_by_key(environment, topic)
            changed = [key for key, value in values.items() if found[key] != value]
            assert not changed, f"{topic}: {changed[:5]} of {len(changed)} changed records"
            new = found.keys() - values.keys()
            if topic == LISTS.name:
                # Those that the owners published again after the worker had joined.
                new = {key for key in new if user_of(key).decode() in erased}
            assert not new, f"{topic}: {sorted(new)[:5]} of {len(new)} new records"
        assert_log_and_redis_agree(environment, log.users - erased, erased)


@pytest.mark.faults
def test_twenty_stops_and_continuations_have_the_outcome_of_the_reference_run(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: after twenty take-overs no row is lost or goes back, and no erased user has a list again."""
    log = generate_log(N_EVENTS)
    expected = reference_outcome(servers, tmp_path / "reference", log, reactions=True)
    with clean_environment(servers, tmp_path / "stopped", models=ADDITIVE, **REACTING) as environment:
        workers = start_two_workers(environment)
        log = with_reactions(environment, log, *workers)
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.04) as feed:
            # Events arrive before, during and after each stop.
            n_refused = sum(
                stop_and_continue(
                    workers[stop % 2],
                    workers[1 - stop % 2],
                    partial(feed.advance_to, (stop + 2) / (N_STOPS + 2)),
                )
                for stop in range(N_STOPS)
            )
        assert n_refused, "no worker tried to write after it had lost its partitions: nothing was tested"
        last, other = workers
        last.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        terminate_and_wait(other, last)
        wait_until_settled(environment, last, log, seconds=400)
        assert_same_outcome(read_outcome(environment, log, models_of=1), expected)
        assert_log_and_redis_agree(environment, log.users, log.erased)
