"""The bounds of a row: what stays when there is more than the row holds, and when events arrive late."""

import pytest

from state.dedup import CAPACITY, RecordId
from state.fold import FoldOutcome, fold
from state.row import (
    EMPTY_ROW,
    MAX_BOUGHT,
    MAX_HIDDEN,
    MAX_LIKED,
    MAX_QUERIES,
    MAX_RECENT,
    RecentInteraction,
    UserRow,
)
from topics.events import (
    Click,
    Erasure,
    Feedback,
    FeedbackKind,
    Impression,
    OrderLine,
    Purchase,
    Search,
    UserEvent,
)
from topics.records import Kind, Source

GAP = 1_800.0
SOURCES = {
    Click: Source.CLICK,
    Search: Source.SEARCH,
    Purchase: Source.PURCHASE,
    Impression: Source.IMPRESSION,
    Feedback: Source.FEEDBACK,
    Erasure: Source.ERASURE,
}


def folded(*events: UserEvent, row: UserRow = EMPTY_ROW, start: int = 0) -> UserRow:
    for offset, event in enumerate(events, start):
        row = fold(row, event, RecordId(SOURCES[type(event)], 0, offset), GAP).row
    return row


def common(name: object, seconds: float) -> dict[str, object]:
    return {"event_id": f"event {name}", "user_id": "u", "ts": round(1000 * seconds)}


def click(seconds: float, item: str = "a", name: object = None, **fields: object) -> Click:
    return Click(**common(seconds if name is None else name, seconds), item_id=item, **fields)  # type: ignore[arg-type]


def purchase(seconds: float, *items: str, name: object = None) -> Purchase:
    lines = [OrderLine(item_id=item) for item in items]
    return Purchase(**common(seconds if name is None else name, seconds), order_id="o", items=lines)  # type: ignore[arg-type]


def feedback(seconds: float, item: str, kind: FeedbackKind) -> Feedback:
    return Feedback(**common(f"{item} {seconds}", seconds), item_id=item, kind=kind)  # type: ignore[arg-type]


def test_the_newest_purchase_of_an_item_counts_however_late_an_older_one_arrives() -> None:
    row = folded(purchase(50.0, "kettle"), purchase(20.0, "kettle"))
    assert row.bought == {"kettle": 50.0}
    assert folded(purchase(70.0, "kettle"), row=row, start=2).bought == {"kettle": 70.0}


def test_the_newest_opinion_of_an_item_counts_however_late_an_older_one_arrives() -> None:
    row = folded(feedback(50.0, "kettle", FeedbackKind.LIKE), feedback(20.0, "kettle", FeedbackKind.LIKE))
    assert row.liked == {"kettle": 50.0}
    row = folded(
        feedback(60.0, "pan", FeedbackKind.HIDE),
        feedback(30.0, "pan", FeedbackKind.DISLIKE),
        row=row,
        start=2,
    )
    assert row.hidden == {"pan": 60.0}


@pytest.mark.parametrize(
    ("kind", "field", "limit"),
    [(FeedbackKind.LIKE, "liked", MAX_LIKED), (FeedbackKind.HIDE, "hidden", MAX_HIDDEN)],
)
def test_the_oldest_opinions_are_dropped(kind: FeedbackKind, field: str, limit: int) -> None:
    events = [feedback(float(second), f"item {second}", kind) for second in range(1, limit + 4)]
    late = feedback(0.5, "late", kind)
    kept = getattr(folded(*events, late), field)
    assert list(kept) == [f"item {second}" for second in range(4, limit + 4)]


def test_the_oldest_purchases_are_dropped_and_of_two_at_once_the_first_by_name() -> None:
    row = folded(purchase(9.0, "b"), purchase(9.0, "a", name="other"))
    items = [f"item {number:03}" for number in range(MAX_BOUGHT - 1)]
    row = folded(purchase(10.0, *items), row=row, start=2)
    assert "b" in row.bought
    assert "a" not in row.bought
    assert len(row.bought) == MAX_BOUGHT


def test_the_oldest_recent_items_are_dropped() -> None:
    row = folded(*[click(float(second), f"item {second}") for second in range(MAX_RECENT + 2)])
    assert row.recent[0] == RecentInteraction(2.0, "item 2", Kind.VIEW)
    assert len(row.recent) == MAX_RECENT
    late = folded(click(0.0, "late", name="late"), row=row, start=99)
    assert late.recent == row.recent


def test_the_oldest_searches_are_dropped() -> None:
    searches = [
        Search(**common(second, second), query=f"query {second}")  # type: ignore[arg-type]
        for second in range(MAX_QUERIES + 3)
    ]
    assert [query.query for query in folded(*searches).queries] == [
        f"query {second}" for second in range(3, MAX_QUERIES + 3)
    ]


def test_a_duplicate_is_found_among_as_many_events_as_the_ring_holds() -> None:
    events = [click(float(second), name=second) for second in range(CAPACITY)]
    row = folded(*events)
    first = click(0.0, name=0)
    assert fold(row, first, RecordId(Source.CLICK, 0, 900), GAP).outcome is FoldOutcome.DUPLICATE
    row = folded(click(99.0, name="one more"), row=row, start=CAPACITY)
    assert fold(row, first, RecordId(Source.CLICK, 0, 900), GAP).outcome is FoldOutcome.ACCEPTED
    second = click(1.0, name=1)
    assert fold(row, second, RecordId(Source.CLICK, 0, 900), GAP).outcome is FoldOutcome.DUPLICATE


def test_the_same_id_in_another_topic_is_a_duplicate() -> None:
    row = folded(click(1.0, name="same"))
    again = Search(**common("same", 2.0), query="q")  # type: ignore[arg-type]
    assert fold(row, again, RecordId(Source.SEARCH, 0, 0), GAP).outcome is FoldOutcome.DUPLICATE


def test_the_segments_of_the_newest_event_that_has_any_count() -> None:
    first = click(10.0, channel="web", context={"country": "FR"})
    row = folded(first, click(20.0), click(5.0, channel="app"))
    assert (row.segments, row.segments_ts) == (("country:FR", "channel:web"), 10.0)
    row = folded(click(10.0, name="same time", channel="store"), row=row, start=3)
    assert row.segments == ("channel:store",)
    assert folded(click(1.0, context={"country": ""})).segments == ()
    assert folded(click(1.0, context={"country": 7})).segments == ()


def test_an_impression_counts_as_an_event_with_time_and_segments_but_as_no_activity() -> None:
    seen = Impression(**common("seen", 30.0), list_id="l", channel="web")  # type: ignore[arg-type]
    row = folded(click(10.0), seen)
    assert (row.first_ts, row.last_ts, row.segments) == (10.0, 30.0, ("channel:web",))
    assert (row.session.last, row.times) == (10.0, (10.0,))
    assert (row.counts.clicks, row.counts.impressions, row.counts.total) == (1, 1, 2)
    earlier = Impression(**common("earlier", 4.0), list_id="l")  # type: ignore[arg-type]
    assert folded(earlier, row=row, start=9).first_ts == 4.0


def test_every_type_of_event_is_counted() -> None:
    row = folded(
        click(1.0),
        Search(**common("s", 2.0), query="q"),  # type: ignore[arg-type]
        Search(**common("t", 2.0), query="q"),  # type: ignore[arg-type]
        purchase(3.0, "a", "b"),
        feedback(4.0, "a", FeedbackKind.LIKE),
        Impression(**common("i", 5.0), list_id="l"),  # type: ignore[arg-type]
    )
    counts = row.counts
    assert (counts.clicks, counts.searches, counts.purchases) == (1, 2, 1)
    assert (counts.feedback, counts.impressions, counts.total) == (1, 1, 6)


def test_results_of_a_search_stay_for_exactly_the_session_gap() -> None:
    search = Search(**common("s", 0.0), query="q", results=["a"])  # type: ignore[arg-type]
    assert folded(search, click(GAP)).queries[0].results == ("a",)
    assert folded(search, click(GAP + 0.001)).queries[0].results == ()
    assert folded(search, click(GAP + 0.001)).queries[0].query == "q"
