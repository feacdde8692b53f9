"""What every shopper is: somebody who is shown a list, and says what they do then.

A shopper is a state machine without a clock or a connection. `stream_app.tools.simulator.loop` reads lists for many
of them and sends their events; `stream_app.tools.simulator.generated_shop` asks them one after the other.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from topics.events import Click, Impression, Purchase, Search
from topics.records import RecommendationList

ShopEvent = Click | Search | Purchase | Impression
"""What shoppers do."""

NAMED_REACTION_SETTINGS: Final[Mapping[str, object]] = {"reward_require_list_id": True}
"""Settings of workers whose shoppers are these: a click on a list names it, so one without is on something else."""


class ListExamination(NamedTuple):
    """One list looked at.

    Attributes
    ----------
    listed, examined
        Items on it; items looked at.
    clicked
        Whether one was clicked.
    expected, best
        The chance of a click on it, and on the best list there could have been; NaN where nobody can know.
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
        The list that the item was last clicked on in this visit; empty where the shopper found it without a list.
    revenue
        Price x quantity.
    """

    list_id: str
    revenue: float


class Step(NamedTuple):
    """What a shopper does once they have been shown a list.

    Attributes
    ----------
    events
        In this order.
    list_examination
        At the list; None where there was none.
    sales
        Order lines among the events.
    """

    events: list[ShopEvent]
    list_examination: ListExamination | None
    sales: list[AttributedLine]

    @property
    def has_action(self) -> bool:
        """Whether they did anything but look: then the next list is to reflect it."""
        return any(not isinstance(event, Impression) for event in self.events)


class SimulatedUser(Protocol):
    """A shopper of any kind."""

    @property
    def user_id(self) -> str:
        """Who."""

    @property
    def next_time(self) -> float | None:
        """When they do something next, seconds since the epoch in the shop's time; None if they never will."""

    @property
    def session_items(self) -> Sequence[str]:
        """Items of the current visit, oldest first, for the fallback chain of the client."""

    @property
    def segments(self) -> Sequence[str]:
        """The shopper's audiences, for the same."""

    @property
    def current_item(self) -> str | None:
        """The item they are looking at, which their page leaves out of its list."""

    def step(self, displayed: RecommendationList | None) -> Step:
        """Look at the list that is shown, if any, and go on.

        Must not be called once `next_time` is None.
        """
