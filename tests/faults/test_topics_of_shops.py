"""Promise: no event is lost in silence because of its partition, a topic made anew, or records that Kafka removed."""

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
    misplaced,
    offsets_after,
    remove_records,
    skipped,
    wait_for,
)
from topics import admin
from topics.catalog import CLICKS, USER_EVENTS, catalog


@pytest.mark.faults
def test_events_of_a_user_in_two_partitions_are_all_counted(servers: EmbeddedServers, tmp_path: Path) -> None:
    """Promise: an event in another partition than its user's is forwarded and counted once."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        # The user's own partition has the higher offsets: events of the other one looked like replays.
        environment.send(map(to_record, clicks("own", rounds=6)))
        wait_for(worker, 6 * len(USERS))
        environment.send(map(misplaced, clicks("other")))
        wait_for(worker, 9 * len(USERS))
        assert worker.events("misplaced") == 3 * len(USERS)
        assert worker.events("replayed") == 0
        assert counts(environment) == dict.fromkeys(USERS, 9)
        worker.kill()
        # Sent again after a crash, in either partition, they are duplicates.
        worker = environment.start_worker().wait_until_ready()
        environment.send([*map(to_record, clicks("own", rounds=6)), *map(misplaced, clicks("other"))])
        worker.wait_until(
            lambda: worker.events("duplicate") + worker.events("replayed") >= 9 * len(USERS),
            "all duplicates",
            seconds=240,
        )
        assert counts(environment) == dict.fromkeys(USERS, 9)
        status, report = environment.run_command("doctor")
        assert "murmur2" in report, (status, report)


@pytest.mark.faults
@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_events_of_topics_made_anew_are_counted(
    servers: EmbeddedServers, tmp_path: Path, *, running: bool
) -> None:
    """Promise: topics that are deleted and created anew are recognized, and their events are counted."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        broker = environment.settings.broker
        worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, clicks("before", rounds=6)))
        wait_for(worker, 6 * len(USERS))
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        if not running:
            assert worker.terminate() == 0
        admin.delete([spec.name for spec in USER_EVENTS], broker)
        admin.create(catalog(environment.settings.app_id), broker, partitions=PARTITIONS, replication=1)
        if running:
            # It notices by itself, and restarts as the same process.
            worker.wait_until(
                lambda: worker.has_logged("created anew; restarting"), "the restart", seconds=240
            )
            worker.wait_until_ready()
        else:
            status, report = environment.run_command("doctor")
            assert "created anew" in report, (status, report)
            worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, clicks("after")))
        wait_for(worker, 3 * len(USERS))
        assert worker.events("replayed") == 0
        assert counts(environment) == dict.fromkeys(USERS, 9)
        assert worker.metric("headrace_interactions_folded_total") == 3 * len(USERS)
        assert worker.terminate() == 0
        # An empty folder learns all of them from the logs.
        another = environment.start_worker(2).wait_until_ready()
        assert another.metric("headrace_interactions_folded_total") == 9 * len(USERS)


@pytest.mark.faults
@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_records_that_retention_removed_are_counted(
    servers: EmbeddedServers, tmp_path: Path, *, running: bool
) -> None:
    """Promise: records that Kafka removed before they were read are counted and logged, once."""
    # The suspended worker keeps its partitions: others could not tell which of the fetched records it has processed.
    with clean_environment(servers, tmp_path, session_timeout=60.0, **SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, clicks("read", rounds=1)))
        wait_for(worker, len(USERS))
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        if running:
            worker.suspend()  # it falls behind
            # Records that answer the request that it had sent before, and are read.
            environment.send(map(to_record, clicks("requested", rounds=1)))
        else:
            assert worker.terminate() == 0
        sent = environment.send(map(to_record, clicks("removed")))
        remove_records(environment, offsets_after(CLICKS, sent))
        environment.send(map(to_record, clicks("left", rounds=1)))
        status, report = environment.run_command("doctor")
        if running:
            worker.resume()
            n_sent = 6 * len(USERS)
            worker.wait_until(
                lambda: worker.events("accepted") + skipped(worker) >= n_sent, "all events", seconds=240
            )
            assert worker.events("accepted") + skipped(worker) == n_sent
            assert skipped(worker) >= 3 * len(USERS)
        else:
            assert f"{3 * len(USERS)} records" in report, (status, report)
            worker = environment.start_worker().wait_until_ready()
            wait_for(worker, len(USERS))
            assert skipped(worker) == 3 * len(USERS)
        assert worker.has_logged("retention removed")
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        assert worker.terminate() == 0
        # Another start does not count them again.
        worker = environment.start_worker().wait_until_ready()
        assert worker.metric("headrace_events_skipped_total") == 0


@pytest.mark.faults
def test_a_committed_offset_beyond_the_end_of_a_topic_loses_no_later_event(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: a committed offset beyond the end of a topic loses no later event."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        environment.send(map(to_record, clicks("before", rounds=1)))
        wait_for(worker, len(USERS))
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
        assert worker.terminate() == 0
        alter_committed(environment, 1_000_000)
        environment.send(map(to_record, clicks("after", rounds=1)))
        status, report = environment.run_command("doctor")
        assert "beyond the end of events.click" in report, (status, report)
        worker = environment.start_worker().wait_until_ready()
        # The whole topic is read again: what the rows know is replayed.
        wait_for(worker, len(USERS))
        assert counts(environment) == dict.fromkeys(USERS, 2)
        worker.wait_until(lambda: environment.uncommitted() == 0, "the events to be committed")
