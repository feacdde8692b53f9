"""One shopper's event at a time, from raw bytes to what it changes."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec
import pytest

from state.row import EMPTY_ROW
from stream_app.client.redis_contract import user_key
from stream_app.kafka.batch_producer import DeliveryError
from stream_app.metrics import Metrics
from stream_app.worker.dead_letter_writer import KEPT_BYTES, DeadLetterWriter
from topics.catalog import (
    CLICKS,
    DEAD_LETTERS,
    ERASURES,
    FEEDBACK,
    IMPRESSIONS,
    INTERACTIONS,
    PURCHASES,
    SEARCHES,
)
from topics.codec import RejectedError, RejectReason
from topics.events import (
    Feedback,
    FeedbackKind,
    Impression,
    OrderLine,
    Purchase,
    Search,
)
from topics.records import DeadLetter, Interaction, Kind, Source

if TYPE_CHECKING:
    from tests.support.in_memory_worker import Workbench
else:
    from tests.support.in_memory_worker import Workbench


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


GOOD = b'{"event_id":"e","user_id":"ann","ts":1700000000000,"item_id":"shoe"}'


def interactions(bench: Workbench) -> list[Interaction]:
    values = [record.value for record in bench.outgoing.of(INTERACTIONS)]
    return [msgspec.msgpack.decode(value, type=Interaction) for value in values if value is not None]


def test_an_accepted_click_is_remembered_sent_learned_and_marked(workbench: Workbench) -> None:
    click = workbench.click("ann", "shoe", channel="web", context={"country": "FR"})
    message = workbench.message(click, offset=7, partition=3)
    assert workbench.events.handle(message) is None
    assert [entry.item_id for entry in workbench.rows.get("ann").recent] == ["shoe"]
    assert workbench.rows.partition_of("ann") == 3
    [record] = workbench.outgoing.of(INTERACTIONS)
    assert (record.partition, record.key) == (3, b"ann")
    [interaction] = interactions(workbench)
    assert (interaction.source, interaction.partition, interaction.offset) == (Source.CLICK, 3, 7)
    assert (interaction.user_id, interaction.kind) == ("ann", Kind.VIEW)
    assert interaction.segments == ("country:FR", "channel:web")
    assert workbench.models.version == 1
    assert len(workbench.flusher) == 1
    assert workbench.outcomes(CLICKS) == {"accepted": 1}


def test_every_kind_of_event_is_taken_from_its_topic(workbench: Workbench) -> None:
    ts = int(workbench.clock.now * 1000)
    workbench.take(
        workbench.click("ann", "shoe"),
        Search(event_id="s", user_id="ann", ts=ts, query="red shoes"),
        Purchase(event_id="p", user_id="ann", ts=ts, order_id="o", items=[OrderLine(item_id="shoe")]),
        Impression(event_id="i", user_id="ann", ts=ts, surface="home", items=["shoe"]),
        Feedback(event_id="f", user_id="ann", ts=ts, item_id="hat", kind=FeedbackKind.HIDE),
        workbench.erasure("bob"),
    )
    for spec in (CLICKS, SEARCHES, PURCHASES, IMPRESSIONS, FEEDBACK, ERASURES):
        assert workbench.outcomes(spec) == {"accepted": 1}
    row = workbench.rows.get("ann")
    assert row.counts.total == 5
    assert (set(row.bought), set(row.hidden)) == ({"shoe"}, {"hat"})
    # an impression says what was shown, not what the shopper did
    assert [each.kind for each in interactions(workbench)] == [
        Kind.VIEW,
        Kind.SEARCH,
        Kind.PURCHASE,
        Kind.HIDE,
        Kind.ERASE,
    ]


def test_the_same_event_sent_again_changes_nothing_and_is_counted(workbench: Workbench) -> None:
    click = workbench.click("ann", "shoe")
    workbench.take(click)
    before = workbench.rows.stored["ann"]
    workbench.flusher.erase("ann")
    workbench.take(click)
    assert workbench.rows.stored["ann"] == before
    assert len(workbench.outgoing.of(INTERACTIONS)) == 1
    assert workbench.models.version == 1
    assert len(workbench.flusher) == 0
    assert workbench.outcomes(CLICKS) == {"accepted": 1, "duplicate": 1}
    assert workbench.count("duplicates_total", topic=CLICKS.name) == 1


def test_an_event_read_again_after_a_crash_is_sent_again_identical_and_learned_once(
    workbench: Workbench,
) -> None:
    message = workbench.message(workbench.click("ann", "shoe"))
    workbench.events.handle(message)
    workbench.take(workbench.click("ann", "sock"))
    before = workbench.rows.stored["ann"]
    assert workbench.events.handle(message) is None
    first, _, again = workbench.outgoing.of(INTERACTIONS)
    assert again == first
    assert workbench.rows.stored["ann"] == before
    # the store on disk may be ahead of the changelog: the row is written to both again
    assert workbench.rows.writes["ann"] == 3
    assert workbench.models.version == 2
    assert workbench.count("interactions_dropped_total") == 1
    assert workbench.outcomes(CLICKS) == {"accepted": 2, "replayed": 1}


def test_a_list_that_a_crash_lost_is_published_when_its_event_is_read_again(workbench: Workbench) -> None:
    message = workbench.message(workbench.click("ann", "shoe"))
    workbench.events.handle(message)
    workbench.flusher.erase("ann")
    workbench.events.handle(message)
    assert len(workbench.flusher) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "unreadable"),
        (b"", "unreadable"),
        (b"\xff\xfe not json", "unreadable"),
        (GOOD[:-1] + b',"more":' + b"[" * 100_000, "unreadable"),
        (b"[]", "wrong_type"),
        (b'{"event_id":"e","user_id":"ann","ts":"soon","item_id":"shoe"}', "invalid_value"),
        (b'{"event_id":"e","user_id":"ann","ts":1700000000000}', "missing_field"),
        (GOOD.replace(b'"shoe"', b'""'), "invalid_value"),
        (GOOD.replace(b"shoe", b"x" * 257), "id_too_long"),
        (GOOD.replace(b"shoe", "é".encode() * 129), "id_too_long"),
        (GOOD.replace(b"1700000000000", b"1700000600000"), "future_timestamp"),
        (GOOD.replace(b"1700000000000", b"1600000000000"), "timestamp_too_old"),
    ],
)
def test_what_cannot_be_taken_is_a_dead_letter_with_its_reason_and_its_bytes(
    workbench: Workbench, value: bytes | None, reason: str
) -> None:
    message = workbench.record(CLICKS.name, b"ann\xff", value, offset=41, partition=2)
    assert workbench.events.handle(message) is None
    [letter] = workbench.letters()
    assert (letter.reason, letter.key, letter.value) == (reason, b"ann\xff", value)
    assert (letter.topic, letter.partition, letter.offset) == (CLICKS.name, 2, 41)
    assert letter.timestamp == workbench.clock.now
    assert letter.detail
    assert workbench.outgoing.of(DEAD_LETTERS)[0].partition == 0
    assert workbench.rows.stored == {}
    assert workbench.models.version == 0
    assert workbench.outcomes(CLICKS) == {"dead_lettered": 1}
    assert workbench.count("dead_letters_total", reason=reason) == 1


def test_a_negative_price_is_a_dead_letter(workbench: Workbench) -> None:
    purchase = Purchase(
        event_id="p",
        user_id="ann",
        ts=int(workbench.clock.now * 1000),
        order_id="o",
        items=[OrderLine(item_id="shoe", price=-1.0)],
    )
    workbench.events.handle(workbench.message(purchase))
    [letter] = workbench.letters()
    assert letter.reason == "negative_price"
    assert letter.topic == PURCHASES.name


@pytest.mark.parametrize("key", [None, b"", b"bob", b"\xff"])
def test_an_event_under_a_foreign_key_is_given_back_and_changes_nothing(
    workbench: Workbench, key: bytes | None
) -> None:
    event = workbench.events.handle(workbench.record(CLICKS.name, key, GOOD))
    assert event is not None
    assert event.user_id == "ann"
    assert workbench.rows.stored == {}
    assert workbench.outgoing.records == []
    assert workbench.models.version == 0
    assert len(workbench.flusher) == 0
    assert workbench.outcomes(CLICKS) == {"rekeyed": 1}


def test_a_bad_event_under_a_foreign_key_is_a_dead_letter_where_it_stands(workbench: Workbench) -> None:
    assert workbench.events.handle(workbench.record(CLICKS.name, b"bob", b"{}")) is None
    assert [letter.key for letter in workbench.letters()] == [b"bob"]


def test_a_fold_that_fails_is_a_dead_letter_and_the_next_event_is_fine(workbench: Workbench) -> None:
    workbench.rows.unreadable.add("ann")
    click = workbench.click("ann", "shoe")
    assert workbench.events.handle(workbench.message(click)) is None
    workbench.events.handle(workbench.message(workbench.click("bob", "shoe")))
    [letter] = workbench.letters()
    assert letter.reason == "fold_failed"
    assert letter.detail == "RowFormatError: the stored row has format 99, this version reads 1"
    assert letter.value == msgspec.json.encode(click)
    assert workbench.rows.get("bob").counts.clicks == 1
    assert [each.user_id for each in interactions(workbench)] == ["bob"]
    assert workbench.outcomes(CLICKS) == {"dead_lettered": 1, "accepted": 1}
    # sent back once the row can be read, it is taken
    workbench.rows.unreadable.clear()
    workbench.events.handle(workbench.message(click))
    assert workbench.rows.get("ann").counts.clicks == 1


def test_an_erasure_forgets_the_shopper_but_not_that_their_events_were_taken(workbench: Workbench) -> None:
    message = workbench.message(workbench.click("ann", "shoe"))
    workbench.events.handle(message)
    workbench.listed("ann", "shoe")
    workbench.take(workbench.erasure("ann"))
    row = workbench.rows.get("ann")
    assert (row.recent, row.counts, row.segments) == (EMPTY_ROW.recent, EMPTY_ROW.counts, EMPTY_ROW.segments)
    assert b"shoe" not in workbench.rows.stored["ann"]
    assert interactions(workbench)[-1].kind is Kind.ERASE
    assert workbench.lists.chose("ann", "shoe", workbench.clock.now) == 0
    assert len(workbench.flusher) == 0
    workbench.events.handle(message)
    assert workbench.rows.get("ann").recent == ()


def test_a_choice_is_held_against_the_list_the_shopper_had(workbench: Workbench) -> None:
    workbench.listed("ann", "sock", "shoe")
    workbench.take(
        workbench.click("ann", "shoe"), workbench.click("ann", "hat"), workbench.click("bob", "shoe")
    )
    assert workbench.count("prequential_events_total") == 2
    assert workbench.count("prequential_hits_total") == 1
    assert workbench.count("prequential_reciprocal_rank_total") == 0.5


async def test_a_choice_is_measured_before_it_is_learned(workbench: Workbench) -> None:
    workbench.take(workbench.click("ann", "shoe"))
    async with workbench.flushing():
        await workbench.flusher.drained()
        # what nobody had seen before cannot be a hit, though the next list holds it
        workbench.take(workbench.click("ann", "hat"))
        assert workbench.count("prequential_hits_total") == 0
        await workbench.flusher.drained()
        workbench.take(workbench.click("ann", "hat"))
    assert workbench.count("prequential_events_total") == 2
    assert workbench.count("prequential_hits_total") == 1


def test_each_line_of_a_purchase_is_a_choice(workbench: Workbench) -> None:
    workbench.listed("ann", "sock", "shoe")
    lines = [OrderLine(item_id=item) for item in ("sock", "shoe", "hat")]
    workbench.take(
        Purchase(event_id="p", user_id="ann", ts=int(workbench.clock.now * 1000), order_id="o", items=lines)
    )
    assert workbench.count("prequential_events_total") == 3
    assert workbench.count("prequential_hits_total") == 2


def test_neither_a_duplicate_nor_a_replayed_event_is_measured_again(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe")
    click = workbench.click("ann", "shoe")
    message = workbench.message(click)
    workbench.events.handle(message)
    workbench.events.handle(message)
    workbench.take(click)
    assert workbench.count("prequential_events_total") == 1


def test_an_event_that_kafka_cannot_keep_is_not_written_off(workbench: Workbench) -> None:
    workbench.outgoing.broken = True
    with pytest.raises(DeliveryError):
        workbench.events.handle(workbench.message(workbench.click("ann", "shoe")))
    assert workbench.outcomes(CLICKS) == {}


def test_a_bad_event_that_kafka_cannot_keep_is_not_counted_as_a_dead_letter(workbench: Workbench) -> None:
    workbench.outgoing.broken = True
    with pytest.raises(DeliveryError):
        workbench.events.handle(workbench.record(CLICKS.name, b"ann", b"{}"))
    assert workbench.outcomes(CLICKS) == {}


async def test_freshness_counts_from_the_brokers_time_of_the_event(workbench: Workbench) -> None:
    late = workbench.click("ann", "shoe", ts=int((workbench.clock.now - 3600) * 1000))
    workbench.take(late)
    workbench.clock.now += 0.05
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert user_key("ann") in workbench.publisher.documents
    assert workbench.count("freshness_seconds_sum") == pytest.approx(0.05, abs=1e-6)


def test_a_dead_letter_of_a_huge_record_keeps_what_kafka_takes_and_says_how_much_there_was() -> None:
    written: list[bytes | None] = []

    def append(
        topic: str, partition: int, key: bytes | None, value: bytes | None, delivered: object = None, /
    ) -> None:
        assert (topic, partition, key, delivered) == (DEAD_LETTERS.name, 0, b"u", None)
        written.append(value)

    message = SimpleNamespace(
        topic=CLICKS.name, partition=0, offset=7, timestamp=1.0, key=b"u", value=b"x" * 5_000_000
    )
    error = RejectedError(RejectReason.UNREADABLE, "no JSON")
    DeadLetterWriter(append, Metrics()).write(message, error)
    letter = msgspec.json.decode(written[0] or b"", type=DeadLetter)
    assert letter.value == b"x" * KEPT_BYTES
    assert letter.detail == f"no JSON (the first {KEPT_BYTES} of 5000000 bytes are kept)"
    assert len(written[0] or b"") < 4 * 1024 * 1024
