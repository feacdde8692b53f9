"""A message goes into the queue of its stream at once if there is room, otherwise as Faust delivers it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import faust
import pytest
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.worker.direct_delivery import DirectDelivery, RawSchema
from stream_app.worker.faust_app import make_faust_app

CLICKS: Final = TP("events.click", 0)


class Delivery:
    """A delivery to a stream with room for eight events; `by_faust` has the messages that Faust delivers."""

    def __init__(self, folder: Path) -> None:
        self.app: Any = make_faust_app(Settings(data_dir=folder), 4, "memory://", Metrics())
        self.app.flow_control.resume()
        self.app.consumer_generation_id = 1
        queue = self.app.FlowControlQueue(maxsize=8, clear_on_resume=True)
        self.channel = self.app.topic(CLICKS.topic, schema=RawSchema()).clone_using_queue(queue)
        self.calls: list[str] = []
        self.handler = SimpleNamespace(
            channels={self.channel},
            on_pressure_high=lambda: self.calls.append("high"),
            on_pressure_drop=lambda: self.calls.append("drop"),
        )
        self.app.topics._tp_to_callback[CLICKS] = self.handler
        self.by_faust: list[int] = []
        self.deliver = DirectDelivery(self.app, self._deliver_by_faust)

    async def _deliver_by_faust(self, message: Any) -> None:
        self.by_faust.append(message.offset)

    def message(self, offset: int) -> ConsumerMessage:
        nothing: Any = None
        return ConsumerMessage(
            *CLICKS, offset, 0.0, 0, [("h", b"1")], b"ann", b"{}", nothing, 0, 0, CLICKS,
            generation_id=1,
        )  # fmt: skip


@pytest.fixture
async def delivery(tmp_path: Path) -> Delivery:
    return Delivery(tmp_path)


async def test_a_message_is_an_event_in_the_queue_at_once(delivery: Delivery) -> None:
    message = delivery.message(7)
    assert delivery.deliver(message) is None
    event = delivery.channel.queue.get_nowait()
    assert (event.key, event.value, event.headers["h"]) == (b"ann", b"{}", b"1")
    assert event.message is message
    assert message.refcount == 1
    assert delivery.by_faust == []


async def test_a_message_that_finds_a_full_queue_is_delivered_by_faust(delivery: Delivery) -> None:
    for offset in range(8):
        assert delivery.deliver(delivery.message(offset)) is None
    assert delivery.calls == ["high"], "the partition is paused before the queue is full"
    waiting = delivery.deliver(delivery.message(8))
    assert waiting is not None
    await waiting
    assert delivery.by_faust == [8]
    assert delivery.channel.queue.qsize() == 8


@pytest.mark.parametrize(
    "reason", ["suspended", "two streams", "another schema", "unknown partition", "earlier assignment"]
)
async def test_faust_delivers_where_its_own_ways_are_needed(delivery: Delivery, reason: str) -> None:
    app = delivery.app
    match reason:
        case "suspended":
            app.flow_control.suspend()
        case "two streams":
            delivery.handler.channels.add(object())
        case "another schema":
            delivery.handler.channels = {
                app.topic("other", schema=faust.Schema(value_type=bytes)).clone(is_iterator=True)
            }
        case "earlier assignment":
            app.consumer_generation_id = 2
        case _:
            app.topics._tp_to_callback.clear()
    waiting = delivery.deliver(delivery.message(0))
    assert waiting is not None
    await waiting
    assert delivery.by_faust == [0]
    assert delivery.channel.queue.empty()
