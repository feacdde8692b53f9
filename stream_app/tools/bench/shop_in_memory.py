"""A generated shop on the components of a worker, over ports in memory and in the time of the shop.

The clock of the broker is that of the shop: a half-life of days means days of the shop, which it does not in
``headrace simulate``, where ten days pass in a minute. Users take their steps one after the other, so that a run
depends on its seed alone.
"""

import heapq
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec import structs

from state.row import EMPTY_ROW, UserRow
from state.snapshots.store import folder_store
from state.user_rows import UnreadableRow
from stream_app.client.redis_contract import decode_list
from stream_app.kafka.event_records import event_record
from stream_app.metrics import Metrics
from stream_app.publishing.list_builder import ListBuilder
from stream_app.publishing.memory_publisher import MemoryPublisher
from stream_app.ranking.assembly import make_ranker
from stream_app.settings import Settings
from stream_app.tools.simulator.simulated_user import SimulatedUser
from stream_app.tools.simulator.tally import SimulationTally
from stream_app.tools.simulator.user_sources import GeneratedUserSource
from stream_app.worker.bootstrap import Components, Ports, build_components
from topics.catalog import CONTROL
from topics.events import Event, Impression, format_time
from topics.records import RecommendationList


class RowsInMemory:
    """Rows in a dict."""

    def __init__(self) -> None:
        self.on_unreadable: Callable[[UnreadableRow], None] = lambda _: None
        self._rows: dict[str, UserRow] = {}

    def get(self, user_id: str) -> UserRow:
        """The row; the empty row for a new user."""
        return self._rows.get(user_id, EMPTY_ROW)

    def put(self, user_id: str, row: UserRow, partition: int) -> None:
        """Store a row."""
        del partition
        self._rows[user_id] = row

    def partition_of(self, user_id: str) -> int:
        """The one partition."""
        del user_id
        return 0

    def scan(self) -> Iterator[tuple[str, UserRow]]:
        """All rows."""
        yield from self._rows.items()

    def clear_cache(self) -> None:
        """Do nothing: there is no cache."""


class ShopInMemory:
    """A worker without Kafka and Redis, in the time of its events."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.now = 0.0
        self.metrics = Metrics()
        self._rows = RowsInMemory()
        self._offsets: dict[str, int] = {}
        clock = lambda: self.now  # noqa: E731  # a port
        ports = Ports(
            self._rows,
            self._append,
            MemoryPublisher(),
            folder_store(folder),
            self.metrics,
            clock,
            timer=clock,
        )
        self.components: Components = build_components(settings, ports)
        self._lists = ListBuilder(
            make_ranker(self.components.models, settings.ranking_config), self._rows, self.metrics
        )

    def _append(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, on_delivered: Any = None, /
    ) -> None:
        """Apply records of the control topic; no one else reads what a single worker writes."""
        del partition, on_delivered
        if topic == CONTROL.name and key is not None:
            self.components.policies.apply_record(key, value, self.now, 0)

    def send(self, event: Event) -> None:
        """Process an event of a user."""
        record = event_record(event)
        offset = self._offsets[record.topic] = self._offsets.get(record.topic, -1) + 1
        message = SimpleNamespace(
            topic=record.topic,
            partition=0,
            offset=offset,
            timestamp=self.now,
            headers=(),
            key=record.key,
            value=record.value,
        )
        letter = self.components.user_events.handle(message)
        if letter is not None:
            raise RuntimeError(f"an event of the simulator was refused: {letter}")

    def list_for(self, user: SimulatedUser) -> RecommendationList | None:
        """The list of a user's page, as the worker publishes it and the client reads it."""
        lists = self._lists.build_user_lists(
            user.user_id, format_time(self.now), degraded=False, with_search=False
        )
        if lists is None:
            return None
        self.components.list_store.add(user.user_id, 0, lists.recommended.published)
        displayed = decode_list(lists.recommended.document.value)
        items = tuple(each for each in displayed.items if each.id != user.current_item)
        return structs.replace(displayed, items=items) if items else None


def run_users(
    shop: ShopInMemory,
    source: GeneratedUserSource,
    before_step: Callable[[float], None] = lambda _: None,
    *,
    impressions: bool = True,
) -> SimulationTally:
    """Run all users, and tally what they did.

    Parameters
    ----------
    before_step
        Called with the time of each step, seconds since the epoch.
    impressions
        Whether the shop sends them.
    """
    tally, models = SimulationTally(), shop.components.models
    for item in source.warm_up():
        models.learn_catalog(item)  # type: ignore[arg-type]  # the warm-up of a generated shop is its catalog
    arrivals = list(source.arrivals())[::-1]
    queue = [
        (user.next_time, number, user)
        for number, user in enumerate(source.users())
        if user.next_time is not None
    ]
    heapq.heapify(queue)
    while queue:
        now, number, user = heapq.heappop(queue)
        shop.now = now
        while arrivals and arrivals[-1].time <= now:
            models.learn_catalog(arrivals.pop())
        before_step(now)
        displayed = shop.list_for(user)
        step = user.step(displayed)
        for event in step.events:
            if impressions or not isinstance(event, Impression):
                shop.send(event)
        tally.add(user.user_id, now, displayed, step, is_user_list=True)
        if user.next_time is not None:
            heapq.heappush(queue, (user.next_time, number, user))
    return tally
