"""A period of faster decay on the control topic reaches all workers, and survives their restarts."""

import time
from pathlib import Path

import msgspec
import pytest

from stream_app.experiment.decay_record import DECAY_KEY, DecayRecord
from stream_app.models.decay_clock import DecaySchedule
from stream_app.settings import load_settings
from stream_app.tools.embedded import EmbeddedServers
from stream_app.worker.decay_controller import read_decay_record
from tests.support.crash_runs import ADDITIVE
from tests.support.integration_environment import IntegrationEnvironment, clean_environment, send_click
from tests.support.kafka_records import KafkaRecord
from tests.support.run_outcome import digest_of_models
from tests.support.worker_handle import WorkerHandle
from topics.catalog import CONTROL

pytestmark = pytest.mark.integration

DAY = 86_400.0


def announce(environment: IntegrationEnvironment, schedule: DecaySchedule) -> DecayRecord:
    record = DecayRecord(interactions=schedule, rewards=schedule, stream="hit_rate", ts=time.time())
    environment.send([KafkaRecord(CONTROL.name, DECAY_KEY, msgspec.json.encode(record), 0)])
    return record


def wait_until_decaying(worker: WorkerHandle) -> None:
    """Wait until a worker has applied the period and learned the clicks of all users."""
    worker.wait_until(lambda: worker.metric("headrace_decay_rate") == 8.0, "the period to be applied")
    worker.wait_until(lambda: worker.metric("headrace_model_users") == 12.0, "all clicks to be learned")


def test_all_workers_and_new_ones_apply_the_period_and_hold_equal_models(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    with clean_environment(servers, tmp_path, models=ADDITIVE) as environment:
        workers = (environment.start_worker(1), environment.start_worker(2))
        for worker in (*workers, *workers):  # the first one is not ready during the rebalance
            worker.wait_until_ready()
        assert [each.metric("headrace_decay_rate") for each in workers] == [1.0, 1.0]
        record = announce(environment, DecaySchedule().with_period(time.time() - DAY, 2 * DAY, 8.0))
        for number in range(12):
            send_click(environment, f"user-{number}", f"item-{number % 3}")
        for worker in workers:
            wait_until_decaying(worker)
        assert read_decay_record(load_settings(broker=environment.settings.broker).broker) == record
        third = environment.start_worker(3)
        wait_until_decaying(third)
        for worker in (*workers, third):
            assert worker.terminate() == 0, worker.log
        digests = {digest_of_models(environment, number) for number in (1, 2, 3)}
        assert len(digests) == 1
