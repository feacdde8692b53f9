"""Adopts the checkpoints of the two-tower model that a trainer announces on the topic ``models``.

A version belongs at a place in the log: it is adopted after the replica has folded all interactions that the trainer
had learned, so that the learned fusion sees no score of weights that knew the choice. Everything that takes long is
done in a thread; the event loop replaces the weights between two batches, which takes a millisecond.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from state.checkpoint_store import CheckpointStore
from stream_app.kafka.availability import retry_while_unavailable
from stream_app.kafka.log_consumer import log_consumer, read_existing, stop_consumer_task
from stream_app.models.served_weights import PreparedWeights, prepare_weights, serve_weights
from stream_app.models.two_tower import TwoTower
from stream_app.neural_metrics import NeuralMetrics, Refusal
from stream_app.worker.checkpoint_checks import (
    CheckpointJudge,
    ReadCheckpoint,
    RefusedError,
    check_offsets,
    read_checkpoint,
)
from topics.catalog import MODELS
from topics.kafka_connection import Broker
from topics.records import ModelAnnouncement

_LOG: Final = logging.getLogger(__name__)
MODEL_KEY: Final = TwoTower.name.encode()
"""Key of the records on ``models`` that are followed."""

START_PATIENCE: Final = 30.0
"""Seconds after its start for which a worker that could be ready waits for the announced checkpoint."""

_PAUSE: Final = 0.005
"""Seconds for which the loading thread leaves the interpreter to the event loop after every few milliseconds."""

_BACKOFF: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before each further attempt to read from a store that is unavailable."""

_N_END_CHECKS: Final = 3
"""Reads of the ends of the log before a checkpoint is refused: a new leader may report ends that are too low."""


class FoldedLog(Protocol):
    """How far a replica has folded the interactions."""

    async def interaction_ends(self) -> dict[int, int]:
        """The offset after the last interaction of each partition."""

    async def wait_until_passed(self, offsets: Sequence[int]) -> None:
        """Wait until all interactions before these offsets, one a partition, are folded."""


class CheckpointFollower:
    """Follows the topic ``models``.

    Only the newest announcement is loaded. One that is superseded while its file is read is given up, unless the one
    before was, too; one that waits for its place in the log is adopted there.

    Parameters
    ----------
    model
        The model whose weights are replaced.
    log
        The replica.
    clock
        Seconds since the epoch.
    retry_seconds
        Waiting times while the store is unavailable.
    """

    def __init__(
        self,
        model: TwoTower,
        store: CheckpointStore,
        log: FoldedLog,
        metrics: NeuralMetrics,
        *,
        broker: Broker,
        clock: Callable[[], float] = time.time,
        retry_seconds: Sequence[float] = _BACKOFF,
    ) -> None:
        self._model = model
        self._store = store
        self._log = log
        self._metrics = metrics
        self._broker = broker
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._judge = CheckpointJudge()
        self._since = clock()
        self._announced: ModelAnnouncement | None = None
        self._is_announced = asyncio.Event()
        self._is_settled = asyncio.Event()
        self._gave_up = False
        self._ready_by = math.inf
        self._consumer: Any = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> "list[asyncio.Task[None]]":
        """Read the announcements and load the newest; the tasks end only when stopped, or with an error."""
        self._ready_by = time.monotonic() + START_PATIENCE
        consumer = self._consumer = log_consumer(self._broker)
        await consumer.start()
        await read_existing(consumer, MODELS.name, self._apply)
        self._tasks = [
            asyncio.create_task(self._follow(), name="announcements of models"),
            self.start_loading(),
        ]
        return self._tasks

    def start_loading(self) -> "asyncio.Task[None]":
        """Load what is announced from now on, or has been."""
        if self._announced is None:
            self._is_settled.set()
        return asyncio.create_task(self._load_announced(), name="checkpoints")

    async def stop(self) -> None:
        """Stop following."""
        tasks, consumer, self._tasks, self._consumer = self._tasks, self._consumer, [], None
        for task in tasks:
            await stop_consumer_task(task, None)
        await stop_consumer_task(None, consumer)

    async def wait_until_loaded(self) -> None:
        """Wait until the checkpoint that was announced at the start is adopted or refused, for a limited time."""
        try:
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + max(0.0, self._ready_by - time.monotonic())
            ):
                await self._is_settled.wait()
        except TimeoutError:
            self._is_settled.set()
            _LOG.warning(
                "starting without the two-tower model, which is not loaded within %.0f s; it is adopted when it is",
                START_PATIENCE,
            )

    def apply_record(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        """Take note of a record of the ``models`` topic; an invalid one is refused."""
        if key != MODEL_KEY or value is None:
            return
        try:
            announcement = msgspec.json.decode(value, type=ModelAnnouncement)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(f"record models[0]@{offset}", RefusedError(Refusal.ANNOUNCEMENT, str(error)))
            return
        self._announced = announcement
        self._is_announced.set()

    def report(self) -> None:
        """Set the gauges."""
        adopted = self._judge.adopted
        self._metrics.version.set(0 if adopted is None else adopted.version)
        # A trainer that is behind writes new weights of old interactions: these are as old as what they know.
        age, waiting = math.nan, 0.0
        if adopted is None:
            waiting = max(0.0, self._clock() - self._since)
        else:
            age = max(0.0, self._clock() - adopted.created_at + adopted.lag_seconds)
        self._metrics.age.set(age)
        self._metrics.waiting.set(waiting)

    async def _follow(self) -> None:
        async for record in self._consumer:
            self._apply(record)

    def _apply(self, record: Any) -> None:
        self.apply_record(record.key, record.value, record.offset)

    async def _load_announced(self) -> None:
        while True:
            await self._is_announced.wait()
            self._is_announced.clear()
            announcement = self._announced
            if announcement is None:
                continue
            try:
                await self._load(announcement)
            except RefusedError as refused:
                self._refuse(f"checkpoint {announcement.file}", refused)
            if not self._is_announced.is_set():
                self._is_settled.set()

    async def _load(self, announcement: ModelAnnouncement) -> None:
        """Adopt a checkpoint, unless it is given up for a newer one."""
        self._judge.check_announcement(announcement)
        await self._check_offsets(announcement)
        started = time.perf_counter()
        checkpoint = await self._read(announcement)
        if checkpoint is None:
            return
        self._judge.check_manifest(checkpoint.manifest)
        prepared = await asyncio.to_thread(self._prepare, checkpoint)
        self._metrics.load_seconds.observe(time.perf_counter() - started)
        await self._log.wait_until_passed(announcement.offsets)
        served = await asyncio.to_thread(serve_weights, prepared, self._model.index_hashes())
        self._model.swap(served)
        self._judge.on_adopted(announcement, checkpoint.manifest)
        self._is_settled.set()
        self.report()
        _LOG.info(
            "adopted version %d of the two-tower model, with %d items, of a trainer %.0f s behind the log",
            announcement.version,
            len(prepared.vectors),
            announcement.lag_seconds,
        )

    def _prepare(self, checkpoint: ReadCheckpoint) -> PreparedWeights:
        version = str(checkpoint.manifest.version)
        return prepare_weights(checkpoint.trained, version, self._model.centroids, lambda: time.sleep(_PAUSE))

    async def _check_offsets(self, announcement: ModelAnnouncement) -> None:
        for attempt in range(_N_END_CHECKS):
            ends = await retry_while_unavailable(self._log.interaction_ends, "reading of the ends of the log")
            try:
                check_offsets(announcement, ends)
            except RefusedError:
                if attempt == _N_END_CHECKS - 1:
                    raise
                await asyncio.sleep(self._retry_seconds[0])
            else:
                return

    async def _read(self, announcement: ModelAnnouncement) -> ReadCheckpoint | None:
        """Read a checkpoint, however long that takes; None if it is given up for a newer one."""
        attempt = 0
        while True:
            try:
                checkpoint = await asyncio.to_thread(read_checkpoint, self._store, announcement)
            except OSError as error:
                if not attempt:
                    _LOG.warning(
                        "checkpoint %s cannot be read now; trying again: %s", announcement.file, error
                    )
                seconds = self._retry_seconds[min(attempt, len(self._retry_seconds) - 1)]
                attempt += 1
                if await self._is_superseded_within(seconds):
                    return None
                continue
            if self._is_announced.is_set() and not self._gave_up:
                self._gave_up = True
                return None
            self._gave_up = False
            return checkpoint

    async def _is_superseded_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._is_announced.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _refuse(self, subject: str, refused: RefusedError) -> None:
        self._metrics.refused.labels(refused.reason.value).inc()
        adopted = self._judge.adopted
        _LOG.warning(
            "refusing %s (%s), %s: %s. %s.",
            subject,
            refused.reason.value,
            "no model is adopted yet" if adopted is None else f"version {adopted.version} stays",
            refused,
            refused.advice,
        )
