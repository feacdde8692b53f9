"""A shop's clicks, a worker and a trainer: the lists get the model, and no fault of the trainer stops them."""

import time
from pathlib import Path
from typing import Final

from state.checkpoint_store import CheckpointStore
from state.snapshots.files import FolderFiles
from stream_app.client.redis_contract import user_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.faulty_trainer import MOMENTS
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, sent
from tests.support.trainer_handle import TrainerHandle
from tests.support.worker_handle import WorkerHandle
from topics.events import Click
from topics.records import RecommendationList

N_ITEMS: Final = 40
MAX_CLICKS: Final = 5_000
"""While a trainer is to be killed."""


class RingUsers:
    """Users who click along a ring of items."""

    def __init__(self, environment: IntegrationEnvironment, worker: WorkerHandle) -> None:
        self._environment = environment
        self._worker = worker
        self._n = 0
        self.n_clicks = 0

    def come(self, n: int, length: int = 5) -> None:
        """Send the clicks of new users, and wait until the worker has learned them."""
        records: list[KafkaRecord] = []
        for _ in range(n):
            self._n += 1
            items = (f"item-{(self._n * 7 + at) % N_ITEMS}" for at in range(length))
            now = int(time.time() * 1000)
            records += [
                sent(Click, f"ring-user-{self._n}", item_id=item, ts=now + at)
                for at, item in enumerate(items)
            ]
        self._environment.send(records)
        self.n_clicks += len(records)
        self._worker.wait_until(
            lambda: self._worker.events("accepted") == self.n_clicks, "all clicks to be processed"
        )

    def newest_list(self) -> RecommendationList:
        """The list of the newest user, once it follows the last click."""
        key = user_key(f"ring-user-{self._n}")
        found: list[RecommendationList | None] = []

        def is_there() -> bool:
            listed = self._environment.read_list(key)
            found[:] = [listed]
            return listed is not None

        self._worker.wait_until(is_there, "the list of the newest user")
        listed = found[0]
        assert listed is not None
        return listed


def test_lists_go_on_whatever_happens_to_the_trainer(servers: EmbeddedServers, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with clean_environment(
        servers, tmp_path, models=["popularity"], fusion="rrf", neural=True, model_store=str(store)
    ) as environment:
        worker = environment.start_worker().wait_until_ready()
        users = RingUsers(environment, worker)
        users.come(80)
        known = 0.0
        for moment in MOMENTS:
            # Each one goes on from what the one before has left behind.
            log = tmp_path / f"{moment}.log"
            with TrainerHandle(environment.settings, store, log, dies=moment) as dying:
                wait_for_newer(worker, known)
                users.come(20)
                listed = users.newest_list()
                assert int(listed.neural_version) > known
                assert any(item.why.source == "similar_taste" for item in listed.items)
                limit = users.n_clicks + MAX_CLICKS
                while dying.process.poll() is None and users.n_clicks < limit:
                    users.come(20)  # without new interactions there is no second checkpoint
                dying.wait_until_killed(f"the trainer to be killed while {moment}")
            known = worker.metric("headrace_neural_model_version")
            users.come(20)
            assert users.newest_list().neural_version == f"{known:.0f}"
            assert worker.metric("headrace_model_refused_total") == 0

        with TrainerHandle(environment.settings, store, tmp_path / "next.log"):
            wait_for_newer(worker, known)
            users.come(20)
            assert int(users.newest_list().neural_version) > known
        assert CheckpointStore(FolderFiles(store / "two-tower")).names()
        assert worker.metric("headrace_model_refused_total") == 0
        processed = [interaction for interaction, _ in environment.interactions()]
        assert len(processed) == users.n_clicks


def wait_for_newer(worker: WorkerHandle, known: float) -> None:
    """Wait until the worker has a checkpoint of the next trainer."""
    worker.wait_until(
        lambda: worker.metric("headrace_neural_model_version") > known,
        f"a checkpoint after {known:.0f}",
    )
