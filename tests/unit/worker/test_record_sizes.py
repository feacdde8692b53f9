"""Every record that the largest events cause is within the limit of its topic."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from state.dedup import CAPACITY
from state.row import (
    MAX_BOUGHT,
    MAX_HIDDEN,
    MAX_LIKED,
    MAX_QUERIES,
    MAX_RECENT,
    MAX_RESULTS,
    RecentInteraction,
    RecentQuery,
    UserRow,
    encode_row,
)
from stream_app.client.redis_contract import decode_list, search_key
from stream_app.metrics import Metrics
from stream_app.publishing import list_builder
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from tests.support.in_memory_worker import InMemoryWorker
from tests.support.largest_events import CHARACTERS, largest_erasure, largest_events, longest_id, longest_ids
from topics.catalog import (
    CONTROL,
    DEAD_LETTERS,
    INTERACTIONS,
    LISTS,
    MAX_MESSAGE_BYTES,
    MAX_RECORD_BYTES,
    REWARDS,
    changelog,
)
from topics.codec import RejectedError, RejectReason
from topics.events import MAX_ID_BYTES, MAX_LIST_ITEMS, MAX_TEXT, CatalogItem, Click, Search
from topics.records import MAX_REASON_QUERY, Kind, Source

WRITTEN = (INTERACTIONS, LISTS, REWARDS, DEAD_LETTERS, changelog("headrace"))


@pytest.mark.parametrize("spec", WRITTEN, ids=lambda spec: spec.name)
def test_the_limit_of_a_topic_follows_from_the_maximum_record(spec: object) -> None:
    assert spec.topic_config["max.message.bytes"] == str(MAX_MESSAGE_BYTES)  # type: ignore[attr-defined]  # a spec
    assert MAX_RECORD_BYTES < MAX_MESSAGE_BYTES
    assert "max.message.bytes" not in CONTROL.topic_config, "its records are small"


def sizes(worker: InMemoryWorker) -> dict[str, int]:
    """The size of the largest record of each topic, rows of the changelog included."""
    largest = {"rows": max(map(len, worker.rows.stored.values()), default=0)}
    for record in worker.producer.records:
        size = len(record.key or b"") + len(record.value or b"")
        largest[record.topic] = max(size, largest.get(record.topic, 0))
    return largest


async def process_largest(worker: InMemoryWorker, characters: list[str], n_items: int) -> None:
    """Process the largest events of one user, and a click of another, whose list has all items."""
    worker.flush_loop.start()
    for number, character in enumerate(characters):
        ts, first = int(worker.clock.now * 1000), number * 2_000
        others = largest_events(character, ts=ts, user=1, n_items=n_items, first=first)
        for event in [
            *largest_events(character, ts=ts, n_items=n_items, first=first),
            *[event for event in others if isinstance(event, Click)],
        ]:
            if isinstance(event, CatalogItem):
                worker.models.learn_catalog(event)
            else:
                worker.accept(event)
            await worker.flush_loop.wait_until_idle()
        worker.clock.now += 1.0
    worker.accept(largest_erasure(characters[0], ts=int(worker.clock.now * 1000)))
    await worker.flush_loop.wait_until_idle()
    await worker.flush_loop.stop()


def worker_of_long_lists(folder: Path, list_length: int) -> InMemoryWorker:
    return InMemoryWorker(
        folder,
        models=["popularity", "item_to_item", "search"],
        list_length=list_length,
        candidates_per_source=list_length,
        max_items=10_000,
        policies={"thompson": 1.0},
        shared_list_interval=3_600.0,  # lists of items are not on the topic
    )


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(
    characters=st.lists(st.sampled_from(CHARACTERS), min_size=1, max_size=3),
    n_items=st.sampled_from((1, 200, MAX_LIST_ITEMS)),
    list_length=st.sampled_from((20, MAX_LIST_ITEMS)),
)
def test_records_of_the_largest_events_are_within_the_limit(
    characters: list[str], n_items: int, list_length: int
) -> None:
    with TemporaryDirectory() as folder:
        worker = worker_of_long_lists(Path(folder), list_length)
        asyncio.run(process_largest(worker, characters, n_items))
        assert max(sizes(worker).values()) <= MAX_RECORD_BYTES, sizes(worker)
        assert worker.dead_letters() == []


@pytest.mark.parametrize("character", CHARACTERS)
def test_a_row_with_all_fields_full_is_within_the_limit(character: str) -> None:
    def times(n_items: int) -> dict[str, float]:
        return dict.fromkeys(longest_ids(character, n_items), 1.5)

    query = RecentQuery(1.5, character * MAX_TEXT)
    results = tuple(longest_ids(character, MAX_RESULTS))
    row = UserRow(
        watermarks=(2**62,) * len(Source),
        ring=bytes(12 * CAPACITY),
        recent=tuple(RecentInteraction(1.5, item, Kind.VIEW) for item in longest_ids(character, MAX_RECENT)),
        times=(1.5,) * 1_000,
        bought=times(MAX_BOUGHT),
        hidden=times(MAX_HIDDEN),
        liked=times(MAX_LIKED),
        queries=(*[query] * (MAX_QUERIES - 1), structs.replace(query, results=results, prices=(0.1,) * 200)),
        segments=("country:" + character * 1_024, "channel:" + longest_id(character)),
    )
    assert len(encode_row(row)) + MAX_ID_BYTES <= MAX_RECORD_BYTES


@pytest.mark.parametrize("query", ["漢" * 1_800, '"' * 2_700, "\x01" * 4_096])
async def test_a_long_query_is_truncated_in_the_reasons(tmp_path: Path, query: str) -> None:
    worker = InMemoryWorker(tmp_path)
    results = [longest_id("x", number) for number in range(200)]
    search = Search(
        event_id="e", user_id="ann", ts=int(worker.clock.now * 1000), query=query, results=results
    )
    async with worker.running_flush_loop():
        worker.accept(search)
        await worker.flush_loop.wait_until_idle()
    found = worker.search_list(search_key("ann"))
    assert found is not None
    assert [item.id for item in found.items] == results
    assert found.query == query
    assert {item.why.query for item in found.items} == {query[:MAX_REASON_QUERY]}
    [record] = [record for record in worker.producer.of(LISTS) if b"recs:search" in (record.value or b"")]
    assert len(record.value or b"") < 400_000


async def test_a_list_beyond_the_limit_loses_its_last_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, whole = worker_of_long_lists(tmp_path / "a", 1_000), worker_of_long_lists(tmp_path / "b", 1_000)
    await process_largest(whole, ["\x01"], MAX_LIST_ITEMS)
    monkeypatch.setattr(list_builder, "MAX_LIST_BYTES", 200_000)
    await process_largest(worker, ["\x01"], MAX_LIST_ITEMS)
    assert worker.count("lists_shortened_total") > 0
    assert whole.count("lists_shortened_total") == 0
    lists, whole_lists = (
        [decode_list(record.value) for record in each.producer.of(LISTS) if record.value]
        for each in (worker, whole)
    )
    assert 100_000 < sizes(worker)[LISTS.name] <= 200_000 + MAX_ID_BYTES
    last, whole_last = lists[-1], whole_lists[-1]
    n_items = len(last.items)
    assert 0 < n_items < len(whole_last.items)
    assert len(last.features) * len(whole_last.items) == len(whole_last.features) * n_items
    document = worker.published(last.key)
    assert document is not None
    assert (document.items, document.features) == (last.items, b"")


@pytest.mark.parametrize("n_key", [0, 2_000_000])
@pytest.mark.parametrize("n_value", [0, 1_048_576, 50_000_000])
def test_a_dead_letter_is_within_the_limit_whatever_the_record(n_key: int, n_value: int) -> None:
    written: list[int] = []

    def append(
        topic: str, partition: int, key: bytes | None, value: bytes | None, on_delivered: object = None, /
    ) -> None:
        del topic, partition, on_delivered
        written.append(len(key or b"") + len(value or b""))

    message = SimpleNamespace(
        topic="t" * 249, partition=0, offset=2**62, timestamp=1.0, key=b"\xff" * n_key, value=b"\0" * n_value
    )
    error = RejectedError(RejectReason.UNREADABLE, "\x01" * 4_000)
    DeadLetterWriter(append, Metrics()).write(message, error)
    assert written[0] <= MAX_RECORD_BYTES
