"""A ``headrace worker`` process with a fault of its own; run as a script, with the faults as arguments.

``kill=MOMENT:N`` kills the process (SIGKILL) at the N-th time of a moment of `KILLS`. ``clock=FILE`` adds the seconds
in a file to the wall clock; the file may change while the process runs, and the monotonic clocks stay as they are.
``scan=FILE`` lets each 200 rows of the scan after an assignment take a tenth of a second, and adds a byte to a file.
``fail=FILE`` lets a task of the worker fail once a file exists. ``stuck=CALL`` lets a call of `CALLS` never return.
``revoke=FILE`` lets a revocation of partitions wait while a file exists, into which it writes a byte.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NoReturn

_SCRIPT: Final = str(Path(__file__).resolve())


def command(*faults: str) -> tuple[str, ...]:
    """The command of a worker with faults."""
    return (sys.executable, _SCRIPT, *faults)


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
    raise AssertionError("unreachable")


class Countdown:
    """True at the N-th call, and from then on."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def __call__(self) -> bool:
        self._left -= 1
        return self._left <= 0


def _before(owner: Any, name: str, countdown: Countdown) -> None:
    """Die before a call of a method."""
    method = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        if countdown():
            die()
        return method(*args, **kwargs)

    setattr(owner, name, call)


def _after(owner: Any, name: str, countdown: Countdown) -> None:
    """Die after a call of a coroutine method."""
    method = getattr(owner, name)

    async def call(*args: Any, **kwargs: Any) -> Any:
        found = await method(*args, **kwargs)
        if countdown():
            die()
        return found

    setattr(owner, name, call)


class _HeldBatches:
    """Replaces `AIOKafkaProducer.send_batch`: of an event's records one is acknowledged, and the other is not sent.

    Parameters
    ----------
    countdown
        Batches of the held topic until the first one that is not sent.
    is_held, is_awaited
        Whether the records of a topic are not sent, and whether the process dies once they are acknowledged.
    """

    def __init__(
        self, countdown: Countdown, is_held: Callable[[str], bool], is_awaited: Callable[[str], bool]
    ) -> None:
        from aiokafka import AIOKafkaProducer

        self._countdown = countdown
        self._is_held, self._is_awaited = is_held, is_awaited
        self._send = AIOKafkaProducer.send_batch
        self._held: set[int] = set()
        self._newest: dict[int, asyncio.Future[Any]] = {}
        held_batches = self

        async def send_batch(producer: Any, batch: Any, topic: str, *, partition: int) -> Any:
            return await held_batches.send(producer, batch, topic, partition)

        AIOKafkaProducer.send_batch = send_batch

    async def send(self, producer: Any, batch: Any, topic: str, partition: int) -> Any:
        if self._is_held(topic) and self._countdown():
            self._held.add(partition)
            # Of one event, the row is sent first, then the interaction, then the reward.
            if not _is_changelog(topic) and (earlier := self._newest.get(partition)) is not None:
                await asyncio.wait([earlier])
                die()
            return asyncio.get_running_loop().create_future()
        future = await self._send(producer, batch, topic, partition=partition)
        if self._is_awaited(topic):
            self._newest[partition] = future
            if partition in self._held:
                future.add_done_callback(lambda _: die())
        return future


def _is_changelog(topic: str) -> bool:
    return topic.endswith("-changelog")


def _is_interactions(topic: str) -> bool:
    return topic == "interactions"


def _is_rewards(topic: str) -> bool:
    return topic == "rewards"


def between_changelog_and_interaction(countdown: Countdown) -> None:
    """The row is on the changelog, and the interaction of the same event is not on its log."""
    _HeldBatches(countdown, _is_interactions, _is_changelog)


def between_interaction_and_changelog(countdown: Countdown) -> None:
    """The interaction is on its log, and the row of the same event is not on the changelog."""
    _HeldBatches(countdown, _is_changelog, _is_interactions)


def between_interaction_and_reward(countdown: Countdown) -> None:
    """The interaction is on its log, and the reward of the same event is not."""
    _HeldBatches(countdown, _is_rewards, _is_interactions)


def between_row_and_records(countdown: Countdown) -> None:
    """The row is in the local store, and none of the records of its event was handed to the producer."""
    from stream_app.kafka.batch_producer import BatchProducer

    append = BatchProducer.append

    def append_or_die(
        producer: Any, topic: str, partition: int, key: bytes | None, value: bytes | None, *args: Any
    ) -> None:
        if _is_changelog(topic) and value is not None and countdown():
            die()
        append(producer, topic, partition, key, value, *args)

    BatchProducer.append = append_or_die  # type: ignore[method-assign,assignment]  # for this process


def before_the_commit(countdown: Countdown) -> None:
    """All records of some events are acknowledged, and their offsets are not committed."""
    from stream_app.worker.faust_transport import BatchFlushingProducer

    _after(BatchFlushingProducer, "flush", countdown)


def in_a_recovery(countdown: Countdown) -> None:
    """A part of the changelog is in the local store."""
    from stream_app.worker.table_recovery import TableRecovery

    _before(TableRecovery, "_write", countdown)


def while_catching_up(countdown: Countdown) -> None:
    """The table is recovered, and the replica reads the logs of former owners."""
    from stream_app.worker.replica import Replica

    _before(Replica, "catch_up", countdown)


def between_lists_and_redis(countdown: Countdown) -> None:
    """A flush was handed to the topic of lists, and Redis did not get it."""
    from stream_app.publishing.redis_publisher import RedisPublisher

    _before(RedisPublisher, "publish", countdown)


def after_redis(countdown: Countdown) -> None:
    """Redis has the lists of a flush, and the worker does not know it."""
    from stream_app.publishing.redis_publisher import RedisPublisher

    _after(RedisPublisher, "publish", countdown)


def in_a_snapshot(countdown: Countdown) -> None:
    """A half of a snapshot is written."""
    from state.snapshots import files

    def sync(file: int) -> None:
        if countdown():
            os.ftruncate(file, os.fstat(file).st_size // 2)
            die()
        os.fsync(file)

    files.os = SimpleNamespace(fsync=sync)  # type: ignore[attr-defined,assignment]  # for this process


KILLS: Final[dict[str, Callable[[Countdown], None]]] = {
    each.__name__: each
    for each in (
        between_changelog_and_interaction,
        between_interaction_and_changelog,
        between_interaction_and_reward,
        between_row_and_records,
        before_the_commit,
        in_a_recovery,
        while_catching_up,
        between_lists_and_redis,
        after_redis,
        in_a_snapshot,
    )
}


def shift_clock(path: Path) -> None:
    """Add the seconds in a file to the wall clock of this process."""
    now, now_ns = time.time, time.time_ns

    def offset() -> float:
        try:
            return float(path.read_text() or 0.0)
        except (OSError, ValueError):
            return 0.0

    time.time = lambda: now() + offset()
    time.time_ns = lambda: now_ns() + int(offset() * 1e9)


class _SlowQueue:
    """A queue that takes its time to have capacity, and counts in a file how often it was asked."""

    def __init__(self, queue: Any, path: Path) -> None:
        self._queue, self._path = queue, path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def wait_for_capacity(self) -> None:
        with self._path.open("ab") as file:
            file.write(b".")
        await asyncio.sleep(0.1)
        await self._queue.wait_for_capacity()


def slow_scan(path: Path) -> None:
    """Slow down the scan of the rows after an assignment, so that it can be interrupted."""
    from stream_app.worker import republication

    scan = republication.republish_recent_users

    def slow(rows: Any, queue: Any, *args: Any, **kwargs: Any) -> Any:
        slow_queue: Any = _SlowQueue(queue, path)
        return scan(rows, slow_queue, *args, **kwargs)

    republication.republish_recent_users = slow  # for this process


def fail_task(path: Path) -> None:
    """Let the task that applies the guardrail fail once a file exists."""
    from stream_app.worker.policy_controller import PolicyController

    apply = PolicyController.apply_guardrail

    def apply_or_fail(controller: Any) -> Any:
        if path.exists():
            raise RuntimeError("a task was made to fail")
        return apply(controller)

    PolicyController.apply_guardrail = apply_or_fail  # type: ignore[method-assign,assignment]  # for this process


def stuck_snapshot() -> None:
    """The store of snapshots never answers."""
    from stream_app.worker.replica import Replica

    async def wait_for_ever(_: Any) -> None:
        await asyncio.get_running_loop().create_future()

    Replica.try_snapshot = wait_for_ever  # type: ignore[method-assign,assignment]  # for this process


def stuck_loop() -> None:
    """The local store blocks the thread of the event loop."""
    from stream_app.worker.replica import Replica

    async def block(_: Any) -> None:
        threading.Event().wait()

    Replica.try_snapshot = block  # type: ignore[method-assign,assignment]  # for this process


def stuck_catch_up() -> None:
    """The logs are never read to their ends."""
    from stream_app.worker.replica import Replica

    async def wait_for_ever(_: Any, **__: Any) -> None:
        await asyncio.get_running_loop().create_future()

    Replica.catch_up = wait_for_ever  # type: ignore[method-assign,assignment]  # for this process


def hold_revocations(path: Path) -> None:
    """Let a revocation wait while a file exists, with the flow of events as it was."""
    from stream_app.worker.faust_transport import DirectConsumer

    revoke = DirectConsumer.on_partitions_revoked

    def wait() -> None:
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
            file.write(b".")
        while path.exists():
            time.sleep(0.02)

    async def wait_and_revoke(consumer: Any, revoked: Any) -> None:
        await asyncio.to_thread(wait)
        await revoke(consumer, revoked)

    DirectConsumer.on_partitions_revoked = wait_and_revoke  # for this process


CALLS: Final[dict[str, Callable[[], None]]] = {
    "snapshot": stuck_snapshot,
    "loop": stuck_loop,
    "catch_up": stuck_catch_up,
}


def install(fault: str) -> None:
    """Install one fault in this process."""
    name, _, value = fault.partition("=")
    if name == "clock":
        shift_clock(Path(value))
    elif name == "scan":
        slow_scan(Path(value))
    elif name == "fail":
        fail_task(Path(value))
    elif name == "revoke":
        hold_revocations(Path(value))
    elif name == "stuck":
        CALLS[value]()
    elif name == "kill":
        moment, _, calls = value.partition(":")
        KILLS[moment](Countdown(int(calls)))
    else:
        raise ValueError(f"unknown fault {fault!r}")


def main() -> None:
    # Of a script, the first entry of the path is its folder.
    sys.path.pop(0)
    faults, sys.argv = sys.argv[1:], ["headrace", "worker"]
    from stream_app.worker.deferred_imports import defer_imports

    # As a worker does, but before a fault imports modules of the worker.
    defer_imports()
    # The clock first: modules bind `time.time` when they are imported.
    for fault in sorted(faults):
        install(fault)
    from stream_app.__main__ import main as run_command

    run_command()


if __name__ == "__main__":
    main()
