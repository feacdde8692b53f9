"""Users of a live shop whose items follow each other in a ring."""

import time
from datetime import datetime
from typing import Final

from stream_app.client.redis_contract import user_key
from tests.support.integration_environment import IntegrationEnvironment
from tests.support.kafka_records import KafkaRecord, sent
from tests.support.trainer_handle import START_SECONDS
from tests.support.worker_handle import WorkerHandle
from topics.events import Click
from topics.records import RecommendationList

N_ITEMS: Final = 40


class RingUsers:
    """Users who click along a ring of items.

    Attributes
    ----------
    n_clicks
        Clicks that were sent, each of which becomes an interaction.
    """

    def __init__(self, environment: IntegrationEnvironment, worker: WorkerHandle) -> None:
        self._environment = environment
        self._worker = worker
        self._n = 0
        self._came_at = 0.0
        self.n_clicks = 0

    def come(self, n: int, length: int = 5) -> None:
        """Send the clicks of new users, and wait until the worker has learned them."""
        records: list[KafkaRecord] = []
        self._came_at = time.time()
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
        """The list of the newest user, once it was ranked after the user came."""
        key = user_key(f"ring-user-{self._n}")
        found: list[RecommendationList | None] = []

        def is_there() -> bool:
            listed = self._environment.read_list(key)
            found[:] = [listed]
            return listed is not None and datetime.fromisoformat(listed.generated_at).timestamp() >= int(
                self._came_at
            )

        self._worker.wait_until(is_there, "the list of the newest user")
        listed = found[0]
        assert listed is not None
        return listed

    def wait_for_model_after(self, known: float) -> float:
        """Wait until the worker has a model of a later version, which is returned."""
        found: list[float] = []

        def is_newer() -> bool:
            found[:] = [self._worker.metric("headrace_neural_model_version")]
            return found[0] > known

        self._worker.wait_until(is_newer, f"a checkpoint after {known:.0f}", seconds=START_SECONDS)
        return found[0]
