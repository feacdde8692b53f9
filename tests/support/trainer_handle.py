"""Trainer processes of the integration tests, and the log that they learn from."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from state.checkpoint_store import CheckpointStore
from state.snapshots.files import FolderFiles
from stream_app.kafka.topic_reader import topic_records
from stream_app.models.checkpoint import Manifest, decode_checkpoint
from stream_app.models.two_tower_network import TrainedWeights
from stream_app.settings import Settings, child_environment
from stream_app.tools.embedded.child_process import (
    free_port,
    kill_process,
    log_tail,
    start_process,
    stop_process,
)
from stream_app.tools.environment.metrics_endpoint import fetch_metrics, parse_samples
from tests.support import faulty_trainer
from tests.support.kafka_records import KafkaRecord, producer_for, send_records
from tests.support.worker_handle import wait_until
from topics.catalog import INTERACTIONS, MODELS
from topics.records import Interaction, Kind, Line, ModelAnnouncement, Source

START_SECONDS: Final = 240.0
_SOURCE_PARTITION: Final = 90
"""Of the events that became interactions: workers that read them expect others from their own partitions."""

_encoder: Final = msgspec.msgpack.Encoder()


def compilation_cache(tmp_path: Path) -> dict[str, str]:
    """Variables of a trainer: it shares its steps, optimized as in a shop, with those of all tests of a session.

    Parameters
    ----------
    tmp_path
        The folder of a test; that of the session is above, also of one with several processes.
    """
    of_process = tmp_path.parent
    of_session = of_process.parent if "PYTEST_XDIST_WORKER" in os.environ else of_process
    return {
        "JAX_COMPILATION_CACHE_DIR": str(of_session / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "0",
    }


class TrainerHandle:
    """A ``headrace trainer`` process with checkpoints in a folder that trainers share.

    The first trainer of a test session compiles its steps, which takes 5 s of computing; the others load them.

    Parameters
    ----------
    log
        In the folder of the test.
    fault
        Of `tests.support.faulty_trainer`.
    """

    def __init__(
        self, settings: Settings, store: Path, log: Path, *, fault: str = "", **further: object
    ) -> None:
        self.port: Final = free_port()
        self.log_path: Final = log
        environment = child_environment(
            **{
                "app_id": settings.app_id,
                "broker": settings.broker,
                "model_store": store,
                "data_dir": log.parent / log.stem,
                "metrics_port": self.port,
                "log_level": "INFO",
                "checkpoint_interval": 1,
                "trainer_snapshot_interval": 1,
                "session_timeout": 6,
                **further,
            }
        )
        with log.open("wb") as file:
            self.process: Final = start_process(
                faulty_trainer.command(fault) if fault else (sys.executable, "-m", "stream_app", "trainer"),
                log=file,
                environment={
                    **environment,
                    "PYTHONUNBUFFERED": "1",
                    **compilation_cache(log.parent),
                },
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        kill_process(self.process)

    def metric(self, name: str) -> float | None:
        """The only sample of a metric; None without a response."""
        text = fetch_metrics(self.port, name, timeout=60.0)
        samples = [] if text is None else parse_samples(text)
        return next((sample.value for sample in samples if sample.name == name), None)

    def wait_until(self, condition: Any, description: str, *, seconds: float = START_SECONDS) -> None:
        """Poll until `condition` holds; fail with the log if the process ends before."""

        def check() -> object:
            assert self.process.poll() is None, log_tail(self.log_path)
            return condition()

        try:
            wait_until(check, description, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log_tail(self.log_path, 40)}") from None

    def wait_until_active(self) -> Self:
        self.wait_until(lambda: self.metric("headrace_trainer_active") == 1, "the trainer to be elected")
        return self

    def wait_until_standing_by(self) -> Self:
        self.wait_until(lambda: self.metric("headrace_trainer_active") == 0, "the trainer to stand by")
        return self

    def kill(self) -> None:
        kill_process(self.process)

    def wait_until_killed(self, description: str) -> None:
        """Wait until it has died by a SIGKILL of its own."""
        wait_until(lambda: self.process.poll() is not None, description, seconds=START_SECONDS)
        assert self.process.returncode == -signal.SIGKILL, log_tail(self.log_path, 40)

    def suspend(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def terminate(self) -> int:
        return stop_process(self.process, seconds=60.0)

    def has_logged(self, text: str) -> bool:
        return text in self.log_path.read_text(errors="replace")


class InteractionLog:
    """Writes interactions as a worker does: users who view items along a ring.

    Parameters
    ----------
    written_before
        Seconds before now at which the records were written, as they say.
    """

    def __init__(self, broker: str, n_items: int = 40, written_before: float = 0.0) -> None:
        self._broker = broker
        self._n_items = n_items
        self._written_before = written_before
        self._n_sessions = 0
        self._offset = 0
        self._ts = 1_700_000_000.0

    def add_sessions(self, n: int, length: int = 6) -> list[str]:
        """Write the sessions of new users, and return their ids."""
        users, records = [], []
        for _ in range(n):
            user, start = f"user {self._n_sessions}", self._n_sessions * 7
            users.append(user)
            items = [f"item {(start + at) % self._n_items}" for at in range(length)]
            records += [self._record(user, Kind.VIEW, (Line(item),)) for item in items]
            self._n_sessions += 1
            self._ts += 2_000.0
        self._send(records)
        return users

    def return_users(self, users: list[str], item: str) -> None:
        """Write one more view of an item by each of some users."""
        self._send([self._record(user, Kind.VIEW, (Line(item),)) for user in users])

    def erase(self, user: str) -> None:
        """Write what a worker writes for an erasure."""
        self._send([self._record(user, Kind.ERASE, ())])

    def send_again(self, n: int) -> None:
        """Repeat interactions of the first users, as a worker may do after a crash."""
        line = (Line("item 0"),)
        self._send(
            [
                KafkaRecord(
                    INTERACTIONS.name,
                    b"",
                    _encoder.encode(
                        Interaction(
                            Source.CLICK,
                            _SOURCE_PARTITION,
                            at,
                            self._ts,
                            "user 0",
                            Kind.VIEW,
                            line,
                        )
                    ),
                    0,
                )
                for at in range(n)
            ]
        )

    def _record(self, user: str, kind: Kind, lines: tuple[Line, ...]) -> KafkaRecord:
        self._ts += 30.0
        source = Source.ERASURE if kind is Kind.ERASE else Source.CLICK
        interaction = Interaction(source, _SOURCE_PARTITION, self._offset, self._ts, user, kind, lines)
        self._offset += 1
        written_at = int((time.time() - self._written_before) * 1000)
        return KafkaRecord(INTERACTIONS.name, user.encode(), _encoder.encode(interaction), 0, written_at)

    def _send(self, records: list[KafkaRecord]) -> None:
        producer = producer_for(self._broker)
        try:
            send_records(producer, records)
        finally:
            producer.close()


class Checkpoints:
    """The announcements on the topic, and the files that they name."""

    def __init__(self, broker: str, store: Path) -> None:
        self._broker = broker
        self._store = CheckpointStore(FolderFiles(store / "two-tower"))

    def announcements(self) -> list[ModelAnnouncement]:
        """All, in the order of the log."""
        return [
            msgspec.json.decode(record.value, type=ModelAnnouncement)
            for record in topic_records(self._broker, MODELS)
        ]

    def newest(self) -> tuple[TrainedWeights, Manifest] | None:
        """The newest announced checkpoint."""
        announced = self.announcements()
        return decode_checkpoint(self._store.read(announced[-1])) if announced else None

    def has_learned(self, n_interactions: int) -> bool:
        """Whether the newest checkpoint has learned so many interactions."""
        newest = self.newest()
        return newest is not None and newest[1].interactions >= n_interactions
