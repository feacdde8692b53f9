"""What the demo feeds: a log, or the generated shop."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from stream_app.demo.options import Options
from stream_app.feeds.clock_shift import wall_clock
from stream_app.feeds.formats import reader
from stream_app.feeds.log import Progress, Request, open_log
from stream_app.feeds.rows import Mapped, Row
from stream_app.simulator.shop import Shop


class EventSource(Protocol):
    """Rows for the feeder and what is known about them."""

    title: str
    total: int | None
    notes: tuple[str, ...]
    max_event_age: float
    titles: Mapping[str, str]

    def catalogue(self) -> Iterable[Row]:
        """What is fed, as fast as it goes, before the first event."""

    def rows(self) -> Iterable[Row]:
        """What is fed at the rate."""


class LogSource:
    """A log file.

    Parameters
    ----------
    options
        Which and how.
    max_event_age
        Seconds that workers take events for by their settings; a longer log lifts the bound.
    progress
        Told how far the reading is.
    """

    def __init__(self, options: Options, max_event_age: float, progress: Progress) -> None:
        assert options.events is not None  # noqa: S101  # for the type checker
        request = Request(path=options.events, read=reader(options.format, options.mapping))
        self._log = open_log(request, now=wall_clock(), max_age=max_event_age, progress=progress)
        self.title = options.events.name
        self.total: int | None = self._log.total
        too_long = self._log.retention_sentence(max_event_age) is not None
        self.max_event_age = 0.0 if too_long else max_event_age
        self.notes = tuple(
            note
            for note in (
                self._log.shift_sentence and self._log.shift_sentence.split(";")[0],
                "the log is longer than HEADRACE_MAX_EVENT_AGE: its workers take events of any age"
                if too_long
                else None,
            )
            if note
        )
        self.titles: Mapping[str, str] = {}

    def catalogue(self) -> Iterable[Row]:
        """Nothing: a log brings its descriptions of items in its own order."""
        return ()

    def rows(self) -> Iterable[Row]:
        """The rows of the log, by event time."""
        return self._log


class ShopSource:
    """The generated shop, without end.

    Parameters
    ----------
    options
        With the seed.
    max_event_age
        Seconds that workers take events for.
    """

    def __init__(self, options: Options, max_event_age: float) -> None:
        # Told apart by the second it was started, should it run against a broker that has seen it before.
        self._shop = Shop(seed=options.seed, run=str(int(wall_clock())))
        self.title = "a generated shop"
        self.total: int | None = None
        self.notes: tuple[str, ...] = ()
        self.max_event_age = max_event_age
        self.titles: Mapping[str, str] = self._shop.titles

    def catalogue(self) -> Iterator[Row]:
        """Every item once."""
        return (Mapped(number, item) for number, item in enumerate(self._shop.catalogue(wall_clock), start=1))

    def rows(self) -> Iterator[Row]:
        """What shoppers do."""
        return (Mapped(number, event) for number, event in enumerate(self._shop.events(wall_clock), start=1))
