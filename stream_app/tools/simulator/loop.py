"""The closed loop: many shoppers at once, each shown their list, each answering with events.

A shopper whose events changed something is shown a list only once theirs has been published anew, or after
`Loop.patience`. That is told by the list itself (its `list_id`), read through the client like any shop does;
nothing else is known of the workers. Shoppers come by in the order of the shop's time, `at_once` of them in
flight.
"""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

from stream_app.client import ClientUnavailableError
from stream_app.client.redis_contract import user_key
from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.kafka.event_sender import Outbox
from stream_app.tools.feeds.pacing import Pacer
from stream_app.tools.simulator.simulated_user import Shopper
from stream_app.tools.simulator.tally import Tally
from topics.events import CatalogItem
from topics.records import RecommendationList

POLL: Final = 0.01
"""Seconds between two looks for a list that is awaited."""

PATIENCE: Final = 3.0
"""Seconds after which a shopper takes the list that is there."""

GIVE_UP: Final = 200
"""So many lists in a row that did not come, and the run ends: nobody works."""


class Reader(Protocol):
    """The part of `stream_app.client.AsyncClient` that shoppers use."""

    async def read(
        self,
        user_id: str,
        *,
        session_items: Sequence[str] = (),
        segments: Sequence[str] = (),
        exclude: Collection[str] = (),
    ) -> RecommendationList | None:
        """The shopper's list, or the best there is in its place."""


class _Guest:
    """A shopper in the shop, and the list of their own that they saw last."""

    __slots__ = ("awaits", "last_list", "shopper")

    def __init__(self, shopper: Shopper) -> None:
        self.shopper = shopper
        self.last_list = ""
        self.awaits = False


class Loop:
    """Runs shoppers to their end, or until `stop`.

    Parameters
    ----------
    reader
        Reads lists.
    outbox
        Where events go.
    tally
        Told of everything that happens.
    at_once
        Shoppers in flight.
    rate
        Events a second; 0 goes as fast as lists come.
    patience
        Seconds that a shopper waits for a list that reflects what they did.
    monotonic
        The clock of the rate and of the patience.
    """

    def __init__(
        self,
        reader: Reader,
        outbox: Outbox,
        tally: Tally,
        *,
        at_once: int = 48,
        rate: float = 0.0,
        patience: float = PATIENCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._outbox = outbox
        self._tally = tally
        self._at_once = at_once
        self._pacer = Pacer(rate)
        self._patience = patience
        self._monotonic = monotonic
        self._stopped = False
        self._late_in_a_row = 0
        self._queue: list[tuple[float, int, _Guest]] = []
        self._arrivals: deque[CatalogItem] = deque()

    def stop(self) -> None:
        """End it once what is in flight is done."""
        self._stopped = True

    async def run(self, shoppers: Iterable[Shopper], arrivals: Iterable[CatalogItem] = ()) -> None:
        """Run.

        Parameters
        ----------
        shoppers
            Who comes by.
        arrivals
            Descriptions of items that the shop takes in meanwhile, by time.

        Raises
        ------
        UserError
            If the broker is away, or no list comes any more.
        """
        for number, shopper in enumerate(shoppers):
            if shopper.due is not None:
                self._queue.append((shopper.due, number, _Guest(shopper)))
        heapq.heapify(self._queue)
        self._arrivals = deque(arrivals)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self._at_once, len(self._queue))):
                    tasks.create_task(self._serve())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # what made the others end too

    async def _serve(self) -> None:
        queue = self._queue
        while queue and not self._stopped:
            due, number, guest = heapq.heappop(queue)
            while self._arrivals and self._arrivals[0].time <= due:
                self._outbox.send(event_record(self._arrivals.popleft()))
            await self._step(guest)
            again = guest.shopper.due
            if again is not None:
                heapq.heappush(queue, (again, number, guest))
            self._tally.reached(due, left=again is None)

    async def _step(self, guest: _Guest) -> None:
        shopper = guest.shopper
        shown = await self._list_of(guest)
        due = shopper.due or 0.0
        step = shopper.step(shown)
        own = shown is not None and shown.key == user_key(shopper.user_id)
        if shown is not None and own:
            guest.last_list = shown.list_id
        for event in step.events:
            wait = self._pacer.wait(self._monotonic())
            if wait > 0:
                await asyncio.sleep(wait)
            self._outbox.send(event_record(event))
        guest.awaits = step.acts
        self._tally.add(shopper.user_id, due, shown, step, own=own)

    async def _list_of(self, guest: _Guest) -> RecommendationList | None:
        """The list to show: the newest, if the shopper did something since the last."""
        shopper = guest.shopper
        key = user_key(shopper.user_id)
        exclude = () if shopper.at is None else (shopper.at,)
        deadline = self._monotonic() + self._patience
        while True:
            try:
                found = await self._reader.read(
                    shopper.user_id,
                    session_items=shopper.session_items,
                    segments=shopper.segments,
                    exclude=exclude,
                )
            except ClientUnavailableError:
                found = None
            if not guest.awaits:
                return found
            if found is not None and found.key == key and found.list_id != guest.last_list:
                self._late_in_a_row = 0
                return found
            if self._monotonic() >= deadline or self._stopped:
                break
            await asyncio.sleep(POLL)
        self._tally.late += 1
        self._late_in_a_row += 1
        if self._late_in_a_row >= GIVE_UP:
            raise UserError(
                f"{GIVE_UP} shoppers in a row waited {self._patience:g} s for a list that did not come: does a "
                "worker run on this broker and Redis? `headrace doctor` says more."
            )
        return found
