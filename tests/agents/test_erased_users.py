"""What a worker stores of erased users: nothing under their id, and little under its hash."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from state.erased_rows import remainder_key
from state.row import ErasureStage, decode_row, encode_row
from state.snapshots.encoding import encode_snapshot
from state.user_rows import StoreError
from stream_app.client.redis_contract import query_key, user_key
from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models
from stream_app.worker.erased_since_snapshot import forget_erased_users
from stream_app.worker.republication import republish_recent_users
from stream_app.worker.restored_lists import erase_restored_lists, withdraw_private_queries
from tests.support.app_without_kafka import WorkerWithoutKafka
from tests.support.erasing_worker import LOGS, ErasingWorker, user_in
from tests.support.log_in_memory import LosingConsumer
from topics.catalog import ERASURE_RECEIPTS, INTERACTIONS, LISTS
from topics.log_keys import one_way_hash
from topics.records import ErasureReceipt, Interaction, Kind, Line, Source

ANN, BOB = user_in(2), user_in(2, "another-user")


@pytest.fixture
async def erasing(
    worker: WorkerWithoutKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ErasingWorker:
    return ErasingWorker(worker, tmp_path, monkeypatch)


async def click_and_erase(erasing: ErasingWorker, agent: Any, *users: str) -> dict[str, bytes]:
    """Clicks of users, lists for them, a reaction to a list, and the erasure of the first; the clicks of each."""
    worker = erasing.worker
    clicks = {user: await worker.click(agent, user, "shoe") for user in users}
    for user in users:
        await worker.click(agent, user, "sock")
    await worker.until(lambda: worker.count("events.click", "accepted") == 2 * len(users))
    await worker.components.flush_loop.wait_until_idle()
    for user in users:
        await worker.click(agent, user, "shoe")
    await erasing.erase(agent, users[0])
    await worker.until(lambda: worker.count("events.erasure", "accepted") == 1)
    return clicks


async def erase_and_sweep(erasing: ErasingWorker) -> None:
    """Clicks of Ann and Bob, the erasure of Ann, and the sweep after it."""
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN, BOB)
        await erasing.settle()
    await erasing.sweep.check(time.time() + erasing.config.interval + 60)


async def test_an_erased_user_is_stored_under_the_hash_of_the_id_alone(erasing: ErasingWorker) -> None:
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN, BOB)
        assert erasing.stored(ANN.encode()) is not None
        await erasing.settle()
    assert erasing.stored(ANN.encode()) is None
    assert [user for user, _ in erasing.rows.scan()] == [BOB]
    kept = erasing.stored(remainder_key(ANN))
    assert kept is not None
    assert ANN.encode() not in kept
    assert decode_row(kept).counts.total == 0
    assert erasing.changelog().keys() == {BOB.encode(), remainder_key(ANN)}
    assert erasing.changelog()[remainder_key(ANN)] == kept
    await erasing.erasures._purge(range(4))
    assert ANN.encode() not in erasing.files()
    assert BOB.encode() in erasing.files()


async def test_older_events_of_an_erased_user_change_nothing_when_they_are_read_again(
    erasing: ErasingWorker,
) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        clicks = await click_and_erase(erasing, agent, ANN)
        await erasing.settle()
        await worker.put(agent, "events.click", ANN.encode(), clicks[ANN], offset=0)
        await worker.until(lambda: worker.count("events.click", "replayed") == 1)
        # its interaction is on the log again: the erasure is repeated
        assert erasing.row(ANN).is_to_be_erased
        await erasing.settle()
    assert erasing.stored(ANN.encode()) is None
    assert user_key(ANN) not in worker.publisher.documents
    assert erasing.row(ANN).counts.total == 0
    mark = erasing.row(ANN).erasure
    assert mark is not None
    assert mark.stage is ErasureStage.UNSWEPT


async def test_a_user_who_returns_starts_from_the_watermarks(erasing: ErasingWorker) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        clicks = await click_and_erase(erasing, agent, ANN)
        await erasing.settle()
        await worker.click(agent, ANN, "hat")
        await worker.until(lambda: worker.count("events.click", "accepted") == 4)
        await worker.put(agent, "events.click", ANN.encode(), clicks[ANN], offset=9)
        await worker.until(lambda: worker.count("events.click", "duplicate") == 1)
        await erasing.settle()
    row = erasing.row(ANN)
    assert [each.item_id for each in row.recent] == ["hat"]
    assert row.erasure is None
    assert user_key(ANN) in worker.publisher.documents


async def test_a_user_who_returns_before_the_lists_are_deleted_keeps_the_new_row(
    erasing: ErasingWorker,
) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await worker.click(agent, ANN, "hat")
        await worker.until(lambda: worker.count("events.click", "accepted") == 4)
        await erasing.settle()
    row = erasing.row(ANN)
    assert ([each.item_id for each in row.recent], row.erasure) == (["hat"], None)
    remainder = decode_row(erasing.stored(remainder_key(ANN)))
    assert (remainder.counts.total, remainder.ring) == (0, b"")
    assert erasing.changelog().keys() == {ANN.encode(), remainder_key(ANN)}


async def test_an_event_while_kafka_acknowledges_the_move_of_the_row_is_kept(
    erasing: ErasingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await worker.components.flush_loop.wait_until_idle()
        completion, flush = erasing.erasures.completion, worker.batch_producer.flush

        async def flush_with_an_event() -> None:
            monkeypatch.setattr(completion, "_flush", flush)
            await worker.click(agent, ANN, "hat")
            await worker.until(lambda: worker.count("events.click", "accepted") == 4)
            await flush()

        monkeypatch.setattr(completion, "_flush", flush_with_an_event)
        await completion.complete()
        await erasing.settle()
    row = erasing.row(ANN)
    assert ([each.item_id for each in row.recent], row.erasure) == (["hat"], None)
    assert erasing.changelog().keys() == {ANN.encode(), remainder_key(ANN)}
    assert decode_row(erasing.changelog()[ANN.encode()]) == row


async def test_after_a_restart_an_erasure_that_redis_had_not_acknowledged_is_completed(
    erasing: ErasingWorker,
) -> None:
    worker = erasing.worker
    worker.publisher.available = False
    async with worker.agent("users") as agent:
        await worker.click(agent, ANN, "shoe")
        await erasing.erase(agent, ANN)
        await worker.until(lambda: worker.count("events.erasure", "accepted") == 1)
    queue = worker.components.queue
    queue.drop_erasures()  # as a revocation does
    erasing.erasures.clear()
    erasing.rows.clear_cache()
    worker.publisher.documents[user_key(ANN)] = b"{}"
    worker.publisher.available = True
    assert erasing.stored(ANN.encode()) is not None
    assert await republish_recent_users(erasing.rows, queue, 0.0, lambda: False) == 1
    await erasing.settle()
    assert user_key(ANN) not in worker.publisher.documents
    assert erasing.stored(ANN.encode()) is None
    assert await republish_recent_users(erasing.rows, queue, 0.0, lambda: False) == 0


async def test_a_row_that_an_earlier_version_emptied_is_moved_too(erasing: ErasingWorker) -> None:
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
    row = erasing.row(ANN)
    erasing.store.change(2, ANN.encode(), encode_row(structs.replace(row, erasure=None)))
    erasing.erasures.clear()
    erasing.rows.clear_cache()
    erasing.worker.components.queue.drop_erasures()
    assert (
        await republish_recent_users(erasing.rows, erasing.worker.components.queue, 0.0, lambda: False) == 1
    )
    await erasing.settle()
    assert erasing.stored(ANN.encode()) is None
    assert erasing.row(ANN).watermarks == row.watermarks


async def test_while_the_store_cannot_be_written_to_the_row_stays_and_is_moved_later(
    erasing: ErasingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await erasing.worker.components.flush_loop.wait_until_idle()
    completion = erasing.erasures.completion
    monkeypatch.setattr(completion, "_retry_seconds", 0.0)

    def refuse(*_: Any) -> None:
        raise StoreError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(erasing.store, "change", refuse)
        await completion.complete()
    assert erasing.stored(ANN.encode()) is not None
    await completion.complete()
    assert erasing.stored(ANN.encode()) is None
    assert completion.n_completed == 1


async def test_a_worker_that_lost_the_partition_moves_nothing(erasing: ErasingWorker) -> None:
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await erasing.worker.components.flush_loop.wait_until_idle()
    erasing.worker.fence.release()
    await erasing.erasures.completion.complete()
    assert erasing.stored(ANN.encode()) is not None
    assert remainder_key(ANN) not in erasing.changelog()


async def test_a_sweep_removes_the_records_of_erased_users_and_writes_receipts(
    erasing: ErasingWorker,
) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        await worker.click(agent, ANN, "shoe", ts="no time")
        await click_and_erase(erasing, agent, ANN, BOB)
        await erasing.settle()
    assert all(ANN.encode() in b"".join(erasing.compacted(topic)) for topic in LOGS[:3])
    now = time.time() + erasing.config.interval + 60
    await erasing.sweep.check(now)
    for topic in LOGS:
        assert ANN.encode() not in b"".join(erasing.compacted(topic)), topic
    for topic in LOGS[:3]:
        assert BOB.encode() in b"".join(erasing.compacted(topic)), topic
    [receipt] = erasing.receipts()
    assert receipt.user_hash == one_way_hash(ANN).hex()
    assert (receipt.event_id, receipt.event_hash) == ("x1", one_way_hash("x1").hex())
    assert receipt.partition == 2
    counts = Counter(receipt.removed)
    # three clicks and the erasure
    assert (counts["interactions"], counts["dead-letters"]) == (4, 1)
    assert counts["rewards"] >= 2
    assert counts["lists"] >= 1
    mark = erasing.row(ANN).erasure
    assert mark is not None
    assert mark.stage is ErasureStage.SWEPT
    assert worker.metrics.registry.get_sample_value("headrace_unswept_erasures") == 0
    assert worker.metrics.registry.get_sample_value("headrace_erasures_swept_total") == 1


async def test_tombstones_of_the_erasure_itself_are_the_last_and_follow_the_receipt(
    erasing: ErasingWorker,
) -> None:
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await erasing.settle()
    n_before = len(erasing.worker.producer.sent)
    await erasing.sweep.check(time.time() + erasing.config.interval + 60)
    sent = erasing.worker.producer.sent[n_before:]
    steps = [
        "receipt" if topic == "erasure-receipts" else "erasure" if b"\xff5." in key else "record"
        for topic, _, key, value in sent
        if key is not None and (topic == "erasure-receipts" or (topic in LOGS and value is None))
    ]
    assert steps.index("receipt") > max(at for at, step in enumerate(steps) if step == "record")
    assert steps.index("receipt") < steps.index("erasure")
    assert steps.count("erasure") == 2  # of the interactions, and of the rewards


async def test_nothing_is_swept_before_the_interval(erasing: ErasingWorker) -> None:
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await erasing.settle()
    await erasing.sweep.check(time.time() + erasing.config.interval - 60)
    assert erasing.receipts() == []
    registry = erasing.worker.metrics.registry
    assert registry.get_sample_value("headrace_unswept_erasures") == 1
    age = registry.get_sample_value("headrace_oldest_unswept_erasure_seconds") or 0.0
    assert erasing.config.interval - 120 < age < erasing.config.interval


async def test_what_a_returned_user_did_stays_on_the_logs(erasing: ErasingWorker) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await erasing.settle()
        await worker.click(agent, ANN, "hat")
        await worker.until(lambda: worker.count("events.click", "accepted") == 4)
        await erasing.settle()
    await erasing.sweep.check(time.time() + erasing.config.interval + 60)
    [kept] = [each for each in erasing.compacted(INTERACTIONS.name) if ANN.encode() in each]
    assert b"hat" in kept
    assert len(erasing.receipts()) == 1
    assert [each.item_id for each in erasing.row(ANN).recent] == ["hat"]


async def test_a_sweep_that_was_interrupted_is_repeated(
    erasing: ErasingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await erasing.settle()

    async def fail(_: object) -> None:
        raise StoreError("the disk is full")

    now = time.time() + erasing.config.interval + 60
    with monkeypatch.context() as patched:
        patched.setattr(erasing.sweep, "_purge", fail)
        await erasing.sweep.check(now)
    assert erasing.receipts() == []
    await erasing.sweep.check(now)
    assert len(erasing.receipts()) == 1
    assert all(ANN.encode() not in b"".join(erasing.compacted(topic)) for topic in LOGS)


async def test_a_swept_remainder_ends_when_kafka_keeps_no_older_event(erasing: ErasingWorker) -> None:
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await erasing.settle()
    await erasing.sweep.check(time.time() + erasing.config.interval + 60)
    await erasing.sweep.check(time.time() + erasing.config.remainder_seconds - 60)
    assert erasing.stored(remainder_key(ANN)) is not None
    await erasing.sweep.check(time.time() + erasing.config.remainder_seconds + 60)
    assert erasing.stored(remainder_key(ANN)) is None
    assert erasing.changelog() == {}


async def test_records_with_the_bare_user_id_of_an_earlier_version_get_one_tombstone(
    erasing: ErasingWorker,
) -> None:
    worker = erasing.worker
    for number in range(3):
        worker.producer.sent.append((INTERACTIONS.name, 2, ANN.encode(), b"record %d" % number))
        worker.producer.sent.append((LISTS.name, 2, ANN.encode(), b"list %d" % number))
        worker.producer.sent_at += [time.time()] * 2
    async with worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await erasing.settle()
    await erasing.sweep.check(time.time() + erasing.config.interval + 60)
    assert all(ANN.encode() not in b"".join(erasing.compacted(topic)) for topic in LOGS)
    bare = [
        sent for sent in worker.producer.sent if sent[:1] == (INTERACTIONS.name,) and sent[2] == ANN.encode()
    ]
    assert [value for *_, value in bare] == [b"record 0", b"record 1", b"record 2", None]


async def test_lists_of_erased_users_that_redis_got_back_are_deleted(erasing: ErasingWorker) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN, BOB)
        await erasing.settle()
    worker.publisher.documents[user_key(ANN)] = b"{}"  # from a dump
    kept = worker.publisher.documents[user_key(BOB)]

    class Store:
        async def user_ids(self) -> AsyncIterator[list[str]]:
            yield [ANN, BOB]
            yield ["unknown"]

        async def queries(self) -> AsyncIterator[list[str]]:
            yield []

        async def with_lists(self, user_ids: Collection[str]) -> list[str]:
            return [each for each in user_ids if user_key(each) in worker.publisher.documents]

    queue = worker.components.queue
    assert await erase_restored_lists(Store(), erasing.rows, queue, lambda: False) == 1
    await worker.components.flush_loop.wait_until_idle()
    assert user_key(ANN) not in worker.publisher.documents
    assert worker.publisher.documents[user_key(BOB)] == kept
    assert await erase_restored_lists(Store(), erasing.rows, queue, lambda: False) == 0


async def test_lists_of_private_queries_are_deleted_after_a_restart(erasing: ErasingWorker) -> None:
    worker = erasing.worker
    keys = [query_key("red shoes"), query_key("of ann alone")]
    for key in keys:
        worker.publisher.documents[key] = b'{"list_id":"l","items":[]}'

    class Store:
        async def queries(self) -> AsyncIterator[list[str]]:
            yield ["red shoes"]
            yield ["of ann alone"]

        async def user_ids(self) -> AsyncIterator[list[str]]:
            yield []

        async def with_lists(self, user_ids: Collection[str]) -> list[str]:
            return list(user_ids)

    queue = worker.components.queue
    found = await withdraw_private_queries(Store(), lambda query: query == "red shoes", queue, lambda: False)
    assert found == 1
    await worker.components.flush_loop.wait_until_idle()
    assert [key in worker.publisher.documents for key in keys] == [True, False]


async def test_a_snapshot_from_before_an_erasure_forgets_the_user_by_the_receipt(
    erasing: ErasingWorker,
) -> None:
    worker = erasing.worker
    await erase_and_sweep(erasing)
    [receipt] = [
        value for topic, _, _, value in worker.producer.sent if topic == ERASURE_RECEIPTS.name and value
    ]
    invalid = structs.replace(msgspec.json.decode(receipt, type=ErasureReceipt), user_hash="no hash")
    worker.producer.sent.append((ERASURE_RECEIPTS.name, 0, b"x", msgspec.json.encode(invalid)))
    worker.producer.sent_at.append(time.time())
    receipts = erasing.log()
    models = make_models(worker.settings.ranking_config)
    for at, user in enumerate((ANN, BOB)):
        models.learn(Interaction(Source.CLICK, 2, at, 1_000.0, user, Kind.VIEW, (Line("shoe"),)))
    assert ANN.encode() in encode_snapshot(models.state())

    def consumer(_broker: object) -> LosingConsumer:
        return LosingConsumer(receipts)

    assert await forget_erased_users(models, "broker", consumer) == 1
    assert ANN.encode() not in encode_snapshot(models.state())
    assert BOB.encode() in encode_snapshot(models.state())
    # models that have learned the erasure itself need no receipt
    models.learn(Interaction(Source.ERASURE, 2, 10, 1_000.0, "eve", Kind.ERASE))
    models.learn(Interaction(Source.CLICK, 2, 7, 1_000.0, ANN, Kind.VIEW, (Line("shoe"),)))
    assert await forget_erased_users(models, "broker", consumer) == 0
    assert ANN.encode() in encode_snapshot(models.state())


async def test_a_snapshot_without_the_id_of_an_erased_user_loses_the_texts_of_single_users(
    erasing: ErasingWorker,
) -> None:
    await erase_and_sweep(erasing)
    receipts = erasing.log()
    models = ModelSet(["search", "item_to_item"], max_users=2)
    offset = 0

    def search(user: str, query: str) -> None:
        nonlocal offset
        for kind, source, lines in (
            (Kind.SEARCH, Source.SEARCH, ()),
            (Kind.VIEW, Source.CLICK, (Line("shoe"),)),
        ):
            offset += 1
            models.learn(Interaction(source, 2, offset, 1_000.0 + offset, user, kind, lines, query=query))

    search(ANN, "wuestenhofer 0171")
    for user in ("cem", "dora"):
        search(user, "red shoes")
    assert b"wuestenhofer" in encode_snapshot(models.state())
    assert ANN.encode() not in encode_snapshot(models.state())
    assert await forget_erased_users(models, "broker", lambda _broker: LosingConsumer(receipts)) == 0
    assert b"wuestenhofer" not in encode_snapshot(models.state())
    assert b"red shoes" in encode_snapshot(models.state())


async def test_the_rows_of_erased_users_count_until_they_end(erasing: ErasingWorker) -> None:
    async with erasing.worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN, BOB)
        assert erasing.rows.count == 2
        await erasing.settle()
    assert erasing.rows.count == 2
    erasing.rows.set_count(len(list(erasing.rows.scan())))
    assert erasing.rows.count == 2
    await erasing.sweep.check(time.time() + erasing.config.interval + 60)
    await erasing.sweep.check(time.time() + erasing.config.remainder_seconds + 60)
    assert erasing.rows.count == 1
