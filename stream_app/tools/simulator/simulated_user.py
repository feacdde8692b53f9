"""The interface of simulated users: given the displayed list, a step returns the user's events.

A simulated user is a state machine without clock or connection. `stream_app.tools.simulator.loop` reads lists and
sends events for many of them.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from topics.events import Click, Impression, Purchase, Search
from topics.records import RecommendationList

ShopEvent = Click | Search | Purchase | Impression
"""Events of simulated users."""

NAMED_REACTION_SETTINGS: Final[Mapping[str, object]] = {"reward_require_list_id": True}
"""Worker settings for simulated users, whose clicks on a list always carry its `list_id`."""


class ListExamination(NamedTuple):
    """The examination of one list.

    Attributes
    ----------
    listed, examined
        Number of listed and of examined items.
    expected, best
        Click probability of the list, and of the best possible list; NaN if unknown.
    """

    listed: int
    examined: int
    clicked: bool
    expected: float = float("nan")
    best: float = float("nan")


class AttributedLine(NamedTuple):
    """One order line.

    Attributes
    ----------
    list_id
        The list on which the item was last clicked in this session; empty without such a click.
    revenue
        Price x quantity.
    """

    list_id: str
    revenue: float


class Step(NamedTuple):
    """The result of one step.

    Attributes
    ----------
    list_examination
        Examination of the list; None without a list.
    sales
        Order lines of the events.
    """

    events: list[ShopEvent]
    list_examination: ListExamination | None
    sales: list[AttributedLine]

    @property
    def has_action(self) -> bool:
        """Whether there is an event besides impressions, which the next list must reflect."""
        return any(not isinstance(event, Impression) for event in self.events)


class SimulatedUser(Protocol):
    """A simulated user."""

    @property
    def user_id(self) -> str:
        """User id."""

    @property
    def next_time(self) -> float | None:
        """Simulated time of the next step, seconds since the epoch; None at the end."""

    @property
    def session_items(self) -> Sequence[str]:
        """Items of the current session, oldest first, for the client's fallback chain."""

    @property
    def segments(self) -> Sequence[str]:
        """Segments of the user, for the client's fallback chain."""

    @property
    def current_item(self) -> str | None:
        """The item of the current page, which is excluded from the list."""

    def step(self, displayed: RecommendationList | None) -> Step:
        """Examine the displayed list, if any, and act.

        Must not be called once `next_time` is None.
        """
