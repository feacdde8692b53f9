"""The catch-up barrier opens after the recoveries of the current assignment, and after no other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from tests.support.app_without_kafka import PARTITIONS, WorkerWithoutKafka, open_worker
from topics.catalog import CLICKS, INTERACTIONS, REWARDS


class AssignedWorker:
    """A worker whose recoveries are steps of the test; each step ends at once, or does what the test says."""

    def __init__(self, made: WorkerWithoutKafka, monkeypatch: pytest.MonkeyPatch) -> None:
        self.worker = made.app.headrace_worker
        self.barrier = made.catch_up_barrier
        self.steps: list[str] = []
        self.during: dict[str, Callable[[], Any]] = {}
        self._rest = asyncio.Event()
        components = self.worker.components

        async def start() -> Any:
            return asyncio.ensure_future(self._rest.wait())

        def step(name: str) -> Callable[..., Any]:
            async def run(*_: object, **__: object) -> None:
                self.steps.append(name)
                await asyncio.sleep(0)
                if (action := self.during.pop(name, None)) is not None:
                    await action()

            return run

        monkeypatch.setattr(components.policies, "start", start)
        monkeypatch.setattr(components.replica, "start", start)
        monkeypatch.setattr(components.flush_loop, "start", lambda: asyncio.ensure_future(self._rest.wait()))
        monkeypatch.setattr(components.replica, "catch_up", step("replica"))
        monkeypatch.setattr(components.list_recovery, "recover", step("lists"))
        monkeypatch.setattr(self.worker, "_spawn", lambda work, _name: work.close())
        coordinator = SimpleNamespace(_coordinator=SimpleNamespace(_send_req=None))
        made.app.consumer = SimpleNamespace(
            assignment=lambda: {TP(CLICKS.name, each) for each in range(PARTITIONS)},
            _thread=SimpleNamespace(_consumer=coordinator),
        )

        async def recover(partitions: Collection[int]) -> None:
            self.steps.append("table")
            await self.worker.fence.acquire(partitions)

        async def verify() -> bool:
            return True

        monkeypatch.setattr(self.worker._table_recovery, "recover", recover)
        monkeypatch.setattr(self.worker.topic_watch, "verify", verify)
        self.running = asyncio.create_task(self.worker._run())

    async def revoke(self) -> None:
        await self.worker._on_revoked()

    async def assign(self) -> None:
        await self.worker._on_assigned()
        await self.worker._recover_table(range(PARTITIONS))

    async def settle(self) -> None:
        """Let the worker's task run until it waits."""
        for _ in range(50):
            await asyncio.sleep(0)


@pytest.fixture
async def assigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AssignedWorker]:
    async with open_worker(tmp_path) as made:
        worker = AssignedWorker(made, monkeypatch)
        yield worker
        worker.running.cancel()
        worker._rest.set()
        await asyncio.gather(worker.running, return_exceptions=True)


async def test_the_barrier_opens_after_table_replica_and_lists(assigned: AssignedWorker) -> None:
    await assigned.revoke()
    await assigned.settle()
    assert not assigned.barrier.is_set()
    queue = assigned.worker.components.queue
    assert queue.is_holding
    await assigned.assign()
    await assigned.settle()
    assert assigned.steps == ["table", "replica", "lists"]
    assert assigned.barrier.is_set()
    assert not queue.is_holding
    await assigned.revoke()
    assert not assigned.barrier.is_set()
    assert queue.is_holding


async def test_lists_whose_rewards_were_dropped_are_read_again(
    assigned: AssignedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    recovered: list[Any] = []

    async def recover(_owned: object, _ends: object, without_rewards: object) -> None:
        recovered.append(without_rewards)

    monkeypatch.setattr(assigned.worker.components.list_recovery, "recover", recover)
    producer = assigned.worker.batch_producer
    await assigned.revoke()
    for topic, partition in ((REWARDS, 2), (INTERACTIONS, 1)):
        producer.append(topic.name, partition, b"key", b"dropped")
    for _ in range(2):
        await assigned.assign()
        await assigned.settle()
        await assigned.revoke()
    assert recovered == [{2}, set()]


@pytest.mark.parametrize("step", ["replica", "lists"])
async def test_a_revocation_during_a_recovery_keeps_the_barrier_closed(
    assigned: AssignedWorker, step: str
) -> None:
    assigned.during[step] = assigned.revoke
    await assigned.assign()
    await assigned.settle()
    assert not assigned.barrier.is_set()
    assigned.steps.clear()
    await assigned.assign()
    await assigned.settle()
    assert assigned.steps == ["table", "replica", "lists"]
    assert assigned.barrier.is_set()


async def test_a_revocation_right_after_the_table_recovery_keeps_the_barrier_closed(
    assigned: AssignedWorker,
) -> None:
    await assigned.settle()
    await assigned.assign()
    await assigned.revoke()
    await assigned.settle()
    assert assigned.steps == ["table"]
    assert not assigned.barrier.is_set()


async def test_a_revocation_while_the_topics_are_compared_opens_nothing(
    assigned: AssignedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust ends the recovery of an earlier assignment with the next one, not with the revocation."""
    verify = assigned.worker.topic_watch.verify

    async def verify_late() -> bool:
        await assigned.revoke()
        return bool(await verify())

    await assigned.settle()
    monkeypatch.setattr(assigned.worker.topic_watch, "verify", verify_late)
    await assigned.assign()
    await assigned.settle()
    assert assigned.steps == ["table"]
    assert not assigned.barrier.is_set()
    # Lists would be ranked by rows that the next recovery has not read yet, those of erased users among them.
    assert assigned.worker.components.queue.is_holding


@pytest.mark.parametrize("step", ["replica", "lists"])
async def test_a_stop_during_a_recovery_opens_nothing(assigned: AssignedWorker, step: str) -> None:
    stopping: list[asyncio.Task[None]] = []

    async def stop() -> None:
        stopping.append(asyncio.create_task(assigned.worker._on_before_shutdown()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assigned.during[step] = stop
    await assigned.assign()
    await assigned.settle()
    await asyncio.wait_for(stopping[0], 10)
    assert not assigned.barrier.is_set()
    assert assigned.steps[-1] == step
    assert assigned.running.done()
