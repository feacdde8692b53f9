"""A worker whose trainer is an hour behind: lists follow each click, nothing is lost, and the alert fires."""

import re
from pathlib import Path
from typing import Final

import msgspec
import pytest

from stream_app.client.redis_contract import user_key
from stream_app.worker.checkpoint_follower import MODEL_KEY, CheckpointFollower
from stream_app.worker.model_stores import make_checkpoint_store
from tests.support.checkpoint_harness import until
from tests.support.in_memory_worker import InMemoryWorker
from tests.support.two_tower_builders import checkpoint
from topics.catalog import INTERACTIONS

HOUR: Final = 3_600.0
ALERTS: Final = Path(__file__).parents[3] / "deploy" / "prometheus" / "alerts.yml"


class SlowTrainer:
    """Announces checkpoints that have learned the first interaction, which the worker has folded long ago."""

    def __init__(self, worker: InMemoryWorker) -> None:
        follower = worker.components.checkpoints
        assert follower is not None
        self.follower: CheckpointFollower = follower
        self._worker = worker
        self._store = make_checkpoint_store(worker.settings)
        worker.replica.on_delivered(0, 0)

    async def announce(self, version: int, lag_seconds: float) -> None:
        """Announce what was copied 30 s ago, and wait until the worker has adopted it."""
        created_at = self._worker.clock.now - 30.0
        content = checkpoint(["shoe", "sock", "hat"], version=version, seed=version, created_at=created_at)
        announcement = self._store.write(
            version, content, created_at=created_at, lag_seconds=lag_seconds, offsets=(1,)
        )
        self.follower.apply_record(MODEL_KEY, msgspec.json.encode(announcement), version)
        await until(lambda: self._worker.count("neural_model_version") == version)


def alert_seconds(name: str) -> float:
    """The age from which an alert on the age of the model is pending."""
    found = re.search(rf"alert: {name}\s+expr: headrace_neural_model_age_seconds > (\d+)", ALERTS.read_text())
    assert found is not None
    return float(found[1])


async def listed_after_clicks(worker: InMemoryWorker, user: str, *items: str) -> tuple[list[str], str, str]:
    """Items, model and time of the list that follows the last click."""
    for item in items:
        worker.clock.now += 1.0
        worker.accept(worker.click(user, item))
    clicked_at = worker.clock.now
    await until(lambda: worker.published(user_key(user)) is not None and not worker.queue.n_users)
    listed = worker.published(user_key(user))
    assert listed is not None
    assert worker.clock.now == clicked_at
    return [item.id for item in listed.items], listed.neural_version, listed.generated_at


async def test_lists_stay_fresh_beside_a_trainer_an_hour_behind_and_its_alert_fires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = InMemoryWorker(tmp_path, neural=True, model_store=str(tmp_path / "store"))

    async def interaction_ends() -> dict[int, int]:
        return {0: 1_000_000}

    monkeypatch.setattr(worker.replica, "interaction_ends", interaction_ends)
    trainer = SlowTrainer(worker)
    loading = trainer.follower.start_loading()
    async with worker.running_flush_loop():
        await trainer.announce(1, lag_seconds=HOUR)
        # the scarf is newer than all that the trainer has learned
        for user in ("ann", "bob"):
            await listed_after_clicks(worker, user, "shoe", "scarf")
        items, model, first_at = await listed_after_clicks(worker, "carl", "sock", "shoe")
        assert "scarf" in items
        assert model == "1"
        trainer.follower.report()
        assert worker.count("neural_model_age_seconds") >= HOUR + 30.0
        assert worker.count("neural_model_age_seconds") > alert_seconds("HeadraceNeuralModelOld")

        # it announces new weights, and is as far behind as before
        worker.clock.now += 60.0
        await trainer.announce(2, lag_seconds=HOUR)
        assert worker.count("neural_model_age_seconds") == HOUR + 30.0
        items, model, second_at = await listed_after_clicks(worker, "carl", "hat")
        assert "scarf" in items
        assert model == "2"
        assert second_at > first_at

        await trainer.announce(3, lag_seconds=0.0)
        assert worker.count("neural_model_age_seconds") == 30.0 < alert_seconds("HeadraceNeuralModelOld")
    loading.cancel()
    assert worker.models.version == len(worker.producer.of(INTERACTIONS)) == 7
    assert worker.count("model_refused_total", reason="quality") == 0
