"""The elected trainer: follows the logs, takes steps, publishes checkpoints and stores snapshots."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from state.checkpoint_store import CheckpointStore
from state.snapshots.encoding import SnapshotError
from state.snapshots.store import SnapshotStore
from stream_app.kafka.availability import is_transient
from stream_app.kafka.log_consumer import log_consumer
from stream_app.models.checkpoint import Manifest, encode_checkpoint
from stream_app.trainer.announcer import Announcer
from stream_app.trainer.learner import Learner, Trial
from stream_app.trainer.metrics import TrainerMetrics
from stream_app.worker.erased_since_snapshot import erased_since
from stream_app.worker.log_fold import model_partitions
from stream_app.worker.model_loading import positions_of
from topics.catalog import CATALOG_ITEMS, INTERACTIONS, MODELS
from topics.kafka_connection import Broker

_LOG: Final = logging.getLogger(__name__)
_TOPICS: Final = (INTERACTIONS.name, CATALOG_ITEMS.name)
_FETCH_RECORDS: Final = 2_000
_FETCH_MS: Final = 200
_IDLE_STEPS: Final = 10
"""Steps between two looks at the log while nothing comes in."""

_MAX_TRIAL_SECONDS: Final = 10.0
"""How long weights are measured at most before they are published."""

_BEHIND_SECONDS: Final = 600.0
"""Lag from which it is logged that the trainer is behind; that of the alert ``HeadraceTrainerBehind``."""


class Pace(NamedTuple):
    """Seconds between two checkpoints, and between two snapshots."""

    checkpoints: float
    snapshots: float


class Ports(NamedTuple):
    """What a trainer writes to.

    Attributes
    ----------
    name
        Of this process, in its announcements.
    clock
        Seconds since the epoch.
    timer
        Seconds, monotonic.
    """

    broker: Broker
    checkpoints: CheckpointStore
    snapshots: SnapshotStore
    announcer: Announcer
    metrics: TrainerMetrics
    name: str = ""
    topic_ids: Mapping[str, str] = {}
    clock: Callable[[], float] = time.time
    timer: Callable[[], float] = time.monotonic


class ActiveTrainer:
    """Trains until it is cancelled, or Kafka refuses it because another trainer has started.

    All work with the training is done in one thread beside the event loop, a batch of records at a time: the loop
    answers Kafka meanwhile.

    Parameters
    ----------
    make_learner
        Makes an empty learner.

    Attributes
    ----------
    alive_at
        When the logs were read last, by the timer.
    """

    def __init__(self, make_learner: Callable[[], Learner], ports: Ports, pace: Pace) -> None:
        self._make_learner = make_learner
        self._ports = ports
        self._pace = pace
        self._metrics = ports.metrics
        self._learner = make_learner()
        self._positions: dict[TopicPartition, int] = {}
        self._consumer: Any = None
        self._publication: asyncio.Task[None] | None = None
        self._read_until: dict[TopicPartition, float] = {}
        self._newest_read = 0.0
        self._is_behind = False
        self._trial_since = 0.0
        self._copied_at = self._copied_lag = 0.0
        self._checkpoint_due = self._snapshot_due = 0.0
        self._n_published = 0
        self.alive_at = ports.timer()

    async def run(self) -> None:
        """Train for ever.

        Raises
        ------
        aiokafka.errors.ProducerFenced
            If another trainer has started.
        """
        ports = self._ports
        await self._begin_announcing()
        await self._restore()
        self._consumer = log_consumer(ports.broker)
        self._consumer.on_removed = self._on_removed
        await self._consumer.start()
        try:
            await self._seek()
            now = ports.timer()
            self._checkpoint_due, self._snapshot_due = (
                now + self._pace.checkpoints,
                now + self._pace.snapshots,
            )
            while True:
                await self._turn()
        finally:
            if self._publication is not None:
                self._publication.cancel()
                await asyncio.gather(self._publication, return_exceptions=True)
            await self._consumer.stop()

    async def _begin_announcing(self) -> None:
        """Exclude former trainers, and count on from the stored checkpoints if `models` lost their announcements.

        Workers refuse a version that is not larger than theirs, and the store keeps the files of the largest ones.
        """
        announcer = self._ports.announcer
        await announcer.start()
        names = await asyncio.to_thread(self._ports.checkpoints.names)
        stored = int(names[-1].split("-")[2]) if names else 0
        if stored > announcer.version:
            _LOG.info(
                "%s announces version %d, and %s has version %d; the trainer counts on from there",
                MODELS.name,
                announcer.version,
                self._ports.checkpoints.location,
                stored,
            )
            announcer.version = stored

    async def _restore(self) -> None:
        snapshot = await asyncio.to_thread(self._ports.snapshots.newest)
        if snapshot is None:
            _LOG.info(
                "no snapshot of a trainer in %s; reading the logs from their starts",
                self._ports.snapshots.location,
            )
            return
        state = snapshot.state
        try:
            await asyncio.to_thread(self._learner.restore, state)
            positions = positions_of(state)
            known_ids = dict(state["topic_ids"])
        except (SnapshotError, KeyError, TypeError, ValueError) as error:
            _LOG.warning("snapshot %s is not used; learning from the logs: %s", snapshot.name, error)
            self._learner = self._make_learner()
            return
        current_ids = self._ports.topic_ids
        anew = {topic for topic, known in known_ids.items() if current_ids.get(topic, known) != known}
        for topic in sorted(anew & set(_TOPICS)):
            _LOG.warning("topic %s was made anew; the trainer reads it from its start", topic)
        self._positions = {
            TopicPartition(topic, at): offset
            for (topic, at), offset in positions.items()
            if topic not in anew
        }
        learner = self._learner
        erased = await erased_since(learner.newest, learner.watermarks, self._ports.broker)
        await asyncio.to_thread(learner.forget_erased, erased)
        _LOG.info(
            "going on from snapshot %s with %d interactions", snapshot.name, learner.training.n_interactions
        )

    async def _seek(self) -> None:
        consumer = self._consumer
        partitions = [tp for tp in await model_partitions(self._ports.broker) if tp.topic in _TOPICS]
        consumer.assign(partitions)
        beginnings = await consumer.beginning_offsets(partitions)
        for tp in partitions:
            read = self._positions.get(tp)
            if read is not None and read < beginnings[tp]:
                self._on_removed(tp, read, beginnings[tp])
            position = max(read or 0, beginnings[tp])
            self._positions[tp] = position
            consumer.seek(tp, position)

    async def _turn(self) -> None:
        """Read and learn a batch, or replay; then publish and store what is due."""
        batches = await self._consumer.getmany(timeout_ms=_FETCH_MS, max_records=_FETCH_RECORDS)
        self.alive_at = self._ports.timer()
        if batches:
            # A turn may take seconds, the first one longer: what it has still to learn is behind already.
            self._report(batches)
            await asyncio.to_thread(self._fold, batches)
        else:
            await asyncio.to_thread(self._learner.replay, _IDLE_STEPS)
            for tp in self._consumer.assignment():
                # Ends of transactions and compacted records are passed without a record.
                position = await self._consumer.position(tp)
                self._positions[tp] = max(self._positions[tp], position)
        self._report(batches)
        await self._publish_when_due()
        await self._store_when_due()

    def _fold(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
        for tp, records in batches.items():
            if tp.topic == INTERACTIONS.name:
                self._learner.fold_interactions(records)
                self._read_until[tp] = records[-1].timestamp / 1000.0
            else:
                self._learner.fold_catalog(records)
            self._positions[tp] = records[-1].offset + 1

    def _on_removed(self, tp: TopicPartition, read: int, beginning: int) -> None:
        self._metrics.skipped.inc(beginning - read)
        _LOG.error(
            "retention removed %d records of %s[%s] before the trainer read them: offsets %d to %d",
            beginning - read,
            *tp,
            read,
            beginning - 1,
        )

    def _report(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
        lag = 0
        for tp in self._consumer.assignment():
            end = self._consumer.highwater(tp)
            lag += max(0, (end or 0) - self._positions[tp])
        self._metrics.lag_records.set(lag)
        if batches:
            self._newest_read = max(records[-1].timestamp for records in batches.values()) / 1000.0
        seconds = max(0.0, self._ports.clock() - self._newest_read) if lag and self._newest_read else 0.0
        self._metrics.lag_seconds.set(seconds)
        self._log_lag(lag, seconds)
        self._learner.report()

    def _log_lag(self, records: int, seconds: float) -> None:
        """Say once that the trainer is far behind, and once that it has caught up."""
        if seconds >= _BEHIND_SECONDS and not self._is_behind:
            self._is_behind = True
            _LOG.warning(
                "the trainer is %.0f s behind the logs, with %d records to read; workers go on with the last model",
                seconds,
                records,
            )
        elif not records and self._is_behind:
            self._is_behind = False
            _LOG.info("the trainer has caught up with the logs")

    async def _publish_when_due(self) -> None:
        """Copy the weights when it is time; publish them when they were measured."""
        learner, now = self._learner, self._ports.timer()
        if self._publication is not None:
            if not self._publication.done():
                return
            publication, self._publication = self._publication, None
            publication.result()
        if learner.trial is None:
            if now >= self._checkpoint_due and learner.training.n_steps > self._n_published:
                self._trial_since, self._copied_at = now, self._ports.clock()
                self._copied_lag = self._lag_seconds()
                await asyncio.to_thread(learner.begin_trial, self._interaction_offsets())
        elif learner.trial.is_complete or now - self._trial_since >= self._trial_seconds:
            self._checkpoint_due = now + self._pace.checkpoints
            self._n_published = learner.trial.steps
            self._publication = asyncio.create_task(self._publish(learner.end_trial()), name="publication")

    def _lag_seconds(self) -> float:
        """Age of the newest learned interaction, of the partition where it is oldest, while there are more."""
        behind = [
            at
            for tp, at in self._read_until.items()
            if (self._consumer.highwater(tp) or 0) > self._positions[tp]
        ]
        return max(0.0, self._ports.clock() - min(behind)) if behind else 0.0

    def _interaction_offsets(self) -> dict[int, int]:
        return {tp.partition: at for tp, at in self._positions.items() if tp.topic == INTERACTIONS.name}

    @property
    def _trial_seconds(self) -> float:
        return min(_MAX_TRIAL_SECONDS, self._pace.checkpoints)

    async def _publish(self, trial: Trial) -> None:
        """Write a checkpoint and announce it; if that fails, the next one is tried at its time."""
        ports, created_at = self._ports, self._copied_at
        lag_seconds = self._copied_lag
        version = ports.announcer.version + 1
        hit_rate = await asyncio.to_thread(trial.hit_rate)
        manifest = Manifest(
            version=version,
            created_at=created_at,
            offsets=trial.offsets,
            interactions=trial.interactions,
            steps=trial.steps,
            loss=trial.loss,
            hit_rate=hit_rate,
            measured_choices=len(trial.choices),
        )
        offsets = tuple(trial.offsets.get(at, 0) for at in range(max(trial.offsets, default=-1) + 1))
        try:
            announcement = await asyncio.to_thread(
                lambda: ports.checkpoints.write(
                    version,
                    encode_checkpoint(trial.weights, manifest),
                    created_at=created_at,
                    lag_seconds=lag_seconds,
                    offsets=offsets,
                    trainer=ports.name,
                )
            )
            await ports.announcer.announce(announcement)
        except OSError as error:
            self._on_failure("checkpoint", error)
            return
        except KafkaError as error:
            if not is_transient(error):
                raise
            self._on_failure("checkpoint", error)
            return
        metrics = self._metrics
        metrics.checkpoints.inc()
        metrics.version.set(version)
        metrics.checkpoint_time.set(created_at)
        metrics.hit_rate.set(float("nan") if hit_rate is None else hit_rate)
        _LOG.info(
            "announced checkpoint %s, %d bytes, hit rate %s", announcement.file, announcement.size, hit_rate
        )

    def _on_failure(self, what: str, error: Exception) -> None:
        self._metrics.failures.labels(what).inc()
        _LOG.error("could not write a %s of the trainer; the next one is tried at its time: %s", what, error)

    async def _store_when_due(self) -> None:
        now = self._ports.timer()
        if now < self._snapshot_due:
            return
        self._snapshot_due = now + self._pace.snapshots
        await self.store()

    async def store(self) -> None:
        """Write a snapshot; a store that is full or away is tried again later."""
        try:
            await asyncio.to_thread(self._store)
        except OSError as error:
            self._on_failure("snapshot", error)

    def _store(self) -> None:
        state = {
            **self._learner.state(),
            "positions": [[*tp, offset] for tp, offset in self._positions.items()],
            "topic_ids": dict(self._ports.topic_ids),
        }
        self._ports.snapshots.save(state)
