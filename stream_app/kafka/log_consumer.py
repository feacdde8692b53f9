"""How a worker reads what all workers write: consumers without a group, each with the task that follows it."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer


def log_consumer(broker: str) -> Any:
    """A consumer that reads where it is told to and leaves no trace on the broker; not started.

    Parameters
    ----------
    broker
        Bootstrap servers.
    """
    return AIOKafkaConsumer(
        bootstrap_servers=broker,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        request_timeout_ms=30_000,
    )


async def stop_consumer_task(task: "asyncio.Task[None] | None", consumer: Any) -> None:
    """End a task that follows a consumer, then the consumer; None for what was never started."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if consumer is not None:
        await consumer.stop()
