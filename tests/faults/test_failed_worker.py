"""Promise: a worker that fails, or is told to stop, ends within a bound, whatever it waits for."""

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from stream_app.tools.embedded import EmbeddedServers
from stream_app.worker.process import FAILED_SECONDS, STOP_SECONDS
from tests.support.generated_log import generate_log
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, producer_for, send_records
from tests.support.worker_handle import WorkerHandle, wait_until

SETTINGS: Final = {"models": '["popularity"]', "fusion": "rrf"}

SLACK: Final = 60.0
"""Seconds for what a busy machine delays."""


class Load:
    """Sends records over and over until it is stopped, so that a worker always has events without a commit."""

    def __init__(self, environment: IntegrationEnvironment, records: list[KafkaRecord]) -> None:
        self._broker, self._records = environment.settings.broker, records
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _send(self) -> None:
        with closing(producer_for(self._broker)) as producer:
            while not self._stopped.wait(0.1):
                send_records(producer, self._records)


def is_ready(worker: WorkerHandle) -> bool:
    return ("headrace_ready", {}, 1.0) in worker.metrics()


@pytest.mark.faults
@pytest.mark.parametrize("stuck", [(), ("stuck=snapshot",), ("stuck=loop",)], ids=["", "snapshot", "loop"])
def test_a_worker_whose_task_fails_under_load_ends_and_another_start_goes_on(
    servers: EmbeddedServers, tmp_path: Path, stuck: tuple[str, ...]
) -> None:
    log = generate_log(300)
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        failure = tmp_path / "failure"
        worker = environment.start_worker(1, f"fail={failure}", *stuck).wait_until_ready()
        with Load(environment, log.records):
            worker.wait_until(lambda: worker.events("duplicate") > 0, "events in a steady flow")
            failure.touch()
            wait_until(lambda: worker.has_logged("failed; stopping"), "the task to fail", seconds=SLACK)
            failed_at = time.monotonic()
            wait_until(lambda: not is_ready(worker), "the worker to be not ready", seconds=FAILED_SECONDS / 2)
            wait_until(lambda: not worker.alive, "the end", seconds=FAILED_SECONDS + SLACK)
        assert worker.terminate() == 1, worker.log
        if not stuck:
            # The end is orderly: it does not need the deadline.
            assert not worker.has_logged("ending it at once"), worker.log
        assert time.monotonic() - failed_at < FAILED_SECONDS + SLACK
        failure.unlink()
        # It left no lock, and the events without a commit are read again.
        next_worker = environment.start_worker().wait_until_ready()
        next_worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed")


@pytest.mark.faults
def test_a_worker_that_is_told_to_stop_ends_even_if_its_store_never_answers(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        worker = environment.start_worker(1, "stuck=snapshot").wait_until_ready()
        stop = threading.Thread(target=worker.terminate)
        stop.start()
        wait_until(lambda: not is_ready(worker), "the worker to be not ready", seconds=STOP_SECONDS / 2)
        stop.join()
        assert worker.terminate() == 1, worker.log
        assert worker.has_logged("ending it at once"), worker.log
