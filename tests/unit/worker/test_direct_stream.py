"""Which events a stream counts as processed: those that the agent has processed, in their assignment."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import faust
import pytest
from faust.streams import current_event
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.worker.direct_delivery import RawSchema
from stream_app.worker.faust_app import make_faust_app
from stream_app.worker.faust_transport import DirectConsumer

CLICKS: Final = TP("events.click", 0)


class Consumer(DirectConsumer):
    """The consumer without Kafka."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._acked: Any = defaultdict(list)
        self._acked_index: Any = defaultdict(set)
        self._committed_offset: Any = defaultdict(lambda: None)
        self._gap: Any = defaultdict(list)
        self._begun: Any = {}
        self._removed: Any = {}
        self._is_positioned = True
        self._unacked_messages: Any = set()
        self._waiting_for_ack = None
        self._n_acked = 0
        self._on_message_in = app.sensors.on_message_in

    def to_commit(self) -> dict[TP, int]:
        """What a commit would cover; Faust takes it as committed."""
        offsets = self._filter_committable_offsets([CLICKS])
        self._committed_offset.update(offsets)
        return offsets

    @property
    def counted(self) -> list[int]:
        """Offsets of the events that count as processed."""
        return list(self._acked[CLICKS])


class Agent:
    """An agent that collects the events of a stream, and waits in the middle of one if told to."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.app.consumer_generation_id = 1
        self.app.flow_control.resume()
        self.app.topics._acking_topics.add(CLICKS.topic)
        self.consumer = self.app.consumer = Consumer(app)
        self.stream = app.stream(app.topic(CLICKS.topic, schema=RawSchema()).clone(is_iterator=True))
        self.handled: list[int] = []
        self.current: list[int] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.took = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for event in self.stream.events():
            self.took.set()
            await self.may_go_on.wait()
            self.handled.append(event.message.offset)
            current = current_event()
            assert current is not None
            self.current.append(current.message.offset)

    def deliver(self, offset: int) -> None:
        nothing: Any = None
        message = ConsumerMessage(
            *CLICKS, offset, 0.0, 0, [], b"ann", b"{}", nothing, 0, 0, CLICKS,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        message.incref()
        self.stream.channel.queue.put_nowait(faust.Event(self.app, b"ann", b"{}", None, message))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  # agents have no event to wait for
                await asyncio.sleep(0)

    async def stop(self) -> None:
        """Cancel the agent, and stop its stream."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.stream.stop()
        for _ in range(10):  # generators that were left are closed by tasks of their own
            await asyncio.sleep(0)


@pytest.fixture
def app(tmp_path: Path) -> Any:
    return make_faust_app(Settings(data_dir=tmp_path), 4, "memory://", Metrics())


@pytest.fixture
async def agent(app: Any) -> AsyncIterator[Agent]:
    agent = Agent(app)
    yield agent
    await agent.stop()


async def test_events_count_in_order_after_they_were_processed(agent: Agent) -> None:
    for offset in range(3):
        agent.deliver(offset)
    await agent.until(lambda: agent.consumer.counted == [0, 1, 2])
    assert agent.handled == agent.current == [0, 1, 2]
    assert agent.stream.events_total == 3
    assert not agent.consumer._unacked_messages
    assert agent.stream.current_event is None


async def test_an_event_that_is_held_is_not_counted_yet(agent: Agent) -> None:
    agent.may_go_on.clear()
    agent.deliver(0)
    await agent.took.wait()
    assert agent.consumer.counted == []
    assert len(agent.consumer._unacked_messages) == 1
    agent.may_go_on.set()
    await agent.until(lambda: agent.consumer.counted == [0])


async def test_an_event_that_was_held_over_a_rebalance_is_not_counted_in_the_next_assignment(
    agent: Agent,
) -> None:
    agent.may_go_on.clear()
    agent.deliver(2)
    await agent.took.wait()
    agent.app.consumer_generation_id = 2
    agent.may_go_on.set()
    agent.deliver(0)
    await agent.until(lambda: agent.handled == [2, 0])
    await agent.until(lambda: agent.consumer.counted == [0])
    assert not agent.consumer._unacked_messages


async def test_an_event_that_waited_in_the_queue_over_a_rebalance_is_dropped(agent: Agent) -> None:
    agent.deliver(7)
    agent.app.consumer_generation_id = 2
    agent.deliver(0)
    await agent.until(lambda: agent.consumer.counted == [0])
    assert agent.handled == [0]


async def test_an_event_whose_agent_is_cancelled_before_it_is_processed_is_not_counted(agent: Agent) -> None:
    agent.deliver(0)
    await agent.until(lambda: agent.consumer.counted == [0])
    agent.took.clear()
    agent.may_go_on.clear()
    agent.deliver(1)
    await agent.took.wait()
    await agent.stop()
    assert agent.consumer.counted == [0]


@pytest.mark.parametrize("committed", [None, 10])
async def test_an_event_that_failed_is_not_committed_with_the_events_after_it(
    agent: Agent, committed: int | None
) -> None:
    first = committed or 0
    agent.consumer._committed_offset[CLICKS] = committed
    agent.deliver(first)
    await agent.until(lambda: agent.consumer.counted == [first])
    agent.may_go_on.clear()
    agent.took.clear()
    agent.deliver(first + 1)
    await agent.took.wait()
    agent.task.cancel()
    await asyncio.gather(agent.task, return_exceptions=True)
    assert not agent.consumer._unacked_messages, "a rebalance would wait for it"
    agent.may_go_on.set()
    agent.task = asyncio.create_task(agent._run())  # as Faust's supervisor does
    for offset in (2, 3):
        agent.deliver(first + offset)
    await agent.until(lambda: agent.consumer.counted[-1:] == [first + 3])
    assert agent.consumer.to_commit() == {CLICKS: first + 1}
    agent.deliver(first + 4)
    await agent.until(lambda: agent.consumer.counted[-1:] == [first + 4])
    assert agent.consumer.to_commit() == {}


async def test_an_event_that_the_agent_drops_is_not_committed(agent: Agent) -> None:
    agent.may_go_on.clear()
    agent.deliver(0)
    await agent.took.wait()
    event = agent.stream.current_event
    assert event is not None
    event.message.acked = True
    agent.may_go_on.set()
    agent.deliver(1)
    await agent.until(lambda: agent.consumer.counted == [1])
    assert agent.consumer.to_commit() == {}
    assert not agent.consumer._unacked_messages


async def test_the_agent_ends_after_the_events_before_its_end(agent: Agent) -> None:
    agent.deliver(0)
    # As Faust ends an agent, when a worker stops.
    agent.stream.channel._throw(StopAsyncIteration())
    async with asyncio.timeout(60):
        await agent.task
    assert agent.handled in ([], [0])
    assert agent.consumer.counted == agent.handled


async def test_other_tasks_run_while_many_events_wait(agent: Agent) -> None:
    for offset in range(4_000):
        agent.deliver(offset)
    turns = []

    async def take_turns() -> None:
        while len(agent.handled) < 4_000:
            turns.append(len(agent.handled))
            await asyncio.sleep(0)

    await take_turns()
    between = [after - before for before, after in pairwise(turns)]
    assert max(between) < 2_000
