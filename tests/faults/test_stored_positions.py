"""Promise: what the rows know of the topics holds, whatever Kafka has forgotten."""

import time
from pathlib import Path

import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import SETTINGS
from tests.support.integration_environment import PARTITIONS, clean_environment
from tests.support.kafka_records import to_record
from tests.support.shop_topics import (
    USERS,
    alter_committed,
    clicks,
    counts,
    delete_group,
    misplaced,
    offsets_after,
    remove_records,
    skipped,
    wait_for,
)
from topics import admin
from topics.catalog import CLICKS, CONTROL, ERASURES, USER_EVENTS, TopicSpec, catalog
from topics.events import Erasure


@pytest.mark.faults
def test_events_that_are_forwarded_again_after_a_kill_count_once(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: an event in another partition counts once, though its worker is killed before it commits."""
    n_rounds = 150  # far more events of a user than the row remembers by their ids
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        environment.send(map(misplaced, clicks("other", rounds=n_rounds)))
        n_sent = n_rounds * len(USERS)
        worker.wait_until(lambda: worker.events("accepted") >= n_sent / 2, "half of the events", seconds=240)
        worker.kill()
        worker = environment.start_worker().wait_until_ready()
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed", seconds=240)
        assert counts(environment) == dict.fromkeys(USERS, n_rounds)
        assert worker.terminate() == 0
        # A kill just before the commit leaves Kafka with this, whatever the rows have.
        alter_committed(environment, 0)
        worker = environment.start_worker().wait_until_ready()
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed", seconds=240)
        assert worker.events("misplaced") == n_sent
        assert worker.events("accepted") == 0
        assert counts(environment) == dict.fromkeys(USERS, n_rounds)


@pytest.mark.faults
@pytest.mark.parametrize("lost", [(CONTROL,), (*USER_EVENTS, CONTROL)], ids=["control", "all"])
def test_topics_made_anew_are_recognized_without_the_record_of_control(
    servers: EmbeddedServers, tmp_path: Path, lost: tuple[TopicSpec, ...]
) -> None:
    """Promise: events are counted though topics of events and `control` are deleted and created anew."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        broker, app_id = environment.settings.broker, environment.settings.app_id

        def make_anew(*specs: TopicSpec) -> None:
            admin.delete([spec.name for spec in specs], broker)
            admin.create(catalog(app_id), broker, partitions=PARTITIONS, replication=1)

        if CLICKS not in lost:
            # The offsets count from a base, which is lost.
            assert environment.start_worker().wait_until_ready().terminate() == 0
            make_anew(*USER_EVENTS)
        worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, clicks("before", rounds=6)))
        wait_for(worker, 6 * len(USERS))
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        assert worker.terminate() == 0
        make_anew(*lost)
        status, report = environment.run_command("doctor")
        assert ("created anew" in report) is (CLICKS in lost), (status, report)
        worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, clicks("after")))
        wait_for(worker, 3 * len(USERS))
        assert worker.events("replayed") == 0
        assert counts(environment) == dict.fromkeys(USERS, 9)


@pytest.mark.faults
def test_topics_made_anew_under_two_workers_lose_no_event(servers: EmbeddedServers, tmp_path: Path) -> None:
    """Promise: events are counted though their topics are deleted and created anew while workers run."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        broker = environment.settings.broker
        workers = [environment.start_worker(number).wait_until_ready() for number in (1, 2)]
        environment.send(map(to_record, clicks("before", rounds=6)))
        workers[0].wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        environment.disconnect()
        admin.delete([spec.name for spec in USER_EVENTS], broker)
        admin.create(catalog(environment.settings.app_id), broker, partitions=PARTITIONS, replication=1)
        # Before the workers have noticed.
        environment.send(map(to_record, clicks("after")))
        for worker in workers:
            worker.wait_until(
                lambda worker=worker: worker.has_logged("created anew; restarting"),  # type: ignore[misc]  # bound now
                "the restart",
                seconds=240,
            )
            worker.wait_until_ready()
        workers[0].wait_until(
            lambda: environment.uncommitted() == 0, "the events to be committed", seconds=240
        )
        assert counts(environment) == dict.fromkeys(USERS, 9)


@pytest.mark.faults
@pytest.mark.parametrize("rounds", [20, 3], ids=["longer", "shorter"])
def test_a_topic_made_anew_while_a_worker_was_stopped_is_read_from_its_start(
    servers: EmbeddedServers, tmp_path: Path, rounds: int
) -> None:
    """Promise: no event is lost though a worker reads on in a topic made anew, and commits, before it notices."""
    with clean_environment(servers, tmp_path, session_timeout=45.0, **SETTINGS) as environment:
        broker = environment.settings.broker
        worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, clicks("before", rounds=6)))
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        environment.disconnect()
        worker.suspend()
        try:
            admin.delete([spec.name for spec in USER_EVENTS], broker)
            admin.create(catalog(environment.settings.app_id), broker, partitions=PARTITIONS, replication=1)
            # Only in a topic that ends before its positions a request of it is refused.
            environment.send(map(to_record, clicks("after", rounds=rounds)))
        finally:
            worker.resume()
        worker.wait_until(lambda: worker.has_logged("created anew; restarting"), "the restart", seconds=240)
        worker.wait_until_ready()
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed", seconds=240)
        assert counts(environment) == dict.fromkeys(USERS, 6 + rounds)


@pytest.mark.faults
def test_events_between_the_rows_and_the_committed_offset_are_read(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: no event is missing from the rows, though the changelog lost the records of a commit."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, clicks("before", rounds=2)))
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        assert worker.terminate() == 0
        sent = environment.send(map(to_record, clicks("committed", rounds=2)))
        alter_committed(environment, offsets_after(CLICKS, sent))
        worker = environment.start_worker().wait_until_ready()
        wait_for(worker, 2 * len(USERS))
        assert counts(environment) == dict.fromkeys(USERS, 4)


@pytest.mark.faults
@pytest.mark.parametrize("cut", [False, True], ids=["kept", "cut"])
def test_offsets_that_kafka_has_forgotten_are_known_from_the_rows(
    servers: EmbeddedServers, tmp_path: Path, *, cut: bool
) -> None:
    """Promise: records removed after Kafka forgot the committed offsets are counted, erasures among them."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, clicks("read", rounds=2)))
        wait_for(worker, 2 * len(USERS))
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        assert worker.terminate() == 0
        delete_group(environment)
        now = int(time.time() * 1000)
        erasures = [Erasure(event_id=f"erase {user}", user_id=user, ts=now) for user in USERS]
        for topic, sent in (
            (CLICKS, environment.send(map(to_record, clicks("removed")))),
            # no worker has read a record of this topic
            (ERASURES, environment.send(map(to_record, erasures))),
        ):
            if cut:
                remove_records(environment, offsets_after(topic, sent))
        environment.send(map(to_record, clicks("left", rounds=1)))
        status, report = environment.run_command("doctor")
        expected = f"{3 * len(USERS)} records of {CLICKS.name}, {len(USERS)} records of {ERASURES.name}"
        assert (expected in report) is cut, (status, report)
        # An empty folder reads the rows, and the positions with them, from the changelog.
        worker = environment.start_worker(2).wait_until_ready()
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        assert worker.events("accepted") == (1 if cut else 5) * len(USERS)
        assert worker.events("replayed") == 0
        assert skipped(worker) == (3 * len(USERS) if cut else 0)
        n_skipped = worker.metric("headrace_events_skipped_total", topic=ERASURES.name)
        assert n_skipped == (len(USERS) if cut else 0)
