"""A message that is delivered after its partition was assigned again hides no message that is read again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, Final

import faust
from faust.transport.conductor import ConductorCompiler
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.locks import Event
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from stream_app.worker.faust_transport import DirectConsumer

CLICKS: Final = TP("events.click", 0)
N_MESSAGES: Final = 20
QUEUE_SIZE: Final = 4


class Channel:
    """The topic of a stream: Faust delivers to its queue, and waits in a task of its own while that is full."""

    key_type = value_type = None

    def __init__(self, flow: FlowControlEvent) -> None:
        self.queue: Any = ThrowableQueue(maxsize=QUEUE_SIZE, flow_control=flow, clear_on_resume=True)
        self.before_put: Callable[[], None] = lambda: None

    async def decode(self, message: Any, *, propagate: bool) -> Any:
        assert propagate
        return SimpleNamespace(message=message)

    async def put(self, event: Any) -> None:
        self.before_put()
        await self.queue.put(event)


class Consumer(DirectConsumer):
    """The consumer of a partition whose messages are in memory; its assignments are steps of the test."""

    def __init__(self) -> None:
        app: Any = faust.App("late", broker="kafka://127.0.0.1:9", store="memory://")
        app.consumer, app.consumer_generation_id = self, 1
        self.flow: FlowControlEvent = app.flow_control
        self.channel = Channel(self.flow)
        conductor, channels, nothing = app.topics, {self.channel}, lambda *_: None
        deliver = ConductorCompiler().build(conductor, CLICKS, channels)
        super().__init__(app.transport, deliver, nothing, nothing)
        self.next = 0
        self.processed: list[int] = []
        self.has_processed_last = asyncio.Event()

    def _new_consumer_thread(self) -> Any:
        return SimpleNamespace(beacon=None)

    def on_buffer_full(self, tp: Any) -> None: ...

    def on_buffer_drop(self, tp: Any) -> None: ...

    async def getmany(self, timeout: float) -> AsyncIterator[Any]:  # noqa: ARG002, ASYNC109  # Faust's signature
        await self.can_resume_flow.wait()
        generation: Any = self.app.consumer_generation_id
        await asyncio.sleep(0)
        while self.next < N_MESSAGES and self.flow_active and generation == self.app.consumer_generation_id:
            offset, nothing = self.next, None
            self.next += 1
            rest: Any = (0.0, 0, [], b"ann", b"{}", nothing, 0, 0, CLICKS)
            yield CLICKS, ConsumerMessage(*CLICKS, offset, *rest, generation_id=generation)

    def revoke(self) -> None:
        """What Faust does at first when partitions are revoked."""
        self.stop_flow()
        self.flow.suspend()
        self.flow.clear()

    def assign(self) -> None:
        """Assign the partition again; it is read from the first message that was not processed."""
        self.app.consumer_generation_id += 1
        self.next = len(self.processed)
        self._read_offset.update({CLICKS: self.next})
        self.flow.resume()
        self.resume_flow()

    async def run_agent(self) -> None:
        """What Faust's streams do: they skip messages of an earlier assignment."""
        while True:
            message = (await self.channel.queue.get()).message
            if message.generation_id == self.app.consumer_generation_id and self.flow.is_active():
                self.processed.append(message.offset)
            if message.offset == N_MESSAGES - 1:
                self.has_processed_last.set()


async def test_messages_that_are_read_again_are_processed_though_a_later_one_is_delivered_late() -> None:
    consumer = Consumer()
    consumer.flow.resume()
    consumer.resume_flow()
    revoked = asyncio.Event()

    def revoke_once() -> None:
        # The partition is revoked when the wait for room has been requested, and has not begun.
        if not revoked.is_set():
            revoked.set()
            consumer.revoke()

    consumer.channel.before_put = revoke_once
    fetcher: Any = SimpleNamespace(_stopped=Event())
    drain = asyncio.create_task(consumer._drain_messages(fetcher))
    await asyncio.wait_for(revoked.wait(), 60)
    assert consumer.next == QUEUE_SIZE + 1
    agent = asyncio.create_task(consumer.run_agent())
    consumer.assign()
    await asyncio.wait_for(consumer.has_processed_last.wait(), 60)
    for task in (drain, agent):
        task.cancel()
    await asyncio.gather(drain, agent, return_exceptions=True)
    assert consumer.processed == list(range(N_MESSAGES))
