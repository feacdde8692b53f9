"""The event table, and an event type that is added to it."""

from typing import Final

import msgspec
import pytest

from state.attribution import AttributionRules, attribute
from state.dedup import RecordId
from state.fold import FoldOutcome, fold
from state.list_store import PublishedListStore
from state.published_list import PublishedList
from state.row import EMPTY_ROW, EventCounts, decode_row, encode_row
from topics.event_types import BY_STRUCT, EVENT_TYPES, Effect, EventContent, EventType
from topics.events import EVENT_STRUCTS, CatalogItem, Click, Id, UserEvent
from topics.records import REWARD_KINDS, Kind, Line, RewardKind, Source

GAP: Final = 1_800.0
N_STORED_SOURCES: Final = len(Source)
NO_OTHER_WATERMARKS: Final = (-1,) * (N_STORED_SOURCES - 1)
"""Watermarks of the stored sources after the first."""


class Rating(UserEvent, frozen=True, kw_only=True):
    """One more event type: a user gave an item stars."""

    item_id: Id
    stars: int
    list_id: Id | None = None


def _read_rating(event: Rating) -> EventContent:
    kind = Kind.LIKE if event.stars > 3 else Kind.DISLIKE
    return EventContent(kind, (Line(event.item_id),), list_id=event.list_id or "")


@pytest.fixture
def rating_source(monkeypatch: pytest.MonkeyPatch) -> Source:
    """Add a source after the last one, and its row of the event table."""
    source = int.__new__(Source, N_STORED_SOURCES)
    source._name_, source._value_ = "ADDED", N_STORED_SOURCES
    monkeypatch.setitem(Source._value2member_map_, N_STORED_SOURCES, source)
    rating = EventType(
        Rating, source, "events.added", "A user rated an item.", Effect.REACTION, "feedback", _read_rating
    )
    monkeypatch.setitem(BY_STRUCT, Rating, rating)  # type: ignore[misc]
    return source


def rating(name: str, ts_ms: int, item: str, stars: int) -> Rating:
    return Rating(event_id=name, user_id="u", ts=ts_ms, item_id=item, stars=stars)


def test_a_row_stored_before_a_source_existed_is_folded(rating_source: Source) -> None:
    click = Click(event_id="e1", user_id="u", ts=5_000, item_id="a")
    stored = encode_row(fold(EMPTY_ROW, click, RecordId(Source.CLICK, 0, 7), GAP).row)
    row = decode_row(stored)
    assert len(row.watermarks) == N_STORED_SOURCES

    folded = fold(row, rating("r1", 6_000, "b", 5), RecordId(rating_source, 0, 3), GAP)

    assert folded.outcome is FoldOutcome.ACCEPTED
    assert folded.row.watermarks == (7, *NO_OTHER_WATERMARKS, 3)
    assert folded.row.liked == {"b": 6.0}
    assert folded.row.counts == EventCounts(clicks=1, feedback=1)
    assert folded.interaction is not None
    assert (folded.interaction.source, folded.interaction.kind) == (rating_source, Kind.LIKE)
    assert decode_row(encode_row(folded.row)) == folded.row


def test_duplicates_and_replays_of_a_new_source_are_found(rating_source: Source) -> None:
    event = rating("r1", 6_000, "b", 1)
    first = fold(EMPTY_ROW, event, RecordId(rating_source, 0, 3), GAP)
    assert fold(first.row, event, RecordId(rating_source, 0, 4), GAP).outcome is FoldOutcome.DUPLICATE
    again = fold(first.row, event, RecordId(rating_source, 0, 3), GAP)
    assert again.outcome is FoldOutcome.REPLAYED
    assert again.interaction == first.interaction


def test_a_row_with_a_source_that_this_version_does_not_have_is_folded(
    rating_source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = fold(EMPTY_ROW, rating("r1", 6_000, "b", 5), RecordId(rating_source, 0, 3), GAP).row
    monkeypatch.undo()
    click = Click(event_id="r1", user_id="u", ts=7_000, item_id="a")
    assert fold(decode_row(encode_row(row)), click, RecordId(Source.CLICK, 0, 0), GAP).outcome is (
        FoldOutcome.DUPLICATE
    )
    other = msgspec.structs.replace(click, event_id="e2")
    folded = fold(row, other, RecordId(Source.CLICK, 0, 0), GAP)
    assert folded.row.watermarks == (0, *NO_OTHER_WATERMARKS, 3)


def test_a_reaction_of_a_new_type_is_attributed(rating_source: Source) -> None:
    store = PublishedListStore()
    store.add("u", 0, PublishedList("l", "fixed", 1.0, ("a", "b")))
    event = rating("r1", 6_000, "b", 5)
    [reward] = attribute(store, event, RecordId(rating_source, 0, 3), 6.0, AttributionRules()).rewards
    assert (reward.source, reward.kind, reward.position) == (rating_source, RewardKind.LIKE, 1)


def test_each_event_struct_has_one_row() -> None:
    structs = [event_type.struct for event_type in EVENT_TYPES]
    assert sorted(structs, key=str) == sorted(set(EVENT_STRUCTS) - {CatalogItem}, key=str)
    assert [event_type.source for event_type in EVENT_TYPES] == list(Source)


def test_each_counted_type_names_a_counter_of_the_row() -> None:
    for event_type in EVENT_TYPES:
        is_erasure = event_type.effect is Effect.ERASURE
        assert (event_type.counter == "") is is_erasure
        assert is_erasure or event_type.counter in EventCounts.__struct_fields__


def test_every_kind_but_searches_and_erasures_has_a_reward() -> None:
    assert set(REWARD_KINDS) == set(Kind) - {Kind.SEARCH, Kind.ERASE}
