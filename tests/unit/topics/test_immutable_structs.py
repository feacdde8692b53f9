"""Events, records and rows cannot be changed: a fold that fails leaves what it was given as it was."""

import msgspec
import pytest

from state.row import EMPTY_ROW, EventCounts, RecentInteraction, RecentQuery, UserRow
from topics import records
from topics.codec import Limits
from topics.events import EVENT_STRUCTS, OrderLine

RECORDS = tuple(
    each for each in vars(records).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)
)


@pytest.mark.parametrize(
    "struct",
    [
        *(each for each in (*EVENT_STRUCTS, *RECORDS) if each is not msgspec.Struct),
        *(OrderLine, Limits, UserRow, RecentInteraction, RecentQuery, EventCounts),
    ],
    ids=lambda struct: struct.__name__,
)
def test_a_struct_cannot_be_changed(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.frozen


def test_a_field_of_a_row_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        EMPTY_ROW.last_ts = 1.0  # type: ignore[misc]


NAMED_FIELDS = (
    records.RecommendationList,
    records.DeadLetter,
    records.Reward,
    records.PolicyAssignment,
    records.ErasureReceipt,
)


@pytest.mark.parametrize(
    "struct", [*EVENT_STRUCTS, OrderLine, *NAMED_FIELDS], ids=lambda struct: struct.__name__
)
def test_fields_of_events_and_records_are_given_by_name(struct: type[msgspec.Struct]) -> None:
    # Fields of the same type in a wrong order, such as an item for a user, would not be noticed.
    with pytest.raises(TypeError, match="positional"):
        struct(*"abcdefghijk")
