"""The fold of events into a row."""

import math
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from state.dedup import CAPACITY, RecordId
from state.fold import FoldOutcome, fold
from state.row import (
    EMPTY_ROW,
    MAX_BOUGHT,
    MAX_RECENT,
    MAX_RESULTS,
    UNKNOWN_PARTITION,
    ErasureStage,
    RecentQuery,
    UserRow,
    decode_row,
    encode_row,
)
from topics.events import (
    Action,
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
HOUR_MS = 3_600_000


def click(name: str, ts_ms: int, item: str = "a", **more: object) -> Click:
    return Click(event_id=name, user_id="u", ts=ts_ms, item_id=item, **more)  # type: ignore[arg-type]


def fold_all(row: UserRow, *events: UserEvent, start: int = 0) -> UserRow:
    """Fold events at successive offsets of their own topics."""
    offsets = dict.fromkeys(Source, start)
    for event in events:
        source = source_of(event)
        row = fold(row, event, RecordId(source, 0, offsets[source]), GAP).row
        offsets[source] += 1
    return row


def source_of(event: UserEvent) -> Source:
    return {
        Click: Source.CLICK,
        Search: Source.SEARCH,
        Purchase: Source.PURCHASE,
        Impression: Source.IMPRESSION,
        Feedback: Source.FEEDBACK,
        Erasure: Source.ERASURE,
    }[type(event)]


def test_a_click_is_stored_with_its_time_and_kind() -> None:
    row = fold_all(EMPTY_ROW, click("e1", 5_000, "x", action=Action.CART))
    assert [(r.item_id, r.ts, r.kind) for r in row.recent] == [("x", 5.0, Kind.CART)]
    assert row.counts.clicks == 1
    assert (row.first_ts, row.last_ts) == (5.0, 5.0)


def test_a_duplicate_event_id_changes_nothing() -> None:
    row = fold_all(EMPTY_ROW, click("e1", 5_000))
    again = fold(row, click("e1", 9_000, "other"), RecordId(Source.CLICK, 0, 7), GAP)
    assert again.outcome is FoldOutcome.DUPLICATE
    assert again.row is row
    assert again.interaction is None


def test_a_replayed_event_changes_nothing_but_yields_the_same_interaction() -> None:
    record_id = RecordId(Source.CLICK, 0, 41)
    first = fold(EMPTY_ROW, click("e1", 5_000), record_id, GAP)
    later = fold_all(first.row, click("e2", 6_000), start=42)
    again = fold(later, click("e1", 5_000), record_id, GAP)
    assert again.outcome is FoldOutcome.REPLAYED
    assert again.row is later
    assert again.interaction == first.interaction


def test_a_replayed_duplicate_yields_no_interaction() -> None:
    row = fold(EMPTY_ROW, click("e1", 5_000), RecordId(Source.CLICK, 0, 0), GAP).row
    assert fold(row, click("e1", 5_000), RecordId(Source.CLICK, 0, 1), GAP).outcome is FoldOutcome.DUPLICATE
    row = fold(row, click("e2", 6_000), RecordId(Source.CLICK, 0, 2), GAP).row
    again = fold(row, click("e1", 5_000), RecordId(Source.CLICK, 0, 1), GAP)
    assert again.outcome is FoldOutcome.REPLAYED
    assert again.interaction is None


def test_each_topic_has_its_own_watermark() -> None:
    row = fold(EMPTY_ROW, click("e1", 5_000), RecordId(Source.CLICK, 0, 100), GAP).row
    search = Search(event_id="s1", user_id="u", ts=6_000, query="shoes")
    assert fold(row, search, RecordId(Source.SEARCH, 0, 3), GAP).outcome is FoldOutcome.ACCEPTED


def test_a_session_closes_after_the_gap_and_not_before() -> None:
    half_hour = 1_800_000
    row = fold_all(EMPTY_ROW, click("e1", 0), click("e2", half_hour))
    assert (row.session.start, row.session.last) == (0.0, 1_800.0)
    later = fold_all(row, click("e3", 2 * half_hour + 1), start=9)
    assert (later.session.start, later.session.last) == (3_600.001, 3_600.001)


def test_an_out_of_order_event_is_inserted_by_event_time() -> None:
    row = fold_all(EMPTY_ROW, click("e1", 60_000, "a"), click("e3", 180_000, "c"), click("e2", 120_000, "b"))
    assert [r.item_id for r in row.recent] == ["a", "b", "c"]
    assert (row.session.start, row.session.last) == (60.0, 180.0)


def test_a_late_event_merges_two_sessions() -> None:
    row = fold_all(EMPTY_ROW, click("e1", 0, "a"), click("e3", 3_000_000, "c"))
    assert row.session.start == 3_000.0
    assert fold_all(row, click("e2", 1_500_000, "b"), start=9).session.start == 0.0


def test_a_much_older_event_leaves_the_current_session() -> None:
    row = fold_all(EMPTY_ROW, click("e2", 10 * HOUR_MS, "b"), click("e1", HOUR_MS, "a"))
    assert [r.item_id for r in row.recent] == ["a", "b"]
    assert row.session.start == 10 * 3_600.0


def test_a_purchase_fills_the_bought_set_and_a_dislike_the_hidden_one() -> None:
    lines = [OrderLine(item_id="x"), OrderLine(item_id="y", quantity=2, price=3.5)]
    row = fold_all(
        EMPTY_ROW,
        Purchase(event_id="p", user_id="u", ts=1_000, order_id="o", items=lines),
        Feedback(event_id="f", user_id="u", ts=2_000, item_id="z", kind=FeedbackKind.HIDE),
        Feedback(event_id="g", user_id="u", ts=3_000, item_id="w", kind=FeedbackKind.LIKE),
    )
    assert set(row.bought) == {"x", "y"}
    assert set(row.hidden) == {"z"}
    assert set(row.liked) == {"w"}


def test_an_impression_is_counted_but_starts_no_session_and_yields_no_interaction() -> None:
    seen = Impression(event_id="i", user_id="u", ts=1_000, list_id="l")
    folded = fold(EMPTY_ROW, seen, RecordId(Source.IMPRESSION, 0, 0), GAP)
    assert folded.row.counts.impressions == 1
    assert folded.row.session == EMPTY_ROW.session
    assert folded.interaction is None


def test_erasure_keeps_only_watermarks_and_event_ids() -> None:
    row = fold_all(EMPTY_ROW, click("e1", 1_000), Search(event_id="s", user_id="u", ts=2_000, query="q"))
    erased = fold_all(row, Erasure(event_id="x", user_id="u", ts=3_000))
    assert erased.recent == ()
    assert erased.queries == ()
    assert erased.counts.total == 0
    assert fold(erased, click("e1", 1_000), RecordId(Source.CLICK, 0, 0), GAP).outcome is FoldOutcome.REPLAYED


def test_an_event_from_before_an_erasure_that_is_read_after_it_brings_no_user_back() -> None:
    erased = fold_all(fold_all(EMPTY_ROW, click("e1", 1_000)), Erasure(event_id="x", user_id="u", ts=3_000))
    late = fold(erased, click("e2", 2_999), RecordId(Source.CLICK, 0, 7), GAP)
    assert late.outcome is FoldOutcome.ERASED
    assert late.row is erased
    assert late.interaction is None
    returned = fold(erased, click("e3", 3_000), RecordId(Source.CLICK, 0, 8), GAP)
    assert returned.outcome is FoldOutcome.ACCEPTED
    assert returned.row.counts.clicks == 1


def test_an_event_from_before_an_erasure_is_dropped_after_the_user_has_returned() -> None:
    row = fold_all(EMPTY_ROW, Erasure(event_id="x", user_id="u", ts=3_000))
    assert row.erasure is not None
    for stage in ErasureStage:
        stored = structs.replace(row, erasure=structs.replace(row.erasure, stage=stage))
        for erased in (stored, structs.replace(stored, erased_until=0.0)):  # the second of an earlier version
            returned = fold(erased, click("new", 4_000, "hat"), RecordId(Source.CLICK, 0, 5), GAP).row
            returned = structs.replace(decode_row(encode_row(returned)), erasure=None)  # completed
            late = fold(returned, click("old", 2_000), RecordId(Source.CLICK, 0, 6), GAP)
            assert late.outcome is FoldOutcome.ERASED
            assert [each.item_id for each in late.row.recent] == ["hat"]


def test_a_replayed_event_from_before_an_erasure_is_not_logged_again_after_the_user_has_returned() -> None:
    old, erasure = click("old", 2_000), Erasure(event_id="x", user_id="u", ts=3_000)
    row = fold(EMPTY_ROW, old, RecordId(Source.CLICK, 0, 4), GAP).row
    row = fold(row, erasure, RecordId(Source.ERASURE, 0, 0), GAP).row
    returned = structs.replace(
        fold(row, click("new", 4_000), RecordId(Source.CLICK, 0, 5), GAP).row, erasure=None
    )
    replayed = fold(returned, old, RecordId(Source.CLICK, 0, 4), GAP)
    assert replayed.outcome is FoldOutcome.ERASED
    assert replayed.row is returned
    assert replayed.interaction is None


def test_a_mark_counts_the_events_that_were_read_again_after_their_removal() -> None:
    old, erasure = click("old", 2_000), Erasure(event_id="x", user_id="u", ts=3_000)
    row = fold(EMPTY_ROW, old, RecordId(Source.CLICK, 0, 4), GAP).row
    row = fold(row, erasure, RecordId(Source.ERASURE, 0, 0), GAP).row
    for n_replays in (1, 2):
        assert row.erasure is not None
        row = structs.replace(row, erasure=structs.replace(row.erasure, stage=ErasureStage.SWEPT))
        row = fold(row, old, RecordId(Source.CLICK, 0, 4), GAP).row
        assert row.erasure is not None
        assert (row.erasure.stage, row.erasure.n_replays) == (ErasureStage.PENDING, n_replays)


def test_a_second_erasure_with_the_id_of_the_first_is_accepted_and_a_resent_one_is_not() -> None:
    first = Erasure(event_id="erase-u", user_id="u", ts=3_000)
    row = fold_all(fold_all(EMPTY_ROW, first), click("c", 4_000))
    resent = fold(row, first, RecordId(Source.ERASURE, 0, 1), GAP)
    assert resent.outcome is FoldOutcome.DUPLICATE
    assert resent.row.counts.clicks == 1
    second = Erasure(event_id="erase-u", user_id="u", ts=5_000)
    erased = fold(row, second, RecordId(Source.ERASURE, 0, 2), GAP)
    assert erased.outcome is FoldOutcome.ACCEPTED
    assert erased.row.counts.total == 0
    assert erased.interaction is not None
    replayed = fold(erased.row, second, RecordId(Source.ERASURE, 0, 2), GAP)
    assert replayed.outcome is FoldOutcome.REPLAYED
    assert replayed.interaction == erased.interaction


def test_an_erasure_older_than_another_is_accepted() -> None:
    erased = fold_all(EMPTY_ROW, Erasure(event_id="x", user_id="u", ts=3_000))
    older = fold(erased, Erasure(event_id="y", user_id="u", ts=2_000), RecordId(Source.ERASURE, 0, 9), GAP)
    assert older.outcome is FoldOutcome.ACCEPTED


def test_every_part_of_a_row_is_bounded() -> None:
    row = EMPTY_ROW
    for n in range(1_000):
        lines = [OrderLine(item_id=f"item-{n}")]
        bought = Purchase(event_id=f"p{n}", user_id="u", ts=n * 1_000, order_id="o", items=lines)
        row = fold_all(
            row, bought, Search(event_id=f"s{n}", user_id="u", ts=n * 1_000, query=f"q{n}"), start=n
        )
    assert len(row.recent) == MAX_RECENT
    assert len(row.bought) == MAX_BOUGHT
    assert "item-999" in row.bought
    assert "item-0" not in row.bought
    assert len(row.ring) == 12 * CAPACITY
    assert len(encode_row(row)) < 16_384


_events = st.lists(
    st.builds(
        click,
        name=st.uuids().map(str),
        ts_ms=st.integers(0, 20 * HOUR_MS),
        item=st.sampled_from("abcdefgh"),
    ),
    min_size=1,
    max_size=30,
)


@given(events=_events, data=st.data())
@settings(max_examples=60, deadline=None)
def test_recent_items_and_counts_do_not_depend_on_the_order_of_arrival(
    events: list[Click], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(events))
    in_order, shuffled_row = fold_all(EMPTY_ROW, *events), fold_all(EMPTY_ROW, *shuffled)
    assert in_order.recent == shuffled_row.recent
    assert in_order.session == shuffled_row.session
    assert in_order.counts == shuffled_row.counts
    assert (in_order.first_ts, in_order.last_ts) == (shuffled_row.first_ts, shuffled_row.last_ts)


@given(events=_events, cut=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_replaying_a_prefix_leaves_the_row_unchanged(events: list[Click], cut: int) -> None:
    baseline = fold_all(EMPTY_ROW, *events)
    again = baseline
    for offset, event in enumerate(events[:cut]):
        again = fold(again, event, RecordId(Source.CLICK, 0, offset), GAP).row
    assert again == baseline


@given(events=_events)
@settings(max_examples=40, deadline=None)
def test_rows_round_trip_through_their_encoding(events: list[Click]) -> None:
    row = fold_all(EMPTY_ROW, *events)
    assert decode_row(encode_row(row)) == row


def test_an_interaction_carries_the_order_lines_and_displayed_items() -> None:
    event = Purchase(
        event_id="p",
        user_id="u",
        ts=1_000,
        order_id="o",
        items=[OrderLine(item_id="x", quantity=2, price=9.5)],
        shown=["w", "x"],
        shown_prices=[1.0, 9.5],
        context={"country": "FR"},
    )
    interaction = fold(EMPTY_ROW, event, RecordId(Source.PURCHASE, 2, 5), GAP).interaction
    assert interaction is not None
    assert (interaction.kind, interaction.partition, interaction.offset) == (Kind.PURCHASE, 2, 5)
    assert interaction.lines[0].quantity == 2
    assert math.isclose(interaction.lines[0].price, 9.5)
    assert interaction.shown == ("w", "x")
    assert interaction.segments == ("country:FR",)


def search(name: str, ts_ms: int, query: str, *results: str) -> Search:
    return Search(event_id=name, user_id="u", ts=ts_ms, query=query, results=list(results))


def test_only_the_newest_search_keeps_its_results() -> None:
    row = fold_all(EMPTY_ROW, search("s1", 1_000, "tents", "a", "b"))
    assert row.queries == (RecentQuery(1.0, "tents", ("a", "b")),)
    row = fold_all(row, search("s2", 2_000, "boots", "c"), start=1)
    assert row.queries == (RecentQuery(1.0, "tents"), RecentQuery(2.0, "boots", ("c",)))
    row = fold_all(row, search("s3", 1_500, "late", "d"), start=2)
    assert row.queries == (
        RecentQuery(1.0, "tents"),
        RecentQuery(1.5, "late"),
        RecentQuery(2.0, "boots", ("c",)),
    )


def test_result_prices_are_kept_only_when_complete() -> None:
    priced = msgspec.structs.replace(search("s1", 1_000, "tents", "a", "b"), prices=[80.0, 60.0])
    folded = fold(EMPTY_ROW, priced, RecordId(Source.SEARCH, 0, 0), GAP)
    assert folded.row.queries == (RecentQuery(1.0, "tents", ("a", "b"), (80.0, 60.0)),)
    assert folded.interaction is not None
    assert (folded.interaction.shown, folded.interaction.shown_prices) == (("a", "b"), (80.0, 60.0))
    short = msgspec.structs.replace(search("s2", 2_000, "boots", "c", "d"), prices=[9.0])
    row = fold(folded.row, short, RecordId(Source.SEARCH, 0, 1), GAP).row
    assert row.queries == (RecentQuery(1.0, "tents"), RecentQuery(2.0, "boots", ("c", "d")))


def test_search_results_are_bounded() -> None:
    many = [f"i{number}" for number in range(2 * MAX_RESULTS)]
    event = msgspec.structs.replace(
        search("s1", 1_000, "tents", *many), prices=[float(at) for at in range(len(many))]
    )
    row = fold_all(EMPTY_ROW, event)
    assert row.queries[0].results == tuple(many[:MAX_RESULTS])
    assert row.queries[0].prices == tuple(event.prices[:MAX_RESULTS])


def test_results_are_kept_for_the_session_gap_and_the_query_longer() -> None:
    half_hour = int(GAP * 1000)
    row = fold_all(EMPTY_ROW, search("s1", 0, "tents", "a"), click("e1", half_hour))
    assert row.queries[0].results == ("a",)
    row = fold_all(row, click("e2", half_hour + 1), start=1)
    assert row.queries == (RecentQuery(0.0, "tents"),)


def test_a_row_without_search_results_can_be_decoded() -> None:
    row = fold_all(EMPTY_ROW, search("s1", 1_000, "tents"))
    assert len(row.queries) == 1
    raw = msgspec.msgpack.decode(encode_row(row))
    record_id = UserRow.__struct_fields__.index("queries")
    raw[record_id] = [[1.0, "tents"]]
    assert decode_row(msgspec.msgpack.encode(raw)) == row


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4_000), st.sampled_from(["tents", "boots"]), st.integers(0, 3), st.booleans()
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_queries_do_not_depend_on_the_order_of_arrival(
    made: list[tuple[int, str, int, bool]], random: Random
) -> None:
    events: list[UserEvent] = [
        search(f"e{number}", 1000 * ts, query, *"abc"[:count])
        if is_search
        else click(f"e{number}", 1000 * ts)
        for number, (ts, query, count, is_search) in enumerate(made)
    ]
    shuffled = list(events)
    random.shuffle(shuffled)
    assert fold_all(EMPTY_ROW, *shuffled).queries == fold_all(EMPTY_ROW, *events).queries


def test_watermarks_of_another_partition_hide_no_event() -> None:
    first = fold_all(EMPTY_ROW, click("e1", 5_000), start=900)
    again = fold(first, click("e2", 6_000), RecordId(Source.CLICK, 3, 7), GAP)
    assert again.outcome is FoldOutcome.ACCEPTED
    assert (again.row.partition, again.row.watermarks[Source.CLICK]) == (3, 7)
    assert again.row.watermarks[Source.SEARCH] == -1
    # The ring finds duplicates from other partitions.
    assert (
        fold(again.row, click("e1", 5_000), RecordId(Source.CLICK, 3, 8), GAP).outcome
        is FoldOutcome.DUPLICATE
    )


def test_a_row_of_an_earlier_version_finds_replays_by_its_event_ids() -> None:
    stored = msgspec.structs.replace(
        fold_all(EMPTY_ROW, click("e1", 5_000), start=900), partition=UNKNOWN_PARTITION
    )
    replayed = fold(stored, click("e1", 5_000), RecordId(Source.CLICK, 3, 900), GAP)
    assert replayed.outcome is FoldOutcome.REPLAYED
    assert replayed.row == stored
    # Its watermark may be of another partition: it hides no event that the row has not seen.
    accepted = fold(stored, click("e2", 6_000), RecordId(Source.CLICK, 3, 7), GAP)
    assert accepted.outcome is FoldOutcome.ACCEPTED
    assert accepted.row.partition == 3
