"""A trainer process whose broker or store fails stands for election again."""

import asyncio
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, ProducerFenced

from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.settings import load_settings
from stream_app.trainer import process as process_module
from stream_app.trainer.metrics import TrainerMetrics
from stream_app.trainer.process import TrainerProcess
from topics.broker_client import BrokerUnavailableError
from topics.events import CatalogItem
from topics.records import Kind


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


def test_the_learner_has_the_settings_of_the_trainer(tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path,
        max_items=5,
        seed=3,
        segment_slots=8,
        text_dimensions=4,
        image_dimensions=2,
        session_gap=300.0,
        max_event_future=9.0,
        neural_options={"encoder": "gru", "rows": 2, "negatives": 8, "augmentations": ["crop"]},
    )
    training = process_module._make_learner(settings, TrainerMetrics()).training
    assert (training.shape.encoder, training.shape.n_segments) == ("gru", 8)
    assert (training.config.rows, training.config.augmentations) == (2, ("crop",))
    assert (training.config.max_items, training.config.seed) == (5, 3)
    assert [training.contents.length_of(part) for part in ("text", "image")] == [4, 2]
    for number in range(20):
        training.add(f"user {number // 4}", f"item {number}", Kind.VIEW, 10.0 * number, ("country:FR",))
    assert len(training.items) <= 5


@pytest.mark.parametrize(("gap", "closed"), [(300.0, True), (1_800.0, False)])
def test_the_sessions_of_the_trainer_are_closed_by_the_setting_of_the_workers(
    tmp_path: Path, gap: float, closed: bool
) -> None:
    settings = load_settings(data_dir=tmp_path, session_gap=gap)
    training = process_module._make_learner(settings, TrainerMetrics()).training
    for item, ts in (("pan", 0.0), ("pot", 60.0)):
        training.add("ann", item, Kind.VIEW, ts)
    training.add("bob", "lid", Kind.VIEW, 660.0)
    assert training.recent("ann")[0] == ([] if closed else ["pan", "pot"])


def test_entries_later_than_the_limit_of_the_workers_are_not_learned(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, max_event_future=9.0)
    learner = process_module._make_learner(settings, TrainerMetrics())
    for number, seconds in enumerate((8.0, 10.0)):
        entry = event_record(
            CatalogItem(ts=int(1e12 + 1000 * seconds), item_id=f"item {number}", brand="Acme")
        )
        learner.fold_catalog([SimpleNamespace(value=entry.value, key=entry.key, timestamp=10**12)])
    assert learner.training.items.ids_of([0]) == ["item 0"]
    assert len(learner.training.items) == 1


def test_an_invalid_option_ends_the_start_of_a_trainer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process_module, "verified_partition_count", lambda _: 1)
    settings = load_settings(data_dir=tmp_path, neural_options={"loss": "hinge"})
    with pytest.raises(UserError, match="loss is not 'hinge' but one of softmax, sigmoid"):
        process_module.run_trainer(settings)
