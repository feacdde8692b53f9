"""A trainer process whose broker or store fails stands for election again."""

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, ProducerFenced

from stream_app.settings import load_settings
from stream_app.trainer import process as process_module
from stream_app.trainer.metrics import TrainerMetrics
from stream_app.trainer.process import TrainerProcess
from topics.broker_client import BrokerUnavailableError


class Elected:
    """An election that this process has won."""

    is_elected = True

    async def start(self) -> None:
        self.task = asyncio.create_task(asyncio.sleep(math.inf))

    async def stop(self) -> None:
        self.task.cancel()

    async def wait_until_elected(self) -> None: ...

    async def wait_until_lost(self) -> None:
        await asyncio.sleep(math.inf)


class SilentAnnouncer:
    def __init__(self, *_: object) -> None: ...

    async def stop(self) -> None: ...


@pytest.mark.parametrize(
    "error",
    [
        KafkaConnectionError(),
        ProducerFenced(),
        OSError("the store is full"),
        BrokerUnavailableError("kafka:9092"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_training_starts_again_after_an_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stop, n_runs = asyncio.Event(), 0

    class Trainer:
        def __init__(self, *_: object) -> None:
            self.alive_at = 0.0

        async def run(self) -> None:
            nonlocal n_runs
            n_runs += 1
            if n_runs < 3:
                raise error
            stop.set()
            await asyncio.sleep(math.inf)

        async def store(self) -> None:
            nonlocal n_runs
            n_runs = -n_runs

    monkeypatch.setattr(process_module, "ActiveTrainer", Trainer)
    monkeypatch.setattr(process_module, "Announcer", SilentAnnouncer)
    monkeypatch.setattr(process_module, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr("topics.admin.topic_ids", lambda *_: {})
    metrics: Any = TrainerMetrics()
    election: Any = Elected()
    trainer = TrainerProcess(load_settings(data_dir=tmp_path), metrics, lambda: None, election)  # type: ignore[arg-type, return-value]
    await asyncio.wait_for(trainer.run(stop), 30.0)
    # two failures, then training until the stop, with a snapshot at the end
    assert n_runs == -3
    assert trainer.health() == ""
    assert metrics.registry.get_sample_value("headrace_trainer_active") == 0
