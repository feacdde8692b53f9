"""Who comes to the shop in a run: the shoppers of a log, or generated ones; and what is fed before them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from msgspec import structs

from stream_app.tools.feeds.time_shift import shifted
from stream_app.tools.simulator.logged_users import cut, in_order, read_log
from stream_app.tools.simulator.preference_world import DAY, World
from stream_app.tools.simulator.replayed_user import ReplayedShopper
from stream_app.tools.simulator.scheduled_user import ComingShopper
from stream_app.tools.simulator.simulated_user import Shopper
from stream_app.tools.simulator.simulation_options import Options
from stream_app.tools.simulator.simulation_report import Regret, regret_of
from stream_app.tools.simulator.tally import Tally
from topics.events import CatalogItem, Event, UserEvent

DEFAULT_SHOPPERS: Final = 1_000


class Source(Protocol):
    """Shoppers, and what is known about them.

    Attributes
    ----------
    title
        In words.
    oldest, begin, end
        The shop's time, seconds since the epoch: of the first event fed, and of the shoppers followed.
    warm_up_events
        How many events are fed before them.
    """

    title: str
    oldest: float
    begin: float
    end: float
    warm_up_events: int

    def warm_up(self) -> Iterator[Event]:
        """What is fed as it is, in order of time."""

    def shoppers(self) -> list[Shopper]:
        """Who is followed."""

    def arrivals(self) -> Iterable[CatalogItem]:
        """Descriptions of items that the shop takes in while they are followed, by time."""

    def regret(self, tally: Tally) -> Regret | None:
        """The regret of a run, where it is known."""


class LogSource:
    """The shoppers of a log; its newest event is moved to now.

    Parameters
    ----------
    options
        Which log.
    run
        Put before the ids of shoppers and events.
    now
        Seconds since the epoch.
    """

    def __init__(self, options: Options, run: str, now: float) -> None:
        assert options.sessions is not None  # noqa: S101  # for the type checker
        log = read_log(options.sessions, options.format, options.sessions_a_day)
        share = options.warm_up if isinstance(options.warm_up, float) else 0.0
        self._before, self._measured = cut(log, share, options.tenth, options.shoppers)
        self._seed, self._run, self._run_before = options.seed, run, run
        shift = now - max(shopper.ends for shopper in log)
        shift_before = shift
        if isinstance(options.warm_up, Path):
            # Another log ends where this one begins, and its shoppers are others, whatever they are called.
            self._before = read_log(options.warm_up, options.format, options.sessions_a_day)
            shift_before += log[0].begins - max(shopper.ends for shopper in self._before)
            self._run_before = f"{run}before-"
        self._shift_ms, self._shift_before_ms = round(shift * 1_000), round(shift_before * 1_000)
        self.title = f"{options.sessions.name}, {len(self._measured):,} shoppers"
        self.begin = self._measured[0].begins + shift
        self.end = max(shopper.ends for shopper in self._measured) + shift
        self.oldest = self._before[0].begins + shift_before if self._before else self.begin
        self.warm_up_events = sum(shopper.size for shopper in self._before)

    def warm_up(self) -> Iterator[Event]:
        """Their events, as the log has them."""
        for event in in_order(self._before):
            yield named(shifted(event, self._shift_before_ms), self._run_before)

    def shoppers(self) -> list[Shopper]:
        """Those who are followed."""
        return [
            ReplayedShopper(each, seed=self._seed, run=self._run, shift_ms=self._shift_ms)
            for each in self._measured
        ]

    def arrivals(self) -> Iterable[CatalogItem]:
        """None: the log does not tell of items."""
        return ()

    def regret(self, tally: Tally) -> Regret | None:
        """Nobody knows what the best list would have been."""
        del tally
        return None


class GeneratedSource:
    """Generated shoppers, who come to a shop for some days that end now.

    Parameters
    ----------
    options
        How many, how long, and when tastes change.
    run
        Put before the ids of shoppers and events.
    now
        Seconds since the epoch.
    """

    def __init__(self, options: Options, run: str, now: float) -> None:
        self.begin = self.oldest = now - options.days * DAY
        self.end = now
        shifts = tuple(self.begin + day * DAY for day in options.shifts)
        self._world = World(options.items, options.seed, self.begin, now, shifts)
        self._shoppers = DEFAULT_SHOPPERS if options.shoppers is None else options.shoppers
        self._run = run
        self.title = (
            f"a generated shop of {options.items:,} items, {self._shoppers:,} shoppers, {options.days:g} days"
        )
        self.warm_up_events = int((self._world.arrives <= self.begin).sum())

    def warm_up(self) -> Iterator[Event]:
        """Descriptions of the items that are there from the beginning."""
        there = np.flatnonzero(self._world.arrives <= self.begin)
        return (self._world.catalogue.item(item, round(self.begin * 1_000)) for item in there.tolist())

    def shoppers(self) -> list[Shopper]:
        """Everybody who comes at all."""
        everybody = (
            ComingShopper(self._world, number, begin=self.begin, end=self.end, run=self._run)
            for number in range(self._shoppers)
        )
        return [shopper for shopper in everybody if shopper.due is not None]

    def arrivals(self) -> Iterable[CatalogItem]:
        """The others, as they arrive."""
        arrives = self._world.arrives
        late = np.flatnonzero(arrives > self.begin)
        for item in late[np.argsort(arrives[late])].tolist():
            yield self._world.catalogue.item(item, round(float(arrives[item]) * 1_000))

    def regret(self, tally: Tally) -> Regret | None:
        """Against the best list for each shopper at each look."""
        return regret_of(tally, self.begin, self.end, list(self._world.shifts))


def named(event: Event, run: str) -> Event:
    """The event with `run` before the ids of its shopper and its own."""
    if not run or not isinstance(event, UserEvent):
        return event
    return structs.replace(event, event_id=f"{run}{event.event_id}", user_id=f"{run}{event.user_id}")
