"""Faust's check for partitions without progress must not end a worker."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.types import TP

from stream_app.worker.faust_transport import CommittedReadsThread


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
