"""What Faust does must neither end a worker, nor keep it from its end."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.types import TP
from mode.utils.locks import Event
from mode.utils.logging import CompositeLogger

from stream_app.worker.faust_transport import CommittedReadsThread, DirectConsumer

OFFSETS = {TP("events.click", 0): 4}


async def _check(is_reset: bool) -> None:
    subscriptions = SubscriptionState()
    partition = TopicPartition("events.click", 0)
    subscriptions.assign_from_user([partition])
    state = subscriptions.subscription.assignment.state_value(partition)
    state.seek(3)
    state.highwater, state.timestamp = 5, int(time.monotonic() * 1000)
    if is_reset:
        # As after a read of records that retention has removed.
        state.await_reset(0)
    thread: Any = object.__new__(CommittedReadsThread)
    thread._consumer = SimpleNamespace(_fetcher=SimpleNamespace(_subscriptions=subscriptions))
    thread.time_started = time.monotonic()
    thread.tp_fetch_request_timeout_secs = thread.tp_stream_timeout_secs = 300.0
    topics = SimpleNamespace(acks_enabled_for=lambda _: True)
    thread.consumer = SimpleNamespace(
        app=SimpleNamespace(monitor=SimpleNamespace(stream_inbound_time={}), topics=topics)
    )
    thread.verify_event_path(time.monotonic(), TP("events.click", 0))


def test_a_partition_without_a_position_does_not_end_the_worker() -> None:
    for is_reset in (False, True):
        asyncio.run(_check(is_reset))


class _Thread:
    """A thread of a consumer that answers calls as it is told to."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._shutdown = Event()

    async def commit(self, offsets: object) -> bool:
        assert offsets == OFFSETS
        return await self.answer

    def end(self) -> None:
        self._shutdown.set()


async def _commit(while_committing: Callable[[_Thread], object]) -> bool:
    consumer: Any = object.__new__(DirectConsumer)
    consumer._thread = _Thread()
    commit = asyncio.create_task(consumer._commit(OFFSETS))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    while_committing(consumer._thread)
    found = await asyncio.wait_for(commit, 60)
    consumer._thread.end()
    assert not await asyncio.wait_for(consumer._commit(OFFSETS), 60)
    return bool(found)


def test_a_commit_waits_for_no_thread_that_has_ended() -> None:
    assert not asyncio.run(_commit(_Thread.end))


def test_a_commit_that_the_thread_cancels_does_not_cancel_the_end_of_the_worker() -> None:
    assert not asyncio.run(_commit(lambda thread: thread.answer.cancel()))


def test_a_commit_has_the_answer_of_kafka() -> None:
    assert asyncio.run(_commit(lambda thread: thread.answer.set_result(True)))


CLICKS_1: Final = TP("events.click", 1)
CLICKS_2: Final = TP("events.click", 2)


class _Positions:
    """Stores the positions of the first partition alone: the other was revoked."""

    async def store(self, offsets: Mapping[Any, int]) -> dict[Any, int]:
        return {tp: offset for tp, offset in offsets.items() if tp == CLICKS_1}


class _CommittingConsumer(DirectConsumer):
    """The consumer without Faust; Kafka answers a commit with `answer`."""

    def __init__(self, *, answer: bool) -> None:
        async def flush() -> None: ...

        async def commit(offsets: Mapping[TP, int]) -> bool:
            self.committed.append(offsets)
            return answer

        self.app = SimpleNamespace(
            consumer_generation_id=1,
            producer=SimpleNamespace(flush=flush),
            tables=SimpleNamespace(on_commit=lambda _: None),
            monitor=SimpleNamespace(on_tp_commit=lambda _: None),
        )
        self.log = CompositeLogger(logging.getLogger())
        self.in_transaction = False
        self.positions = cast("Any", _Positions())
        self._committed_offset = {CLICKS_1: 5, CLICKS_2: 6}
        self._acked: Any = {CLICKS_1: [], CLICKS_2: []}
        self._acked_index: Any = {CLICKS_1: set(), CLICKS_2: set()}
        self._thread = SimpleNamespace(_shutdown=Event(), commit=commit)
        self.committed: list[Mapping[TP, int]] = []

    def assignment(self) -> set[TP]:
        return {CLICKS_1, CLICKS_2}

    async def commit_8(self, *tps: TP) -> bool:
        """Commit the offset 8 of partitions, unless the consumer knows it as committed."""
        return bool(await self._commit_offsets({tp: 8 for tp in tps if self._should_commit(tp, 8)}))


@pytest.mark.parametrize("answer", [False, True])
async def test_offsets_that_were_not_committed_are_committed_next_time(*, answer: bool) -> None:
    consumer = _CommittingConsumer(answer=answer)
    assert await consumer.commit_8(CLICKS_1) is answer
    assert consumer.committed == [{CLICKS_1: 8}]
    assert consumer._should_commit(CLICKS_1, 8) is not answer


async def test_a_partition_whose_positions_cannot_be_stored_is_not_committed() -> None:
    consumer = _CommittingConsumer(answer=True)
    assert not await consumer.commit_8(CLICKS_1, CLICKS_2)
    assert consumer.committed == [{CLICKS_1: 8}]
    assert consumer._should_commit(CLICKS_2, 8)
    assert not await consumer.commit_8(CLICKS_2)
    assert consumer.committed == [{CLICKS_1: 8}]
