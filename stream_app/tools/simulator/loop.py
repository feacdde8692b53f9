"""The closed loop: concurrent users who read their lists and send events.

After an action, a user's next step waits until a new list is published, at most `list_timeout`. A new list is
recognized by its `list_id`, read by the client as in any shop; the loop knows nothing else of the workers. Steps
are taken in the order of simulated time, with `concurrency` users in flight.
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
from stream_app.kafka.event_sender import EventSender
from stream_app.tools.feeds.pacing import Pacer
from stream_app.tools.simulator.simulated_user import SimulatedUser
from stream_app.tools.simulator.tally import SimulationTally
from topics.events import CatalogItem
from topics.records import RecommendationList

POLL_INTERVAL: Final = 0.01
"""Seconds between reads while a user waits for a list."""

LIST_TIMEOUT: Final = 3.0
"""Seconds after which a user continues with the current list."""

MAX_CONSECUTIVE_TIMEOUTS: Final = 200
"""Number of consecutive timeouts after which the run fails, because no worker seems to run."""


class ListReader(Protocol):
    """The part of `stream_app.client.AsyncClient` that simulated users need."""

    async def read(
        self,
        user_id: str,
        *,
        session_items: Sequence[str] = (),
        segments: Sequence[str] = (),
        exclude: Collection[str] = (),
    ) -> RecommendationList | None:
        """Read the user's list, or the best fallback list."""


class _InFlightUser:
    """A user and the last personal list they saw."""

    __slots__ = ("awaits_list", "last_list_id", "user")

    def __init__(self, user: SimulatedUser) -> None:
        self.user = user
        self.last_list_id = ""
        self.awaits_list = False


class SimulationLoop:
    """Runs users until they are finished, or until `stop`.

    Parameters
    ----------
    concurrency
        Users in flight.
    rate
        Events per second; 0 runs as fast as lists are published.
    list_timeout
        Seconds that a user waits for a list that reflects their last action.
    monotonic
        Clock of the rate and the timeout.
    """

    def __init__(
        self,
        reader: ListReader,
        sender: EventSender,
        tally: SimulationTally,
        *,
        concurrency: int = 48,
        rate: float = 0.0,
        list_timeout: float = LIST_TIMEOUT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._tally = tally
        self._concurrency = concurrency
        self._pacer = Pacer(rate)
        self._list_timeout = list_timeout
        self._monotonic = monotonic
        self._stopped = False
        self._consecutive_timeouts = 0
        self._queue: list[tuple[float, int, _InFlightUser]] = []
        self._arrivals: deque[CatalogItem] = deque()

    def stop(self) -> None:
        """Stop after the steps in flight."""
        self._stopped = True

    async def run(self, users: Iterable[SimulatedUser], arrivals: Iterable[CatalogItem] = ()) -> None:
        """Run all users.

        Parameters
        ----------
        arrivals
            Catalog events of items that arrive during the run, ordered by time.

        Raises
        ------
        UserError
            If the broker is unavailable, or lists are no longer published.
        """
        for number, user in enumerate(users):
            if user.next_time is not None:
                self._queue.append((user.next_time, number, _InFlightUser(user)))
        heapq.heapify(self._queue)
        self._arrivals = deque(arrivals)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self._concurrency, len(self._queue))):
                    tasks.create_task(self._run_users())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # the first error cancels the other tasks

    async def _run_users(self) -> None:
        queue = self._queue
        while queue and not self._stopped:
            next_time, number, in_flight_user = heapq.heappop(queue)
            while self._arrivals and self._arrivals[0].time <= next_time:
                self._sender.send(event_record(self._arrivals.popleft()))
            await self._step(in_flight_user)
            following_time = in_flight_user.user.next_time
            if following_time is not None:
                heapq.heappush(queue, (following_time, number, in_flight_user))
            self._tally.advance(next_time, finished_user=following_time is None)

    async def _step(self, in_flight_user: _InFlightUser) -> None:
        user = in_flight_user.user
        displayed = await self._await_list(in_flight_user)
        next_time = user.next_time or 0.0
        step = user.step(displayed)
        is_user_list = displayed is not None and displayed.key == user_key(user.user_id)
        if displayed is not None and is_user_list:
            in_flight_user.last_list_id = displayed.list_id
        for event in step.events:
            wait = self._pacer.wait(self._monotonic())
            if wait > 0:
                await asyncio.sleep(wait)
            self._sender.send(event_record(event))
        in_flight_user.awaits_list = step.has_action
        self._tally.add(user.user_id, next_time, displayed, step, is_user_list=is_user_list)

    async def _await_list(self, in_flight_user: _InFlightUser) -> RecommendationList | None:
        """Read the list to display; after an action, wait for a new one."""
        user = in_flight_user.user
        key = user_key(user.user_id)
        exclude = () if user.current_item is None else (user.current_item,)
        deadline = self._monotonic() + self._list_timeout
        while True:
            try:
                current_list = await self._reader.read(
                    user.user_id,
                    session_items=user.session_items,
                    segments=user.segments,
                    exclude=exclude,
                )
            except ClientUnavailableError:
                current_list = None
            if not in_flight_user.awaits_list:
                return current_list
            if (
                current_list is not None
                and current_list.key == key
                and current_list.list_id != in_flight_user.last_list_id
            ):
                self._consecutive_timeouts = 0
                return current_list
            if self._monotonic() >= deadline or self._stopped:
                break
            await asyncio.sleep(POLL_INTERVAL)
        self._tally.late_lists += 1
        self._consecutive_timeouts += 1
        if self._consecutive_timeouts >= MAX_CONSECUTIVE_TIMEOUTS:
            raise UserError(
                f"{MAX_CONSECUTIVE_TIMEOUTS} consecutive lists were not published within {self._list_timeout:g} s. "
                "Check that a worker runs on this broker and Redis with `headrace doctor`."
            )
        return current_list
