"""User events, from raw bytes to their effects."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from state.row import EMPTY_ROW
from stream_app.client.redis_contract import user_key
from stream_app.kafka.batch_producer import DeliveryError
from stream_app.kafka.event_origin import EventOrigin, origin_header
from stream_app.metrics import Metrics
from stream_app.worker import event_processor as event_processor_module
from stream_app.worker.dead_letter_writer import MAX_VALUE_BYTES, DeadLetterWriter
from topics.catalog import (
    CLICKS,
    DEAD_LETTERS,
    ERASURES,
    FEEDBACK,
    IMPRESSIONS,
    INTERACTIONS,
    PURCHASES,
    REWARDS,
    SEARCHES,
)
from topics.codec import RejectedError, RejectReason
from topics.events import (
    Click,
    Feedback,
    FeedbackKind,
    Impression,
    OrderLine,
    Purchase,
    Search,
)
from topics.records import DeadLetter, Interaction, Kind, Source

if TYPE_CHECKING:
    from tests.support.in_memory_worker import InMemoryWorker
else:
    from tests.support.in_memory_worker import InMemoryWorker


@pytest.fixture
def worker(tmp_path: Path) -> InMemoryWorker:
    return InMemoryWorker(tmp_path)


GOOD = b'{"event_id":"e","user_id":"ann","ts":1700000000000,"item_id":"shoe"}'


def interactions(worker: InMemoryWorker) -> list[Interaction]:
    values = [record.value for record in worker.producer.of(INTERACTIONS)]
    return [msgspec.msgpack.decode(value, type=Interaction) for value in values if value is not None]


def test_an_accepted_click_is_stored_sent_learned_and_marked_pending(worker: InMemoryWorker) -> None:
    click = worker.click("ann", "shoe", channel="web", context={"country": "FR"})
    message = worker.message(click, offset=7, partition=3)
    assert worker.events.handle(message) is None
    assert [entry.item_id for entry in worker.rows.get("ann").recent] == ["shoe"]
    assert worker.rows.partition_of("ann") == 3
    [record] = worker.producer.of(INTERACTIONS)
    assert (record.partition, record.key) == (3, b"ann\xff0.3.7")
    [interaction] = interactions(worker)
    assert (interaction.source, interaction.partition, interaction.offset) == (Source.CLICK, 3, 7)
    assert (interaction.user_id, interaction.kind) == ("ann", Kind.VIEW)
    assert interaction.segments == ("country:FR", "channel:web")
    assert worker.models.version == 1
    assert worker.queue.n_users == 1
    assert worker.event_outcomes(CLICKS) == {"accepted": 1}


def test_every_event_type_is_accepted_from_its_topic(worker: InMemoryWorker) -> None:
    ts = int(worker.clock.now * 1000)
    worker.accept(
        worker.click("ann", "shoe"),
        Search(event_id="s", user_id="ann", ts=ts, query="red shoes"),
        Purchase(event_id="p", user_id="ann", ts=ts, order_id="o", items=[OrderLine(item_id="shoe")]),
        Impression(event_id="i", user_id="ann", ts=ts, surface="home", items=["shoe"]),
        Feedback(event_id="f", user_id="ann", ts=ts, item_id="hat", kind=FeedbackKind.HIDE),
        worker.erasure("bob"),
    )
    for spec in (CLICKS, SEARCHES, PURCHASES, IMPRESSIONS, FEEDBACK, ERASURES):
        assert worker.event_outcomes(spec) == {"accepted": 1}
    row = worker.rows.get("ann")
    assert row.counts.total == 5
    assert (set(row.bought), set(row.hidden)) == ({"shoe"}, {"hat"})
    # An impression is not an action of the user.
    assert [each.kind for each in interactions(worker)] == [
        Kind.VIEW,
        Kind.SEARCH,
        Kind.PURCHASE,
        Kind.HIDE,
        Kind.ERASE,
    ]


def test_a_duplicate_event_changes_nothing_and_is_counted(worker: InMemoryWorker) -> None:
    click = worker.click("ann", "shoe")
    worker.accept(click)
    before = worker.rows.stored["ann"]
    worker.flush_loop.erase("ann")
    worker.accept(click)
    assert worker.rows.stored["ann"] == before
    assert len(worker.producer.of(INTERACTIONS)) == 1
    assert worker.models.version == 1
    assert worker.queue.n_users == 0
    assert worker.event_outcomes(CLICKS) == {"accepted": 1, "duplicate": 1}
    assert worker.count("duplicates_total", topic=CLICKS.name) == 1


def test_a_replayed_event_is_sent_again_identically_and_learned_once(
    worker: InMemoryWorker,
) -> None:
    message = worker.message(worker.click("ann", "shoe"))
    worker.events.handle(message)
    worker.accept(worker.click("ann", "sock"))
    before = worker.rows.stored["ann"]
    assert worker.events.handle(message) is None
    first, _, again = worker.producer.of(INTERACTIONS)
    assert again == first
    assert worker.rows.stored["ann"] == before
    # The store on disk may be ahead of the changelog: the row is written to both again.
    assert worker.rows.writes["ann"] == 3
    assert worker.models.version == 2
    assert worker.count("interactions_dropped_total") == 1
    assert worker.event_outcomes(CLICKS) == {"accepted": 2, "replayed": 1}


class Forwarded:
    """The forwarded events that were processed."""

    def __init__(self) -> None:
        self.processed: list[EventOrigin] = []

    def is_repeated(self, topic: str, partition: int, origin: EventOrigin) -> bool:
        assert (topic, partition) == (CLICKS.name, 0)
        return origin in self.processed

    def on_processed(self, topic: str, partition: int, origin: EventOrigin) -> None:
        assert (topic, partition) == (CLICKS.name, 0)
        self.processed.append(origin)


def forwarded_headers(event: Click) -> list[tuple[str, bytes]]:
    return [origin_header(EventOrigin("x", 3, 17), event.user_id.encode(), msgspec.json.encode(event))]


def test_headers_that_were_copied_to_another_event_say_nothing(tmp_path: Path) -> None:
    worker = InMemoryWorker(tmp_path, Forwarded())
    event = worker.click("ann", "shoe")
    headers = forwarded_headers(event)
    worker.events.handle(worker.message(event, headers=headers))
    # As a program of the shop writes it that copies clicks from before a login to the customer, or corrects them.
    for other in (worker.click("bob", "shoe"), worker.click("ann", "sock")):
        assert worker.events.handle(worker.message(other, headers=headers)) is None
    assert worker.event_outcomes(CLICKS) == {"accepted": 3}


def test_an_event_that_is_forwarded_again_counts_once(tmp_path: Path) -> None:
    forwarded = Forwarded()
    worker = InMemoryWorker(tmp_path, forwarded)
    event = worker.click("ann", "shoe")
    headers = forwarded_headers(event)
    first = worker.message(event, headers=headers)
    worker.events.handle(first)
    # More events than the row remembers by their ids.
    worker.accept(*(worker.click("ann", "sock") for _ in range(100)))
    before = worker.rows.stored["ann"]
    assert worker.events.handle(worker.message(event, headers=headers)) is None
    assert worker.rows.stored["ann"] == before
    assert worker.event_outcomes(CLICKS) == {"accepted": 101, "replayed": 1}
    assert len(worker.producer.of(INTERACTIONS)) == 101
    # The first record is read again after a crash: its interaction may be missing.
    assert worker.events.handle(first) is None
    assert len(worker.producer.of(INTERACTIONS)) == 102
    assert worker.rows.get("ann").counts.clicks == 101


def test_an_event_that_cannot_be_processed_does_not_count_as_forwarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarded = Forwarded()
    worker = InMemoryWorker(tmp_path, forwarded)
    event = worker.click("ann", "shoe")
    message = worker.message(event, headers=forwarded_headers(event))
    with monkeypatch.context() as patched:
        patched.setattr(event_processor_module, "fold", lambda *_: 1 / 0)
        worker.events.handle(message)
    assert forwarded.processed == []
    worker.events.handle(message)
    assert worker.rows.get("ann").counts.clicks == 1


def test_a_list_lost_in_a_crash_is_published_when_its_event_is_replayed(worker: InMemoryWorker) -> None:
    message = worker.message(worker.click("ann", "shoe"))
    worker.events.handle(message)
    worker.flush_loop.erase("ann")
    worker.events.handle(message)
    assert worker.queue.n_users == 1


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
def test_an_invalid_record_becomes_a_dead_letter_with_its_reason_and_bytes(
    worker: InMemoryWorker, value: bytes | None, reason: str
) -> None:
    message = worker.record(CLICKS.name, b"ann\xff", value, offset=41, partition=2)
    assert worker.events.handle(message) is None
    [letter] = worker.dead_letters()
    assert (letter.reason, letter.key, letter.value) == (reason, b"ann\xff", value)
    assert (letter.topic, letter.partition, letter.offset) == (CLICKS.name, 2, 41)
    assert letter.timestamp == worker.clock.now
    assert letter.detail
    assert worker.producer.of(DEAD_LETTERS)[0].partition == 0
    assert worker.rows.stored == {}
    assert worker.models.version == 0
    assert worker.event_outcomes(CLICKS) == {"dead_lettered": 1}
    assert worker.count("dead_letters_total", reason=reason) == 1


def test_a_negative_price_is_a_dead_letter(worker: InMemoryWorker) -> None:
    purchase = Purchase(
        event_id="p",
        user_id="ann",
        ts=int(worker.clock.now * 1000),
        order_id="o",
        items=[OrderLine(item_id="shoe", price=-1.0)],
    )
    worker.events.handle(worker.message(purchase))
    [letter] = worker.dead_letters()
    assert letter.reason == "negative_price"
    assert letter.topic == PURCHASES.name


@pytest.mark.parametrize("key", [None, b"", b"bob", b"\xff"])
def test_an_event_under_a_foreign_key_is_returned_and_changes_nothing(
    worker: InMemoryWorker, key: bytes | None
) -> None:
    event = worker.events.handle(worker.record(CLICKS.name, key, GOOD))
    assert event is not None
    assert event.user_id == "ann"
    assert worker.rows.stored == {}
    assert worker.producer.records == []
    assert worker.models.version == 0
    assert worker.queue.n_users == 0
    assert worker.event_outcomes(CLICKS) == {"rekeyed": 1}


def test_an_invalid_event_under_a_foreign_key_becomes_a_dead_letter_in_place(worker: InMemoryWorker) -> None:
    assert worker.events.handle(worker.record(CLICKS.name, b"bob", b"{}")) is None
    assert [letter.key for letter in worker.dead_letters()] == [b"bob"]


def test_a_fold_that_fails_is_a_dead_letter_and_the_next_event_is_fine(worker: InMemoryWorker) -> None:
    worker.rows.unreadable.add("ann")
    click = worker.click("ann", "shoe")
    assert worker.events.handle(worker.message(click)) is None
    worker.events.handle(worker.message(worker.click("bob", "shoe")))
    [letter] = worker.dead_letters()
    assert letter.reason == "fold_failed"
    assert letter.detail == "RowFormatError: the stored row has format 99, this version reads 1"
    assert letter.value == msgspec.json.encode(click)
    assert worker.rows.get("bob").counts.clicks == 1
    assert [each.user_id for each in interactions(worker)] == ["bob"]
    assert worker.event_outcomes(CLICKS) == {"dead_lettered": 1, "accepted": 1}
    # Sent again once the row can be decoded, it is accepted.
    worker.rows.unreadable.clear()
    worker.events.handle(worker.message(click))
    assert worker.rows.get("ann").counts.clicks == 1


def test_an_event_that_fails_before_its_row_is_stored_can_be_sent_again(
    worker: InMemoryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(interaction: Interaction) -> bytes:
        raise ValueError(f"a defect with {interaction.user_id}")

    click = worker.click("ann", "shoe")
    with monkeypatch.context() as patch:
        patch.setattr(event_processor_module, "_encoder", SimpleNamespace(encode=fail))
        worker.events.handle(worker.message(click))
    [letter] = worker.dead_letters()
    assert (letter.reason, letter.detail) == ("fold_failed", "ValueError: a defect with ann")
    assert worker.rows.stored == {}
    assert interactions(worker) == []
    # As `headrace dead-letters replay` does it: under a new offset.
    worker.events.handle(worker.message(click))
    assert worker.rows.get("ann").counts.clicks == 1
    assert [each.user_id for each in interactions(worker)] == ["ann"]
    assert worker.models.version == 1
    assert worker.event_outcomes(CLICKS) == {"dead_lettered": 1, "accepted": 1}


@pytest.mark.parametrize(
    ("step", "component", "method"),
    [
        ("measure", "lists", "evaluate_interaction"),
        ("learn", "replica", "fold_local"),
        ("attribute", "rewards", "process_event"),
        ("mark", "queue", "mark_pending"),
    ],
)
def test_a_defect_in_a_step_keeps_the_event_and_the_other_steps(
    worker: InMemoryWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: str,
    component: str,
    method: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("a defect")

    worker.add_published_list("ann", "sock", "shoe")
    with monkeypatch.context() as patch:
        patch.setattr(getattr(worker, component), method, fail)
        message = worker.message(worker.click("ann", "shoe"))
        worker.events.handle(message)
    # The event is on the log of interactions: no replay would bring it there.
    assert worker.dead_letters() == []
    assert worker.rows.get("ann").counts.clicks == 1
    assert [each.user_id for each in interactions(worker)] == ["ann"]
    done = {
        "measure": worker.count("prequential_events_total") == 1,
        "learn": worker.models.version == 1,
        "attribute": len(worker.producer.of(REWARDS)) == 1,
        "mark": worker.queue.n_users == 1,
    }
    assert {name for name, is_done in done.items() if not is_done} == {step}
    assert worker.count("step_failures_total", step=step) == 1
    assert f"could not {step} event {CLICKS.name}[0]@0, which is stored" in caplog.text
    assert worker.event_outcomes(CLICKS) == {"accepted": 1}
    # Read again after a crash, it makes up for all but the measurement.
    worker.events.handle(message)
    assert worker.models.version == 1
    assert len(worker.producer.of(REWARDS)) >= 1
    assert worker.queue.n_users == 1


def test_an_erasure_forgets_the_user_but_keeps_the_watermarks(worker: InMemoryWorker) -> None:
    message = worker.message(worker.click("ann", "shoe"))
    worker.events.handle(message)
    worker.add_published_list("ann", "shoe")
    worker.accept(worker.erasure("ann"))
    row = worker.rows.get("ann")
    assert (row.recent, row.counts, row.segments) == (EMPTY_ROW.recent, EMPTY_ROW.counts, EMPTY_ROW.segments)
    assert b"shoe" not in worker.rows.stored["ann"]
    assert interactions(worker)[-1].kind is Kind.ERASE
    assert worker.lists.evaluate_interaction("ann", "shoe", worker.clock.now) == 0
    assert worker.queue.n_users == 0
    worker.events.handle(message)
    assert worker.rows.get("ann").recent == ()


def test_an_interaction_is_evaluated_against_the_users_current_list(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "sock", "shoe")
    worker.accept(worker.click("ann", "shoe"), worker.click("ann", "hat"), worker.click("bob", "shoe"))
    assert worker.count("prequential_events_total") == 2
    assert worker.count("prequential_hits_total") == 1
    assert worker.count("prequential_reciprocal_rank_total") == 0.5


async def test_an_interaction_is_evaluated_before_it_is_learned(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        # A new item cannot be a hit, though the next list holds it.
        worker.accept(worker.click("ann", "hat"))
        assert worker.count("prequential_hits_total") == 0
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.click("ann", "hat"))
    assert worker.count("prequential_events_total") == 2
    assert worker.count("prequential_hits_total") == 1


def test_each_line_of_a_purchase_is_evaluated(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "sock", "shoe")
    lines = [OrderLine(item_id=item) for item in ("sock", "shoe", "hat")]
    worker.accept(
        Purchase(event_id="p", user_id="ann", ts=int(worker.clock.now * 1000), order_id="o", items=lines)
    )
    assert worker.count("prequential_events_total") == 3
    assert worker.count("prequential_hits_total") == 2


def test_duplicate_and_replayed_events_are_not_evaluated_again(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe")
    click = worker.click("ann", "shoe")
    message = worker.message(click)
    worker.events.handle(message)
    worker.events.handle(message)
    worker.accept(click)
    assert worker.count("prequential_events_total") == 1


def test_an_event_whose_records_kafka_rejects_raises(worker: InMemoryWorker) -> None:
    worker.producer.failing = True
    with pytest.raises(DeliveryError):
        worker.events.handle(worker.message(worker.click("ann", "shoe")))
    assert worker.event_outcomes(CLICKS) == {}


def test_an_invalid_event_whose_dead_letter_kafka_rejects_is_not_counted(worker: InMemoryWorker) -> None:
    worker.producer.failing = True
    with pytest.raises(DeliveryError):
        worker.events.handle(worker.record(CLICKS.name, b"ann", b"{}"))
    assert worker.event_outcomes(CLICKS) == {}


async def test_freshness_is_measured_from_the_broker_timestamp(worker: InMemoryWorker) -> None:
    late = worker.click("ann", "shoe", ts=int((worker.clock.now - 3600) * 1000))
    worker.accept(late)
    worker.clock.now += 0.05
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") in worker.publisher.documents
    assert worker.count("freshness_seconds_sum") == pytest.approx(0.05, abs=1e-6)


def test_the_dead_letter_of_an_oversized_record_is_truncated_and_marked() -> None:
    written: list[bytes | None] = []

    def append(
        topic: str, partition: int, key: bytes | None, value: bytes | None, on_delivered: object = None, /
    ) -> None:
        assert (topic, partition, key, on_delivered) == (
            DEAD_LETTERS.name,
            0,
            b"u\xffevents.click.0.7@1000",
            None,
        )
        written.append(value)

    message = SimpleNamespace(
        topic=CLICKS.name, partition=0, offset=7, timestamp=1.0, key=b"u", value=b"x" * 5_000_000
    )
    error = RejectedError(RejectReason.UNREADABLE, "no JSON")
    DeadLetterWriter(append, Metrics()).write(message, error)
    letter = msgspec.json.decode(written[0] or b"", type=DeadLetter)
    assert letter.value == b"x" * MAX_VALUE_BYTES
    assert letter.detail == f"no JSON (truncated to {MAX_VALUE_BYTES} of 5000000 bytes)"
    assert len(written[0] or b"") < 4 * 1024 * 1024


def test_dead_letters_of_a_topic_made_anew_have_keys_of_their_own() -> None:
    keys: list[bytes | None] = []

    def append(_topic: str, _partition: int, key: bytes | None, *_: object) -> None:
        keys.append(key)

    writer = DeadLetterWriter(append, Metrics())
    for timestamp in (1.0, 1.0, 2.0):  # written again after a crash, and of the new topic
        message = SimpleNamespace(
            topic=CLICKS.name, partition=0, offset=7, timestamp=timestamp, key=b"u", value=b"x"
        )
        writer.write(message, RejectedError(RejectReason.UNREADABLE, "no JSON"))
    assert keys[0] == keys[1] != keys[2]
