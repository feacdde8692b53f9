"""A worker adopts checkpoints while it runs, refuses a damaged one, and restarts with the newest."""

import time
from pathlib import Path
from typing import Final

import msgspec
import pytest

from state.checkpoint_store import CheckpointStore
from state.snapshots.files import FolderFiles
from stream_app.client.redis_contract import user_key
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from stream_app.worker.checkpoint_follower import MODEL_KEY
from tests.support.integration_environment import IntegrationEnvironment, clean_environment, send_click
from tests.support.kafka_records import KafkaRecord
from tests.support.two_tower_builders import checkpoint
from tests.support.worker_handle import WorkerHandle
from topics.catalog import INTERACTIONS, MODELS
from topics.events import CatalogItem
from topics.records import ModelAnnouncement, RecommendationList

pytestmark = pytest.mark.integration

ITEMS: Final = tuple(f"item-{n}" for n in range(12))


class Trainer:
    """Announces checkpoints with random weights."""

    def __init__(self, environment: IntegrationEnvironment, folder: Path) -> None:
        self._environment = environment
        self.files = FolderFiles(folder / "two-tower")
        self._store = CheckpointStore(self.files)

    def write(self, version: int) -> ModelAnnouncement:
        """A checkpoint that has learned all interactions until now."""
        offsets: dict[int, int] = {}
        for record in self._environment.read(INTERACTIONS.name):
            offsets[record.partition] = record.offset + 1
        known = tuple(offsets.get(at, 0) for at in range(max(offsets) + 1))
        now = time.time()
        content = checkpoint(ITEMS, version=version, seed=version, created_at=now)
        return self._store.write(version, content, created_at=now, offsets=known)

    def announce(self, announcement: ModelAnnouncement) -> None:
        self._environment.send([KafkaRecord(MODELS.name, MODEL_KEY, msgspec.json.encode(announcement), 0)])


def add_items(environment: IntegrationEnvironment) -> None:
    """Items of the catalog, most of which have no click: no other model proposes these."""
    records = [event_record(CatalogItem(item_id=item, ts=int(time.time() * 1000))) for item in ITEMS]
    environment.send(KafkaRecord(record.topic, record.key, record.value) for record in records)


def list_after_click(
    environment: IntegrationEnvironment, worker: WorkerHandle, item: str
) -> RecommendationList:
    """The list of a user after one more click."""
    before = environment.read_list(user_key("ann"))
    send_click(environment, "ann", item)
    found: list[RecommendationList] = []

    def has_new_list() -> bool:
        listed = environment.read_list(user_key("ann"))
        found[:] = [listed] if listed is not None else []
        return listed is not None and (before is None or listed.list_id != before.list_id)

    worker.wait_until(has_new_list, "a list that follows the click")
    return found[0]


def loads_jax(worker: WorkerHandle) -> bool:
    """Whether the process has mapped JAX's library; False where the system does not tell."""
    mapped = Path(f"/proc/{worker.pid}/maps")
    return mapped.exists() and "jaxlib" in mapped.read_text()


def test_a_worker_follows_the_checkpoints_of_a_trainer(servers: EmbeddedServers, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with clean_environment(
        servers,
        tmp_path,
        models=["popularity", "item_to_item"],
        fusion="rrf",
        neural=True,
        model_store=str(store),
    ) as environment:
        worker = environment.start_worker().wait_until_ready()
        trainer = Trainer(environment, store)
        add_items(environment)
        worker.wait_until(
            lambda: worker.metric("headrace_model_items") == len(ITEMS), "the catalog to be learned"
        )
        send_click(environment, "bob", ITEMS[0])
        first = list_after_click(environment, worker, ITEMS[1])
        assert first.neural_version == ""

        trainer.announce(trainer.write(7))
        worker.wait_until(
            lambda: worker.metric("headrace_neural_model_version") == 7, "the model to be adopted"
        )
        second = list_after_click(environment, worker, ITEMS[2])
        assert second.neural_version == "7"
        reasons = [item.why for item in second.items if item.why.source == "similar_taste"]
        assert reasons
        assert {reason.item_id for reason in reasons} <= set(ITEMS[1:3])
        assert worker.metric("headrace_neural_model_age_seconds") < 600
        assert not loads_jax(worker)

        damaged = trainer.write(8)
        content = bytearray(trainer.files.read(damaged.file))
        content[-3] ^= 1
        trainer.files.write(damaged.file, bytes(content))
        trainer.announce(damaged)
        worker.wait_until(
            lambda: worker.metric("headrace_model_refused_total", reason="file") == 1,
            "the file to be refused",
        )
        assert worker.has_logged("version 7 stays")
        assert list_after_click(environment, worker, ITEMS[3]).neural_version == "7"

        trainer.announce(trainer.write(9))
        worker.wait_until(
            lambda: worker.metric("headrace_neural_model_version") == 9, "the next one to be adopted"
        )
        assert worker.terminate() == 0, worker.log
        again = environment.start_worker().wait_until_ready()
        assert again.metric("headrace_neural_model_version") == 9
        assert list_after_click(environment, again, ITEMS[4]).neural_version == "9"
