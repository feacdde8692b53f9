"""Structs cannot be changed, and their fields are given by name.

A fold that fails leaves what it was given as it was, and tasks share configurations and records without copies.
"""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import msgspec
import pytest

from state.positions import ForwardedOffsets, PartitionPositions, TopicPosition
from state.published_list import PublishedList
from state.retention import Retention
from state.row import EMPTY_ROW, ErasureMark, EventCounts, RecentInteraction, RecentQuery, UserRow
from state.user_lists import UserLists
from stream_app.client.redis_contract import SearchList
from topics.codec import Limits
from topics.event_types import EventContent
from topics.records import Interaction, Line, ListedItem, Reason, RecommendationList, Reward
from topics.topic_checks import Problem

PACKAGES = (
    "topics",
    "state",
    "stream_app.client",
    "stream_app.experiment",
    "stream_app.publishing",
    "stream_app.ranking",
)


def modules() -> Iterator[str]:
    for name in PACKAGES:
        yield name
        yield from (found.name for found in walk_packages(import_module(name).__path__, f"{name}."))


STRUCTS: list[type[msgspec.Struct]] = [
    each
    for name in modules()
    for each in vars(import_module(name)).values()
    if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == name
]

MUTABLE = {PublishedList, UserLists}
"""The lists of users get outcomes."""

ARRAYS = {
    Line,
    Interaction,
    UserRow,
    RecentInteraction,
    RecentQuery,
    EventCounts,
    ErasureMark,
    TopicPosition,
    ForwardedOffsets,
    PartitionPositions,
}
"""The order of their fields is the format; there are many of them."""

POSITIONAL = ARRAYS | {PublishedList, UserLists, EventContent, ListedItem, Reason, Limits, Retention, Problem}
"""Their fields may be given by position."""

SHORT = {Reason, RecommendationList, SearchList, Reward}
"""Fields without content are left out of them: readers have the defaults."""

by_struct = pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)


@by_struct
def test_a_struct_cannot_be_changed(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.frozen == (struct not in MUTABLE)


@by_struct
def test_fields_are_given_by_name(struct: type[msgspec.Struct]) -> None:
    # Fields of the same type in a wrong order, such as an item for a user, would not be noticed.
    kinds = {parameter.kind for parameter in inspect.signature(struct).parameters.values()}
    assert kinds == {
        inspect.Parameter.POSITIONAL_OR_KEYWORD if struct in POSITIONAL else inspect.Parameter.KEYWORD_ONLY
    }


@by_struct
def test_a_struct_has_the_format_that_its_readers_expect(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.array_like == (struct in ARRAYS)
    assert struct.__struct_config__.omit_defaults == (struct in SHORT)


def test_a_field_of_a_row_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        EMPTY_ROW.last_ts = 1.0  # type: ignore[misc]
