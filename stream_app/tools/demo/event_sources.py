"""Sources of the demo's events: a log, or the generated shop."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from stream_app.client import Client, ClientUnavailableError
from stream_app.tools.demo.demo_options import DemoOptions
from stream_app.tools.feeds.event_log import LogRequest, ReadProgress, open_log
from stream_app.tools.feeds.rows import EventRow, Row
from stream_app.tools.feeds.time_shift import wall_clock
from stream_app.tools.simulator.generated_shop import GeneratedShop
from stream_app.tools.simulator.generated_user import GeneratedUser
from stream_app.tools.simulator.simulated_user import NAMED_REACTION_SETTINGS
from topics.records import RecommendationList


class EventSource(ABC):
    """Rows for the feeder.

    Attributes
    ----------
    title
        Name on the screen.
    total
        Number of rows; None for an endless source.
    notes
        Lines to print before the run.
    max_event_age
        Age in seconds up to which workers accept events; 0 accepts any.
    titles
        Item titles by item id.
    worker_settings
        Settings of the workers, unless the environment sets them.
    """

    title: str
    total: int | None = None
    notes: tuple[str, ...] = ()
    max_event_age: float
    titles: Mapping[str, str] = MappingProxyType({})
    worker_settings: Mapping[str, object] = MappingProxyType({})

    def catalog(self) -> Iterable[Row]:
        """Rows to feed at full speed before the first event; none by default."""
        return ()

    @abstractmethod
    def rows(self, client: Client) -> Iterable[Row]:
        """Rows to feed at the requested rate; generated users read their lists by the client."""


DEMO_POLICIES: Final = {"thompson": 0.4, "fixed": 0.3, "popularity": 0.3}
"""Traffic shares of the policies in the generated shop, chosen so that their results diverge visibly."""


class LogEventSource(EventSource):
    """A log file; its catalog rows are fed in log order.

    Parameters
    ----------
    max_event_age
        Configured age limit of events in seconds; disabled for a log that spans more.
    """

    def __init__(self, request: LogRequest, max_event_age: float, progress: ReadProgress) -> None:
        self._log = open_log(request, now=wall_clock(), max_age=max_event_age, progress=progress)
        self.title = request.path.name
        self.total = self._log.total
        exceeds_max_age = self._log.retention_warning(max_event_age) is not None
        self.max_event_age = 0.0 if exceeds_max_age else max_event_age
        self.notes = tuple(
            note
            for note in (
                self._log.shift_message and self._log.shift_message.split(";")[0],
                "the log spans more than HEADRACE_MAX_EVENT_AGE: the demo's workers accept events of any age"
                if exceeds_max_age
                else None,
            )
            if note
        )

    def rows(self, client: Client) -> Iterable[Row]:
        """The rows of the log by event time."""
        del client  # the log has the users' interactions already
        return self._log


class GeneratedShopSource(EventSource):
    """The endless generated shop: its users read their lists and click on them."""

    def __init__(self, options: DemoOptions, max_event_age: float) -> None:
        # Event ids carry the start time: on an external broker, an earlier run's ids would be duplicates.
        self._shop = GeneratedShop(seed=options.seed, run=str(int(wall_clock())))
        self.title = "a generated shop"
        self.max_event_age = max_event_age
        self.titles = self._shop.titles
        self.worker_settings = {"policies": DEMO_POLICIES, **NAMED_REACTION_SETTINGS}

    def catalog(self) -> Iterator[Row]:
        """Each item once."""
        return (EventRow(number, item) for number, item in enumerate(self._shop.catalog(wall_clock), start=1))

    def rows(self, client: Client) -> Iterator[Row]:
        """Events of users who react to their lists."""

        def read(user: GeneratedUser) -> RecommendationList | None:
            try:
                return client.read(
                    user.user_id,
                    session_items=user.session_items,
                    segments=user.segments,
                    exclude=() if user.current_item is None else (user.current_item,),
                )
            except ClientUnavailableError:
                return None  # the page is rendered without a list

        events = self._shop.events(wall_clock, read)
        return (EventRow(number, event) for number, event in enumerate(events, start=1))
