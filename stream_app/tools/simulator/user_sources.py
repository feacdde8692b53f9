"""Sources of users of a run, logged or generated, and of the events of the warm-up."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import structs

from stream_app.tools.feeds.time_shift import shift_event
from stream_app.tools.simulator.log_split import merge_by_time, split_log
from stream_app.tools.simulator.logged_users import read_log
from stream_app.tools.simulator.preference_world import DAY, PreferenceWorld
from stream_app.tools.simulator.regret import Regret, compute_regret
from stream_app.tools.simulator.replayed_user import ReplayedUser
from stream_app.tools.simulator.scheduled_user import ScheduledUser
from stream_app.tools.simulator.simulated_user import SimulatedUser
from stream_app.tools.simulator.simulation_options import SimulationOptions
from stream_app.tools.simulator.tally import SimulationTally
from topics.events import CatalogItem, Event, UserEvent

DEFAULT_USERS: Final = 1_000


class UserSource(ABC):
    """Users of a run.

    Attributes
    ----------
    title
        Description for the console and the report.
    oldest, begin, end
        Simulated time, seconds since the epoch: of the first event of the warm-up, and the span of the users.
    warm_up_events
        Number of events of the warm-up.
    """

    title: str
    oldest: float
    begin: float
    end: float
    warm_up_events: int

    @abstractmethod
    def warm_up(self) -> Iterator[Event]:
        """Events to feed before the users, ordered by time."""

    @abstractmethod
    def users(self) -> list[SimulatedUser]:
        """The users to run."""

    def arrivals(self) -> Iterable[CatalogItem]:
        """Catalog events of items that arrive during the run, ordered by time; none by default."""
        return ()

    def regret(self, tally: SimulationTally) -> Regret | None:
        """Regret of a run; None, by default, if the best lists are unknown."""
        del tally
        return None


class LoggedUserSource(UserSource):
    """Users of a log, shifted in time so that the newest event is at `now`.

    Parameters
    ----------
    run
        Prefix of user and event ids.
    now
        Current time, seconds since the epoch.
    """

    def __init__(self, options: SimulationOptions, run: str, now: float) -> None:
        if options.sessions is None:
            raise ValueError("there is no log: options.sessions is None")
        log = read_log(options.sessions, options.format, options.sessions_per_day)
        share = options.warm_up if isinstance(options.warm_up, float) else 0.0
        self._warm_up_users, self._followed_users = split_log(log, share, options.tenth, options.users)
        self._seed, self._id_prefix, self._warm_up_prefix = options.seed, run, run
        shift = now - max(user.end_time for user in log)
        warm_up_shift = shift
        if isinstance(options.warm_up, Path):
            # A separate warm-up log ends where this one begins; a prefix keeps its users distinct from those of
            # this log.
            self._warm_up_users = read_log(options.warm_up, options.format, options.sessions_per_day)
            warm_up_shift += log[0].start_time - max(user.end_time for user in self._warm_up_users)
            self._warm_up_prefix = f"{run}before-"
        self._shift_ms, self._warm_up_shift_ms = round(shift * 1_000), round(warm_up_shift * 1_000)
        self.title = f"{options.sessions.name}, {len(self._followed_users):,} users"
        self.begin = self._followed_users[0].start_time + shift
        self.end = max(user.end_time for user in self._followed_users) + shift
        self.oldest = self._warm_up_users[0].start_time + warm_up_shift if self._warm_up_users else self.begin
        self.warm_up_events = sum(user.n_events for user in self._warm_up_users)

    def warm_up(self) -> Iterator[Event]:
        """Events of the warm-up users as logged, shifted in time."""
        for event in merge_by_time(self._warm_up_users):
            yield prefix_ids(shift_event(event, self._warm_up_shift_ms), self._warm_up_prefix)

    def users(self) -> list[SimulatedUser]:
        """The users to replay."""
        return [
            ReplayedUser(each, seed=self._seed, run=self._id_prefix, shift_ms=self._shift_ms)
            for each in self._followed_users
        ]


class GeneratedUserSource(UserSource):
    """Generated users over a number of days that ends at `now`."""

    def __init__(self, options: SimulationOptions, run: str, now: float) -> None:
        self.begin = self.oldest = now - options.days * DAY
        self.end = now
        shifts = tuple(self.begin + day * DAY for day in options.shifts)
        self._world = PreferenceWorld(options.items, options.seed, self.begin, now, shifts)
        self._n_users = DEFAULT_USERS if options.users is None else options.users
        self._id_prefix = run
        self.title = (
            f"a generated shop of {options.items:,} items, {self._n_users:,} users, {options.days:g} days"
        )
        self.warm_up_events = int((self._world.arrival_times <= self.begin).sum())

    def warm_up(self) -> Iterator[Event]:
        """Catalog events of the items available from the start."""
        available_items = np.flatnonzero(self._world.arrival_times <= self.begin)
        return (
            self._world.catalog.item(item, round(self.begin * 1_000)) for item in available_items.tolist()
        )

    def users(self) -> list[SimulatedUser]:
        """Users with at least one session."""
        scheduled_users = (
            ScheduledUser(self._world, number, begin=self.begin, end=self.end, run=self._id_prefix)
            for number in range(self._n_users)
        )
        return [user for user in scheduled_users if user.next_time is not None]

    def arrivals(self) -> Iterable[CatalogItem]:
        """Catalog events of the other items, by arrival."""
        arrival_times = self._world.arrival_times
        arriving_items = np.flatnonzero(arrival_times > self.begin)
        for item in arriving_items[np.argsort(arrival_times[arriving_items])].tolist():
            yield self._world.catalog.item(item, round(float(arrival_times[item]) * 1_000))

    def regret(self, tally: SimulationTally) -> Regret | None:
        """Regret against the best list of each user at each step."""
        return compute_regret(tally, self.begin, self.end, list(self._world.shifts))


def prefix_ids(event: Event, run: str) -> Event:
    """Add the prefix `run` to the event id and the user id."""
    if not run or not isinstance(event, UserEvent):
        return event
    return structs.replace(event, event_id=f"{run}{event.event_id}", user_id=f"{run}{event.user_id}")
