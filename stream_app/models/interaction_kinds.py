"""Weights and streams of the kinds of interactions."""

from typing import Final

from stream_app.models.repeated_choices import ChoiceGroup
from stream_app.models.session_tracker import EventStream
from stream_app.models.two_tower_network import HEAD_OF_KIND, Head
from topics.records import Kind

KIND_WEIGHTS: Final[dict[Kind, float]] = {
    Kind.VIEW: 1.0,
    Kind.DETAIL: 1.5,
    Kind.CART: 3.0,
    Kind.WISHLIST: 2.5,
    Kind.SHARE: 2.0,
    Kind.PURCHASE: 5.0,
    Kind.LIKE: 2.0,
    Kind.DISLIKE: -1.0,
    Kind.HIDE: -2.0,
}
"""Weight of an item by kind; the other kinds carry no items to learn."""

KIND_STREAMS: Final[dict[Kind, EventStream]] = {
    Kind.VIEW: EventStream.VIEWS,
    Kind.DETAIL: EventStream.VIEWS,
    Kind.CART: EventStream.VIEWS,
    Kind.WISHLIST: EventStream.VIEWS,
    Kind.SHARE: EventStream.VIEWS,
    Kind.PURCHASE: EventStream.PURCHASES,
}
"""Stream of each kind; the other kinds belong to none."""

KIND_GROUPS: Final[dict[Kind, ChoiceGroup]] = {
    kind: ChoiceGroup(KIND_STREAMS.get(kind, ChoiceGroup.FEEDBACK)) for kind in Kind
}
"""Choices of which kinds are numbered together."""

KIND_HEADS: Final[dict[Kind, int]] = {kind: int(HEAD_OF_KIND.get(kind, Head.VIEW)) for kind in Kind}
"""What each kind is to the two-tower model, as a plain number: a member of an enumeration is slow to compile for."""
