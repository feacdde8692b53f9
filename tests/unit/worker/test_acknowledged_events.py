"""No offset is committed because of an event of an earlier assignment: its new owner reads it again."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.locks import Event

from stream_app.worker.faust_transport import DirectConsumer

ERASURES: Final = TP("events.erasure", 3)


class Consumer(DirectConsumer):
    """The consumer without Kafka, in its first assignment of a partition without a committed offset."""

    def __init__(self) -> None:
        self.app = SimpleNamespace(
            consumer_generation_id=1,
            topics=SimpleNamespace(acks_enabled_for=lambda _: True),
            on_rebalance_return=lambda: None,
            tables=SimpleNamespace(changelog_topics=set(), on_commit=lambda _: None),
            producer=SimpleNamespace(flush=self._flush),
            monitor=SimpleNamespace(on_tp_commit=lambda _: None),
            _start_span_from_rebalancing=lambda _: nullcontext(),
        )
        self.diag = SimpleNamespace(set_flag=lambda _: None, unset_flag=lambda _: None)
        self.log: Any = SimpleNamespace(dev=lambda *_: None, info=lambda *_: None)
        self.in_transaction = False
        self.positions = None
        self._thread: Any = SimpleNamespace(_shutdown=Event(), commit=self._commit_now)
        self.committed: list[Any] = []
        self._acked: Any = defaultdict(list)
        self._acked_index: Any = defaultdict(set)
        self._gap: Any = defaultdict(list)
        self._committed_offset: Any = defaultdict(lambda: None)
        self._unacked_messages: Any = set()
        self._removed: Any = {}
        self._begun: Any = {}
        self._paused_partitions: Any = set()
        self._is_positioned = True
        self._waiting_for_ack = None
        self._n_acked = 0
        self.during_flush: Callable[[], None] = lambda: None

    async def _flush(self) -> None:
        self.during_flush()

    async def _commit_now(self, offsets: Any) -> bool:
        self.committed.append(offsets)
        return True

    def _set_active_tps(self, tps: Any) -> Any:
        return tps

    async def _on_partitions_assigned(self, assigned: Any, generation_id: int) -> None:
        """What Faust does next: it recovers the table, and seeks."""

    def assignment(self) -> set[TP]:
        return {ERASURES}

    def fetch(self, offset: int) -> ConsumerMessage:
        """A message of the current assignment."""
        nothing: Any = None
        message = ConsumerMessage(
            *ERASURES, offset, 0.0, 0, [], b"ann", b"{}", nothing, 0, 0, ERASURES,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        self._unacked_messages.add(message)
        return message

    async def rebalance(self) -> None:
        """Lose the partition, and get it again."""
        self._acked.pop(ERASURES, None)
        self._acked_index.pop(ERASURES, None)
        await self.on_rebalance()

    async def on_rebalance(self) -> None:
        self.app.consumer_generation_id += 1
        await self.on_partitions_assigned({ERASURES}, self.app.consumer_generation_id)

    def to_commit(self) -> dict[TP, int]:
        return self._filter_committable_offsets([ERASURES])


async def test_an_event_that_waited_for_a_rebalance_is_not_committed() -> None:
    consumer = Consumer()
    waited = consumer.fetch(2)
    await consumer.rebalance()
    consumer._is_positioned = True
    assert not consumer.ack(waited)
    assert consumer.to_commit() == {}
    assert not consumer._unacked_messages
    for offset in range(3):
        assert consumer.ack(consumer.fetch(offset))
    assert consumer.to_commit() == {ERASURES: 3}


async def test_an_event_that_was_processed_during_a_revocation_is_not_committed_by_the_next_assignment() -> (
    None
):
    consumer = Consumer()
    last = consumer.fetch(2)
    consumer._acked.pop(ERASURES, None)
    assert consumer.ack(last)
    await consumer.on_rebalance()
    consumer._is_positioned = True
    assert consumer.to_commit() == {}


async def test_a_failure_of_an_agent_ends_the_worker_and_commits_nothing() -> None:
    consumer, failures = Consumer(), []

    async def crash(error: BaseException) -> None:
        failures.append(error)

    consumer.app.crash = crash
    assert consumer.ack(consumer.fetch(0))
    error = ValueError("a defect")
    await consumer.on_task_error(error)
    assert failures == [error]
    assert consumer.committed == []


async def test_nothing_is_committed_before_the_partitions_have_their_positions() -> None:
    consumer = Consumer()
    await consumer.rebalance()
    consumer.ack(consumer.fetch(2))
    assert consumer.to_commit() == {}


async def test_offsets_that_were_selected_before_a_rebalance_are_not_committed_after_it() -> None:
    consumer = Consumer()

    def rebalance() -> None:
        consumer.app.consumer_generation_id += 1

    consumer.during_flush = rebalance
    assert not await consumer._commit_offsets({ERASURES: 3})
    assert not consumer.committed
    consumer.during_flush = lambda: None
    assert await consumer._commit_offsets({ERASURES: 3})
    assert consumer.committed == [{ERASURES: 3}]


@pytest.mark.parametrize("first", [0, 5])
async def test_offsets_that_were_refused_are_committed_later(first: int) -> None:
    """Kafka, or the positions of the rows, may refuse a commit for a moment, without a rebalance."""
    consumer = Consumer()
    if first:
        consumer._committed_offset[ERASURES] = first

    async def refuse(_offsets: Any) -> bool:
        return False

    for offset in range(first, first + 3):
        assert consumer.ack(consumer.fetch(offset))
    consumer._thread.commit = refuse
    assert not await consumer._commit_offsets(consumer.to_commit())
    consumer._thread.commit = consumer._commit_now
    assert consumer.to_commit() == {ERASURES: first + 3}
    consumer._put_back(ERASURES, first + 3)
    assert consumer.ack(consumer.fetch(first + 3))
    assert await consumer._commit_offsets(consumer.to_commit())
    assert consumer.committed == [{ERASURES: first + 4}]
    assert consumer.to_commit() == {}


async def test_of_a_commit_that_was_refused_in_part_the_rest_counts() -> None:
    consumer = Consumer()
    refused = TP("events.erasure", 4)

    class Positions:
        async def store(self, offsets: Any) -> Any:
            return {ERASURES: offsets[ERASURES]}

    consumer.positions = cast("Any", Positions())
    consumer.assignment = lambda: {ERASURES, refused}  # type: ignore[method-assign]
    assert not await consumer._commit_offsets({ERASURES: 3, refused: 7})
    assert consumer.committed == [{ERASURES: 3}]
    assert consumer.to_commit() == {}
    assert consumer._filter_committable_offsets([refused]) == {refused: 7}
