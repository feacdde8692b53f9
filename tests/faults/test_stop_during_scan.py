"""Promise: a worker that is told to stop while it goes through rows or logs ends without an error, and loses none."""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.changelog_rows import N_ROWS, write_changelog
from tests.support.integration_environment import clean_environment, send_click
from topics.catalog import changelog

SETTINGS: Final = {"models": '["popularity"]', "fusion": "rrf"}


@pytest.mark.faults
def test_a_worker_that_is_stopped_while_it_goes_through_its_rows_ends_without_an_error(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        topic = changelog(environment.settings.app_id).name
        rows = asyncio.run(write_changelog(environment.settings.broker, topic))
        n_rows = sum(map(len, rows.values()))
        assert n_rows < N_ROWS
        for run in range(2):
            # Ready before it has gone through the rows, to publish the lists of active users again.
            scanned = tmp_path / f"scanned-{run}"
            worker = environment.start_worker(1, f"scan={scanned}").wait_until_ready()
            worker.wait_until(lambda path=scanned: path.exists(), "the scan to begin")  # type: ignore[misc]  # bound now
            assert worker.terminate() == 0, worker.log
            assert scanned.stat().st_size < n_rows // 200, "the scan had ended before the signal"
            assert not worker.has_logged("Traceback"), worker.log
        worker = environment.start_worker().wait_until_ready()
        worker.wait_until(lambda: worker.metric("headrace_table_users") == n_rows, f"{n_rows} rows")


@pytest.mark.faults
def test_a_worker_that_reads_the_logs_holds_up_neither_a_rebalance_nor_its_end(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: an event that waits until a worker has read the logs is processed by another that is ready."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        users = {f"user {number}" for number in range(40)}
        for user in sorted(users):
            send_click(environment, user, "shoe")
        slow = environment.start_worker(1, "stuck=catch_up")
        slow.wait_until(lambda: slow.metric("faust_total_active_events") == 1, "an event to wait")
        other = environment.start_worker(2).wait_until_ready()
        # The group expels no member that waits for the logs.
        slow.wait_until(lambda: slow.metric("faust_total_active_events") == 1, "an event to wait again")
        assert slow.metric("headrace_rebalances_total") == 2
        assert slow.terminate() == 0, slow.log
        other.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed")
        assert environment.rows().keys() == users
