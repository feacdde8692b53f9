"""Replayed users: they repeat a log, and click recommended items that the log contains later.

A session of the log is divided into **stays**: consecutive events on the same item (three pictures of a hotel and the
click-out are one stay), and each search. Before each stay the user examines their list (`examination_model`), without
the current item. They click the first examined item that has a later stay in the same session; this stay is
**recommended**. Then they continue with the next stay of the log, independently of the click.

No event is counted twice. A stay is recommended at most once. Its first click is sent at the time of the
recommendation, with list and position, and not again when the log reaches it; a stay that starts with a purchase
gets an additional click. All other events are sent once, as logged. An order line is attributed to a list if its
item was clicked on that list earlier in the session; purchases themselves depend on the log alone.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeVar

import numpy as np
from msgspec import structs

from stream_app.tools.simulator.examination_model import examine_list
from stream_app.tools.simulator.logged_users import LoggedEvent, LoggedUser
from stream_app.tools.simulator.simulated_user import AttributedLine, ListExamination, ShopEvent, Step
from topics.events import Click, Impression, Purchase
from topics.records import RecommendationList

E = TypeVar("E", bound=LoggedEvent)

_SESSION_ITEMS: Final = 3  # items of a session for the client's fallback chain


@dataclass(slots=True)
class _Stay:
    """Consecutive events on one item, or a search."""

    session: int
    item: str | None
    examination_draw: float
    unsent: deque[LoggedEvent]
    recommended: bool = False


def item_of(event: LoggedEvent) -> str | None:
    """The item of an event: the first one of an order, None for a search."""
    match event:
        case Click():
            return event.item_id
        case Purchase():
            return event.items[0].item_id
        case _:
            return None


class ReplayedUser:
    """A user who replays a log.

    Parameters
    ----------
    seed
        With the user's number it seeds the examination depth of each stay, so that different policies are examined
        equally deep.
    run
        Prefix of user and event ids, so that runs do not mix.
    shift_ms
        Milliseconds added to all timestamps.

    Examples
    --------
    >>> from topics.records import ListedItem, Reason
    >>> clicks = [Click(event_id=f"e{n}", user_id="u", ts=n * 60_000, item_id=item) for n, item in enumerate("abc")]
    >>> user = ReplayedUser(LoggedUser(0, "u", [clicks]), seed=7)
    >>> [event.item_id for event in user.step(None).events]
    ['a']
    >>> listed = tuple(ListedItem(item, 0.0, 1.0, Reason("popular")) for item in "cb")
    >>> displayed = RecommendationList(
    ...     list_id="l", key="k", generated_at="", policy="fixed", model_version=1, items=listed
    ... )
    >>> [getattr(event, "item_id", event.list_id) for event in user.step(displayed).events]
    ['l', 'c', 'b']
    >>> print(user.next_time)
    None
    """

    def __init__(self, logged_user: LoggedUser, *, seed: int, run: str = "", shift_ms: int = 0) -> None:
        self.user_id: Final = f"{run}{logged_user.user_id}"
        self._run = run
        self._shift = shift_ms
        self._stays = list(_stays(logged_user.sessions(), np.random.default_rng((seed, logged_user.number))))
        self._stay_index = 0
        self._session = -1
        self._upcoming: dict[str, deque[_Stay]] = {}  # not yet recommended stays of this session, by item
        self._clicked: dict[str, str] = {}  # list id of the last click, by item of this session
        self._items: deque[str] = deque(maxlen=_SESSION_ITEMS)
        self._last_ms = 0
        self._sent = 0
        self.current_item: str | None = None
        self.segments: Sequence[str] = ()
        self._open_session()

    @property
    def session_items(self) -> Sequence[str]:
        """The last items of the session."""
        return tuple(self._items)

    @property
    def next_time(self) -> float | None:
        """Time of the next stay, seconds since the epoch; None at the end."""
        if self._stay_index == len(self._stays):
            return None
        return self._stays[self._stay_index].unsent[0].time + self._shift / 1_000

    def step(self, displayed: RecommendationList | None) -> Step:
        """Examine the list and replay the next stay."""
        stay = self._stays[self._stay_index]
        events: list[ShopEvent] = []
        list_examination = self._examine_list(displayed, stay, events) if displayed is not None else None
        sales = []
        while stay.unsent:
            event = self._rewrite_event(stay.unsent.popleft())
            if isinstance(event, Purchase):
                event, attributed = self._attribute_purchase(event)
                sales += attributed
            events.append(event)
        if not stay.recommended and stay.item is not None:
            self._upcoming[stay.item].remove(stay)
        self.current_item = stay.item
        if stay.item is not None:
            self._items.append(stay.item)
        self._advance()
        return Step(events, list_examination, sales)

    def _examine_list(
        self, displayed: RecommendationList, stay: _Stay, events: list[ShopEvent]
    ) -> ListExamination:
        items = [item.id for item in displayed.items]
        examination = examine_list(
            items,
            stay.examination_draw,
            lambda item: item != self.current_item and bool(self._upcoming.get(item)),
        )
        first = stay.unsent[0]
        self._sent += 1
        impression = Impression(
            event_id=f"{self.user_id}-look-{self._sent}", user_id=self.user_id, ts=self._next_ms(first),
            session_id=first.session_id, channel=first.channel, context=first.context,
            list_id=displayed.list_id, items=list(examination.examined),
        )  # fmt: skip
        events.append(impression)
        if examination.clicked >= 0:
            events.append(
                self._click_recommended(
                    items[examination.clicked], examination.clicked, displayed.list_id, first
                )
            )
        return ListExamination(len(items), len(examination.examined), examination.clicked >= 0)

    def _click_recommended(self, item: str, position: int, list_id: str, now: LoggedEvent) -> Click:
        """Click a recommended item: the first click of its stay, or an additional one before a purchase."""
        stay = self._upcoming[item].popleft()
        stay.recommended = True
        self._clicked[item] = list_id
        self._items.append(item)
        first = stay.unsent[0]
        if isinstance(first, Click):
            stay.unsent.popleft()
            click = self._rewrite_event(structs.replace(first, ts=_time_ms(now)))
        else:
            click = Click(
                event_id=f"{self.user_id}-click-{self._sent}", user_id=self.user_id, ts=self._next_ms(now),
                session_id=first.session_id, channel=first.channel, context=first.context, item_id=item,
            )  # fmt: skip
        return structs.replace(click, list_id=list_id, position=position)

    def _attribute_purchase(self, event: Purchase) -> tuple[Purchase, list[AttributedLine]]:
        """Add the first attributed list to a purchase; return it with the attribution of each line."""
        lists = [self._clicked.get(line.item_id, "") for line in event.items]
        sales = [
            AttributedLine(list_id, line.price * line.quantity)
            for list_id, line in zip(lists, event.items, strict=True)
        ]
        return structs.replace(event, list_id=next(filter(None, lists), None)), sales

    def _advance(self) -> None:
        while self._stay_index < len(self._stays) and not self._stays[self._stay_index].unsent:
            self._stay_index += 1
        self._open_session()

    def _open_session(self) -> None:
        if self._stay_index == len(self._stays) or self._stays[self._stay_index].session == self._session:
            return
        self._session = self._stays[self._stay_index].session
        self._upcoming, self._clicked, self.current_item = {}, {}, None
        self._items.clear()
        for stay in self._stays[self._stay_index :]:
            if stay.session != self._session:
                break
            if stay.item is not None:
                self._upcoming.setdefault(stay.item, deque()).append(stay)
        segments = self._stays[self._stay_index].unsent[0].context.get("country")
        self.segments = () if segments is None else (f"country:{segments}",)

    def _rewrite_event(self, event: E) -> E:
        """The event with the ids of this run and a shifted timestamp."""
        return structs.replace(
            event, event_id=f"{self._run}{event.event_id}", user_id=self.user_id, ts=self._next_ms(event)
        )

    def _next_ms(self, event: LoggedEvent) -> int:
        """Shifted timestamp of an event, strictly ascending, so that the order of events is kept."""
        self._last_ms = max(_time_ms(event) + self._shift, self._last_ms + 1)
        return self._last_ms


def _time_ms(event: LoggedEvent) -> int:
    return event.ts if isinstance(event.ts, int) else round(event.time * 1_000)


def _stays(sessions: Sequence[Sequence[LoggedEvent]], rng: np.random.Generator) -> Iterator[_Stay]:
    for number, session in enumerate(sessions):
        for item, run in groupby(session, item_of):
            for unsent in [deque(run)] if item is not None else [deque((search,)) for search in run]:
                yield _Stay(number, item, rng.random(), unsent)
