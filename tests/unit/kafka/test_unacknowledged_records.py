"""Records that hold commits back."""

import asyncio

import pytest
from aiokafka.errors import KafkaTimeoutError

from stream_app.kafka.unacknowledged_records import UnacknowledgedRecords


def sent() -> "asyncio.Future[object]":
    return asyncio.get_running_loop().create_future()


async def test_waiting_ends_with_the_last_acknowledgement() -> None:
    records, futures = UnacknowledgedRecords(), [sent() for _ in range(3)]
    for future in futures:
        await records.add(future)
    waiting = asyncio.create_task(records.wait())
    for future in futures:
        await asyncio.sleep(0)
        assert not waiting.done()
        future.set_result(None)
    await asyncio.wait_for(waiting, 1.0)
    await asyncio.wait_for(records.wait(), 1.0)


async def test_a_lost_record_fails_every_later_wait() -> None:
    records, lost = UnacknowledgedRecords(), sent()
    await records.add(lost)
    lost.set_exception(KafkaTimeoutError())
    for _ in range(2):
        with pytest.raises(KafkaTimeoutError):
            await records.wait()


async def test_a_cancelled_wait_cancels_no_delivery() -> None:
    records, future = UnacknowledgedRecords(), sent()
    await records.add(future)
    waiting = asyncio.create_task(records.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not future.cancelled()
    future.set_result(None)
    await asyncio.wait_for(records.wait(), 1.0)


async def test_adding_waits_at_the_limit() -> None:
    records, futures = UnacknowledgedRecords(limit=2), [sent(), sent()]
    await records.add(futures[0])
    adding = asyncio.create_task(records.add(futures[1]))
    await asyncio.sleep(0)
    futures[0].set_result(None)
    await asyncio.sleep(0)
    assert not adding.done()
    futures[1].set_result(None)
    await asyncio.wait_for(adding, 1.0)


async def test_two_waits_at_a_time_forget_no_later_record() -> None:
    records, first, later = UnacknowledgedRecords(), sent(), sent()
    await records.add(first)
    waiting = [asyncio.create_task(records.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    await records.add(later)
    first.set_result(None)
    await asyncio.gather(*waiting)
    later.set_exception(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await records.wait()
