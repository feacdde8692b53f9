"""Recovery of published lists from their log, with a consumer over lists instead of Kafka."""

import json
from itertools import count
from typing import Any

import msgspec
import pytest
from aiokafka.structs import TopicPartition

from state.attribution import Attribution, AttributionRules, attribute
from state.dedup import RecordId
from state.list_store import PublishedListStore
from state.published_list import PublishedList
from tests.support.recovering_worker import DAY, NOW, FakeListConsumer, RecoveringWorker
from topics.catalog import LISTS, REWARDS
from topics.events import OrderLine, Purchase
from topics.records import Reward, RewardKind, Source


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> RecoveringWorker:
    return RecoveringWorker(monkeypatch)


async def test_lists_are_recovered_unchanged(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l1", "shoe", "sock", propensity=0.25, features=bytes(range(8)))
    worker.log.list("ann", "s", "hat", search=True, age=50)
    await worker.recover_lists(0)
    [listed] = worker.list_store.lists_of("ann")
    search = worker.list_store.find("ann", "s")
    assert search is not None
    assert (listed.list_id, listed.policy, listed.items) == ("l1", "thompson", ("shoe", "sock"))
    assert (listed.at, listed.propensity(1), listed.feature_row(1)) == (NOW - 60, 0.25, bytes(range(4, 8)))
    assert (listed.search, search.search) == (False, True)
    assert worker.consumer.stopped


async def test_outcomes_are_recovered(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l1", "shoe", "sock")
    worker.log.reward("ann", "l1", 7, 0, 1, line=2)
    await worker.recover_lists(0)
    [listed] = worker.list_store.lists_of("ann")
    assert (listed.seen, listed.rewarded_mask(RewardKind.CLICK)) == (0b11, 0b10)
    lines = [
        worker.log_progress.first_unrewarded_line(RecordId(Source.CLICK, 0, offset)) for offset in (6, 7, 8)
    ]
    assert lines == [None, 3, 0]
    assert worker.log_progress.first_unrewarded_line(RecordId(Source.CLICK, 1, 0)) == 0


async def test_an_erasure_reward_advances_the_position_and_changes_no_list(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "", "shoe")
    erasure = Reward(
        source=Source.ERASURE,
        partition=0,
        offset=7,
        line=0,
        ts=NOW - 30,
        user_id="ann",
        list_id="",
        policy="",
        kind=RewardKind.ERASURE,
    )
    worker.log.add(REWARDS.name, 0, b"ann", msgspec.msgpack.encode(erasure), 30)
    await worker.recover_lists(0)
    [listed] = worker.list_store.lists_of("ann")
    assert listed.rewarded is None
    lines = [
        worker.log_progress.first_unrewarded_line(RecordId(Source.ERASURE, 0, offset)) for offset in (6, 7, 8)
    ]
    assert lines == [None, 1, 0]


async def test_a_list_with_a_reaction_outlives_newer_lists(worker: RecoveringWorker) -> None:
    for number in range(50):
        worker.log.list("ann", f"l{number}", "shoe", age=100 - number)
    worker.log.reward("ann", "l0", 0, 0)
    await worker.recover_lists(0)
    # Lists displayed at the click or later are retained too: reactions to them may still come.
    assert worker.names("ann") == ["l0", *(f"l{number}" for number in range(50 - 10 - 6, 50))]


async def test_in_flight_own_lists_are_not_stored_twice(worker: RecoveringWorker) -> None:
    await worker.recover_lists(0)
    # Published while the partition was owned, and not yet acknowledged.
    for number in range(2):
        worker.log.list("ann", f"l{number}", "shoe", "sock", age=50.0 - 10 * number)
        at = NOW - 50.0 + 10 * number
        worker.list_store.add("ann", 0, PublishedList(f"l{number}", "thompson", at, ("shoe", "sock")))
    worker.list_store.lists_of("ann")[0].apply_outcome(RewardKind.CLICK, 1, (0, 1), NOW)
    await worker.recover_lists(0)
    assert worker.names("ann") == ["l0", "l1"]
    assert worker.list_store.lists_of("ann")[0].rewarded_mask(RewardKind.CLICK) == 0b10


async def test_a_delivery_reported_during_recovery_is_kept(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l0", "shoe")
    await worker.recover_lists(0)
    worker.log.list("ann", "l1", "shoe")
    read, on_delivered = FakeListConsumer.getmany, worker.log_progress.on_delivered

    async def getmany_with_delivery(consumer: FakeListConsumer, *tps: TopicPartition, **how: int) -> Any:
        on_delivered(LISTS.name, 0, 7)
        return await read(consumer, *tps, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeListConsumer, "getmany", getmany_with_delivery)
        await worker.recover_lists(0)
    assert worker.log_progress.positions[LISTS.name, 0] == 8


async def test_a_purchase_is_attributed_to_a_clicked_list_older_than_the_recovered_tail(
    worker: RecoveringWorker,
) -> None:
    worker.log.list("ann", "clicked", "hat", "shoe", "sock", age=3_000.0)
    worker.log.list("ann", "looked at", "hat", age=2_900.0)
    worker.log.list("ann", "searched", "sock", age=2_800.0, search=True)
    row: dict[str, Any] = {
        "item_id": "shoe",
        "propensity": 0.25,
        "features": b"row!",
        "delay": 50.0,
        "age": 2_950.0,
    }
    worker.log.reward("ann", "clicked", 0, 0, 1, **row)
    worker.log.reward("ann", "looked at", 1, 0, kind=RewardKind.IMPRESSION, position=-1, age=2_890.0)
    worker.log.reward("ann", "searched", 2, 0, item_id="sock", search=True, delay=10.0, age=2_790.0)
    # The newest lists of others evict them.
    for number in range(8):
        worker.log.list(f"u{number}", f"l{number}", "shoe", age=100.0 - number)
    worker.log.list("ann", "newest", "shoe", age=1.0)
    worker.list_store = PublishedListStore(8)
    await worker.recover_lists(0, limit=8)
    assert worker.names("ann") == ["clicked", "newest"]

    def purchase_of(item: str, **fields: Any) -> Attribution:
        lines = [OrderLine(item_id=item)]
        order = Purchase(event_id="e", user_id="ann", ts=0, order_id="o", items=lines, **fields)
        return attribute(worker.list_store, order, RecordId(Source.PURCHASE, 0, 5), NOW, AttributionRules())

    # The other items of the list are unknown.
    assert purchase_of("hat", list_id="clicked").unattributed == ("unknown_list",)
    [bought] = purchase_of("shoe").rewards
    assert (bought.list_id, bought.policy, bought.position, bought.first_positive) == (
        "clicked",
        "thompson",
        1,
        False,
    )
    assert (bought.propensity, bought.features, bought.delay, bought.seen) == (0.25, b"row!", 3_000.0, ())
    # Unknown items are not attributed, and search lists match only if named.
    assert [purchase_of(item).rewards for item in ("hat", "sock")] == [(), ()]
    found = worker.list_store.find("ann", "searched")
    assert found is not None
    assert found.search


async def test_truncated_lists_from_rewards_do_not_evict_full_lists(worker: RecoveringWorker) -> None:
    for number in range(40):
        worker.log.reward(f"u{number}", f"gone {number}", number, 0, item_id="shoe", age=1_000.0 - number)
    for number in range(30):
        worker.log.list(f"v{number}", f"l{number}", "shoe", age=50.0)
    worker.list_store = PublishedListStore(limit=30)
    await worker.recover_lists(0, limit=30)
    assert len(worker.list_store) == 60
    assert all(worker.names(f"v{number}") for number in range(30))
    # The newest of them are retained.
    assert [number for number in range(40) if worker.names(f"u{number}")] == list(range(10, 40))


async def test_a_list_is_recovered_with_all_its_outcomes(worker: RecoveringWorker) -> None:
    for number in range(40):
        worker.log.list(
            f"u{number}", f"l{number}", *(f"i{at}" for at in range(6)), age=5_000.0 - 100 * number
        )
    offset = count()
    for number in range(40):
        # The user scrolls through the list, one rank at a time, and clicks at the end.
        who, age = f"u{number}", 4_999.5 - 100 * number
        for at in range(6):
            seen: dict[str, Any] = {"kind": RewardKind.IMPRESSION, "position": -1, "age": age}
            worker.log.reward(who, f"l{number}", next(offset), at, **seen)
        worker.log.reward(who, f"l{number}", next(offset), 5, item_id="i5", age=age)
    worker.list_store = PublishedListStore(limit=20)
    await worker.recover_lists(0, limit=20)
    for number in range(20, 40):
        [listed] = worker.list_store.lists_of(f"u{number}")
        assert (listed.seen, listed.rewarded_mask(RewardKind.CLICK)) == (0b111111, 0b100000)
    # No more rewards are read than these lists need, which leaves one more truncated list.
    [listed] = worker.list_store.lists_of("u19")
    assert listed.is_truncated
    assert all(worker.list_store.lists_of(f"u{number}") == () for number in range(19))


async def test_an_erasure_reward_drops_earlier_outcomes_of_the_user(worker: RecoveringWorker) -> None:
    worker.log.reward("ann", "gone", 0, 0, item_id="shoe")
    worker.log.reward("ann", "", 1, 0, kind=RewardKind.ERASURE)
    await worker.recover_lists(0)
    assert worker.names("ann") == []


async def test_lists_of_an_erased_user_are_not_recovered(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l1", "shoe")
    worker.log.list("bob", "l2", "shoe")
    worker.log.add(LISTS.name, 0, b"ann", None, 10)
    worker.log.list("ann", "l3", "hat", age=5)
    await worker.recover_lists(0)
    assert (worker.names("ann"), worker.names("bob")) == (["l3"], ["l2"])


async def test_only_lists_within_the_attribution_window_are_read(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "old", "shoe", age=DAY + 10)
    worker.log.list("ann", "new", "shoe", age=DAY - 10)
    await worker.recover_lists(0)
    assert worker.names("ann") == ["new"]
    # The first record is read for its timestamp.
    assert worker.consumer.read == [(LISTS.name, 0, 1)] * 2


async def test_no_more_lists_are_read_than_the_store_holds(worker: RecoveringWorker) -> None:
    for partition in (0, 1):
        for number in range(50):
            worker.log.list(f"u{partition}-{number}", "l", "shoe", partition=partition)
        worker.log.reward("ann", "gone", 0, 0, age=10.0, partition=partition)
    await worker.recover_lists(0, 1, limit=20)
    read = [topic for topic, _, _ in worker.consumer.read]
    assert (read.count(LISTS.name), read.count(REWARDS.name)) == (2 + 22, 2)
    assert len(worker.list_store) == 22 + 1


async def test_lists_whose_reactions_may_wait_are_read_beyond_the_limit(worker: RecoveringWorker) -> None:
    # The worker had read the events up to this one, and published 12 more lists since 30 s before it.
    worker.list_store = PublishedListStore(limit=5)
    for number in range(20):
        worker.log.list(f"u{number}", f"l{number}", "shoe", "sock", age=1_000.0 - 10 * number)
    worker.log.reward("u8", "l8", 7, 0, 1, age=1_000.0 - 110)
    await worker.recover_lists(0, limit=5)
    assert [number for number in range(20) if worker.names(f"u{number}")] == list(range(8, 20))
    # With its outcome, although its reward precedes the five newest lists.
    assert worker.list_store.lists_of("u8")[0].rewarded_mask(RewardKind.CLICK) == 0b10


@pytest.mark.parametrize("reward_age", [None, 5_000.0])
async def test_lists_of_a_backlog_are_read_up_to_the_bound_of_the_store(
    worker: RecoveringWorker, reward_age: float | None
) -> None:
    worker.list_store = PublishedListStore(limit=10)
    for partition, n_lists in ((0, 60), (1, 20), (2, 0)):
        for number in range(n_lists):
            user = f"u{partition}-{number}"
            worker.log.list(user, f"l{user}", "shoe", partition=partition, age=1_000.0 - number)
        if reward_age is not None:
            worker.log.reward(
                "ann", "gone", 7, 0, age=reward_age, partition=partition, kind=RewardKind.ERASURE
            )
    await worker.recover_lists(0, 1, 2, limit=10)
    # In all four times the limit, of which each partition has its share.
    held = [sum(bool(worker.names(f"u{partition}-{at}")) for at in range(60)) for partition in (0, 1)]
    assert held == [30, 10]
    assert worker.names("u0-59")
    assert worker.names("u1-19")


async def test_a_log_is_read_to_its_known_end_whatever_a_new_leader_reports(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l1", "shoe", "sock")
    worker.log.list("ann", "l2", "hat", age=50.0)
    worker.log.reward("ann", "l1", 3, 0, 1)
    worker.log.hidden = 1
    await worker.recover_lists(0, known_ends={(LISTS.name, 0): 2, (REWARDS.name, 0): 1})
    assert worker.names("ann") == ["l1", "l2"]
    assert worker.list_store.lists_of("ann")[0].rewarded_mask(RewardKind.CLICK) == 0b10
    assert worker.log_progress.positions == {(LISTS.name, 0): 2, (REWARDS.name, 0): 1}


async def test_only_owned_partitions_are_recovered(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l1", "shoe", partition=0)
    worker.log.list("bob", "l2", "shoe", partition=1)
    await worker.recover_lists(0)
    assert (worker.names("ann"), worker.names("bob")) == (["l1"], [])
    await worker.recover_lists(1)
    assert (worker.names("ann"), worker.names("bob")) == ([], ["l2"])
    # Lists that another worker published for ann in the meantime are read when her partition returns.
    worker.log.list("ann", "l3", "hat", partition=0)
    await worker.recover_lists(0, 1)
    assert (worker.names("ann"), worker.names("bob")) == (["l1", "l3"], ["l2"])


async def test_a_retained_partition_is_read_from_its_known_position(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l1", "shoe", "sock")
    await worker.recover_lists(0)
    # Own records, which the store already holds.
    worker.log.list("ann", "l2", "hat")
    worker.log_progress.on_delivered(LISTS.name, 0, 1)
    # Records of another worker, from an assignment that this worker did not notice.
    worker.log.list("ann", "l3", "scarf")
    worker.log.reward("ann", "l1", 3, 0)
    await worker.recover_lists(0)
    assert worker.consumer.read == [(LISTS.name, 0, 2), (REWARDS.name, 0, 0), (LISTS.name, 0, 2)]
    assert worker.names("ann") == ["l1", "l3"]
    assert worker.list_store.lists_of("ann")[0].seen == 1


async def test_outcomes_whose_rewards_were_dropped_are_not_kept(worker: RecoveringWorker) -> None:
    """The events are read again, and earn the rewards that the log lacks."""
    for partition, user in ((0, "ann"), (1, "bob")):
        worker.log.list(user, "l1", "shoe", "sock", partition=partition)
    await worker.recover_lists(0, 1)
    for user in ("ann", "bob"):
        worker.list_store.lists_of(user)[0].apply_outcome(RewardKind.CLICK, 1, (0, 1), NOW)
    await worker.recover_lists(0, 1, without_rewards={0})
    rewarded = [
        worker.list_store.lists_of(user)[0].rewarded_mask(RewardKind.CLICK) for user in ("ann", "bob")
    ]
    assert rewarded == [0, 0b10]


async def test_a_late_delivery_report_for_a_revoked_partition_is_ignored(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l1", "shoe")
    await worker.recover_lists(0, 1)
    await worker.recover_lists(1)
    worker.log.list("ann", "l2", "hat")
    worker.log_progress.on_delivered(LISTS.name, 0, 1)
    await worker.recover_lists(0, 1)
    assert worker.names("ann") == ["l1", "l2"]


async def test_without_partitions_nothing_is_read(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l1", "shoe")
    await worker.recover_lists(0)
    await worker.recover_lists()
    assert worker.names("ann") == []


async def test_a_partly_expired_list_log_is_read_from_its_first_offset(worker: RecoveringWorker) -> None:
    for number in range(5):
        worker.log.list("ann", f"l{number}", "shoe")
    worker.log.beginnings[TopicPartition(LISTS.name, 0)] = 3
    await worker.recover_lists(0)
    assert worker.names("ann") == ["l3", "l4"]


@pytest.mark.parametrize("value", [b"", b"\xff", b"{}", json.dumps({"list_id": 7}).encode()])
async def test_unreadable_records_are_skipped(worker: RecoveringWorker, value: bytes) -> None:
    worker.log.add(LISTS.name, 0, b"ann", value, 5)
    worker.log.add(LISTS.name, 0, None, value, 5)
    worker.log.add(REWARDS.name, 0, b"ann", value, 5)
    worker.log.add(REWARDS.name, 0, b"ann", None, 5)
    worker.log.list("ann", "l1", "shoe")
    await worker.recover_lists(0)
    assert worker.names("ann") == ["l1"]


async def test_a_list_with_an_invalid_time_is_skipped(worker: RecoveringWorker) -> None:
    worker.log.list("ann", "l1", "shoe")
    [record] = worker.log.records[TopicPartition(LISTS.name, 0)]
    record.value = record.value.replace(b'"generated_at":"20', b'"generated_at":"no')
    await worker.recover_lists(0)
    assert worker.names("ann") == []
