"""What the demo feeds: a log, or the generated shop."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from stream_app.client import Client, ClientUnavailableError
from stream_app.tools.demo.demo_options import DemoOptions
from stream_app.tools.feeds.event_log import LogRequest, ReadProgress, open_log
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.rows import EventRow, Row
from stream_app.tools.feeds.time_shift import wall_clock
from stream_app.tools.simulator.generated_shop import GeneratedShop
from stream_app.tools.simulator.generated_user import GeneratedUser
from stream_app.tools.simulator.simulated_user import NAMED_REACTION_SETTINGS
from topics.records import RecommendationList


class EventSource(Protocol):
    """Rows for the feeder and what is known about them."""

    title: str
    total: int | None
    notes: tuple[str, ...]
    max_event_age: float
    titles: Mapping[str, str]
    worker_settings: Mapping[str, object]

    def catalog(self) -> Iterable[Row]:
        """What is fed, as fast as it goes, before the first event."""

    def rows(self, client: Client) -> Iterable[Row]:
        """What is fed at the rate; shoppers who look at lists read them with the client."""


DEMO_POLICIES: Final = {"thompson": 0.4, "fixed": 0.3, "popularity": 0.3}
"""How the generated shop's shoppers are split between policies, so that one sees these part."""


class LogEventSource:
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

    def __init__(self, options: DemoOptions, max_event_age: float, progress: ReadProgress) -> None:
        assert options.events is not None  # noqa: S101  # for the type checker
        request = LogRequest(path=options.events, read=reader(options.format, options.mapping))
        self._log = open_log(request, now=wall_clock(), max_age=max_event_age, progress=progress)
        self.title = options.events.name
        self.total: int | None = self._log.total
        exceeds_max_age = self._log.retention_warning(max_event_age) is not None
        self.max_event_age = 0.0 if exceeds_max_age else max_event_age
        self.notes = tuple(
            note
            for note in (
                self._log.shift_message and self._log.shift_message.split(";")[0],
                "the log is longer than HEADRACE_MAX_EVENT_AGE: its workers take events of any age"
                if exceeds_max_age
                else None,
            )
            if note
        )
        self.titles: Mapping[str, str] = {}
        self.worker_settings: Mapping[str, object] = {}

    def catalog(self) -> Iterable[Row]:
        """Nothing: a log brings its descriptions of items in its own order."""
        return ()

    def rows(self, client: Client) -> Iterable[Row]:
        """The rows of the log, by event time."""
        del client  # what they did is written down
        return self._log


class GeneratedShopSource:
    """The generated shop, without end: its shoppers read their lists and click on them.

    Parameters
    ----------
    options
        With the seed.
    max_event_age
        Seconds that workers take events for.
    """

    def __init__(self, options: DemoOptions, max_event_age: float) -> None:
        # Told apart by the second it was started, should it run against a broker that has seen it before.
        self._shop = GeneratedShop(seed=options.seed, run=str(int(wall_clock())))
        self.title = "a generated shop"
        self.total: int | None = None
        self.notes: tuple[str, ...] = ()
        self.max_event_age = max_event_age
        self.titles: Mapping[str, str] = self._shop.titles
        self.worker_settings: Mapping[str, object] = {"policies": DEMO_POLICIES, **NAMED_REACTION_SETTINGS}

    def catalog(self) -> Iterator[Row]:
        """Every item once."""
        return (EventRow(number, item) for number, item in enumerate(self._shop.catalog(wall_clock), start=1))

    def rows(self, client: Client) -> Iterator[Row]:
        """What shoppers do with the lists they are shown."""

        def read(user: GeneratedUser) -> RecommendationList | None:
            try:
                return client.read(
                    user.user_id,
                    session_items=user.session_items,
                    segments=user.segments,
                    exclude=() if user.current_item is None else (user.current_item,),
                )
            except ClientUnavailableError:
                return None  # their page comes without a list

        events = self._shop.events(wall_clock, read)
        return (EventRow(number, event) for number, event in enumerate(events, start=1))
