"""Folds the log into new models next to running workers: to compare, and to replace what they learned."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from aiokafka.structs import TopicPartition

from state.snapshots.encoding import SnapshotError
from state.snapshots.model_store import Snapshot
from state.snapshots.store import SnapshotStore
from stream_app.errors import UserError
from stream_app.experiment.comparison import PolicyComparison
from stream_app.experiment.decay_record import DecayRecord
from stream_app.kafka.broker_errors import require_topic
from stream_app.models.digest import model_digest
from stream_app.models.model_parts import RestoredModels, restore_parts
from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models
from stream_app.settings import Settings
from stream_app.worker.decay_controller import apply_decay
from stream_app.worker.erased_since_snapshot import forget_erased_users
from stream_app.worker.log_fold import MODEL_TOPICS, LogFold, fold_ranges, model_partitions, ranges_between
from stream_app.worker.model_loading import LoadedModels, load_models, positions_of, snapshot_state
from stream_app.worker.skipped_records import log_skipped
from topics import admin
from topics.catalog import CATALOG_ITEMS, ERASURE_RECEIPTS, INTERACTIONS, catalog

OnProgress = Callable[[int, int], None]
"""Receives the number of records read and an upper bound of their total."""

_CAUGHT_UP_RECORDS: Final = 1_000
"""A pass over fewer new records than this is the last: a worker that starts reads the rest in a moment."""

_MAX_PASSES: Final = 50


class ModelResult(NamedTuple):
    """The comparison of one model."""

    model: str
    outcome: str  # equal, different, not additive, or other settings
    of_log: str  # digest of the model that was folded from the log; empty if it has none
    of_snapshot: str  # digest of the snapshot's model; empty if it has none


class Rebuild:
    """One fold of the log.

    Parameters
    ----------
    consumer
        A started consumer of `stream_app.kafka.log_consumer`.
    until
        Time of the broker's clock up to which records are folded, seconds since the epoch; None for all records.

    Attributes
    ----------
    models
        The models folded so far.
    positions
        Next offsets to read.
    n_removed
        Interactions that retention had removed from the log before it was read.
    n_missed
        Records that retention removed while the log was read, before they were: by topic.
    """

    def __init__(
        self, settings: Settings, consumer: Any, store: SnapshotStore, until: float | None = None
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._store = store
        self._until = until
        self._make = partial(make_models, settings.ranking_config)
        self.models: ModelSet = self._make()
        self.positions: dict[TopicPartition, int] = {}
        self.n_removed = 0
        self.n_missed: Counter[str] = Counter()
        self._ends: dict[TopicPartition, int] = {}
        self._has_decay = False

    def use_decay(self, record: DecayRecord | None) -> None:
        """Let counts lose weight by the record that workers follow; by the snapshot's if there is none."""
        if record is not None:
            self._has_decay = True
            apply_decay(self.models, record)

    async def open(self) -> None:
        """Find the partitions, where their logs begin, and where the fold ends.

        Raises
        ------
        UserError
            If a topic is missing.
        """
        partitions = await model_partitions(self._settings.kafka)
        for spec in MODEL_TOPICS if not partitions else ():
            await asyncio.to_thread(require_topic, spec.name, self._settings.kafka, exists=False)
        self.positions = dict(await self._consumer.beginning_offsets(partitions))
        self.n_removed = sum(at for tp, at in self.positions.items() if tp.topic == INTERACTIONS.name)
        self._ends = await self._find_ends()

    async def _find_ends(self) -> dict[TopicPartition, int]:
        ends: dict[TopicPartition, int] = dict(await self._consumer.end_offsets(list(self.positions)))
        if self._until is not None:
            # The first record after that time.
            first_after = int(self._until * 1000) + 1
            found = await self._consumer.offsets_for_times(dict.fromkeys(self.positions, first_after))
            ends |= {tp: min(ends[tp], at.offset) for tp, at in found.items() if at is not None}
        return ends

    def find_snapshot(self, own_fingerprint: str) -> Snapshot | None:
        """The newest snapshot, of the same configuration if there is one, that is not ahead of the fold's end."""
        entries = [
            entry
            for entry in self._store.entries()
            if not entry.error
            and entry.info is not None
            and entry.name.endswith(".snapshot")
            and all(
                offset <= self._ends.get(TopicPartition(topic, at), 0)
                for topic, at, offset in entry.info.positions
            )
        ]
        own = [
            entry for entry in entries if entry.info is not None and entry.info.fingerprint == own_fingerprint
        ]
        for entry in own or entries:
            with contextlib.suppress(SnapshotError):
                return self._store.load(entry.name)
        return None

    async def compare(self, snapshot: Snapshot, on_progress: OnProgress) -> list[ModelResult]:
        """Fold exactly what the models of a snapshot have folded, and compare the digests.

        Raises
        ------
        UserError
            If the items of the snapshot cannot be loaded with these settings.
        """
        try:
            live = restore_parts(self._make, snapshot.state["models"])
            read = positions_of(snapshot.state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"The snapshot {snapshot.name} cannot be compared with models of these settings: {error}. "
                "Run the command with the settings of that snapshot."
            ) from None
        _start_same_period(live.models, self.models)
        if not self._has_decay:
            # What the sums of the snapshot were made with.
            for name, clock in live.models.decay_clocks.items():
                self.models.decay_clocks[name].schedule = clock.schedule
        fold = LogFold(
            self.models, self._settings.limits, live.models.watermarks, live.models.reward_watermarks
        )
        # The catalog has no watermarks; the other topics are read further, for records in flight when the positions
        # were copied.
        ends = {
            tp: min(end, read.get((tp.topic, tp.partition), 0)) if tp.topic == CATALOG_ITEMS.name else end
            for tp, end in self._ends.items()
        }
        await self._fold(fold, ends, on_progress)
        for tp in self.positions:
            self.positions[tp] = max(self.positions[tp], min(ends[tp], read.get((tp.topic, tp.partition), 0)))
        return compare_models(self.models, live)

    async def fold(self, on_progress: OnProgress) -> None:
        """Fold the log from the positions up to the end of the fold."""
        await self._fold(LogFold(self.models, self._settings.limits), self._ends, on_progress)
        self.positions = {tp: max(at, self._ends[tp]) for tp, at in self.positions.items()}

    async def follow(self, on_progress: OnProgress) -> None:
        """Fold what has arrived meanwhile, until little is left; with a time to fold until, nothing."""
        for _ in range(_MAX_PASSES if self._until is None else 0):
            self._ends = await self._find_ends()
            n_new = sum(max(0, end - self.positions[tp]) for tp, end in self._ends.items())
            await self.fold(on_progress)
            if n_new < _CAUGHT_UP_RECORDS:
                break

    async def load(self, on_progress: OnProgress) -> LoadedModels:
        """Start from the newest snapshot instead of empty models, and learn from the log what it lacks.

        Users who were erased since that snapshot are forgotten. A worker that loads the new snapshot would miss
        them: it looks only at the receipts since the newest event of the snapshot.
        """
        topic_ids = self._topic_ids()
        loaded = load_models(self._make, self._store, topic_ids)
        if ERASURE_RECEIPTS.name in topic_ids:  # made by the first start of a version that erases users
            await forget_erased_users(loaded.models, self._settings.kafka)
        if loaded.relearning is not None:
            await loaded.relearning.run(
                self._consumer,
                list(self.positions),
                loaded.positions,
                self._settings.limits,
                on_progress,
                self._on_removed,
            )
        if self._has_decay:
            for name, clock in self.models.decay_clocks.items():
                loaded.models.decay_clocks[name].schedule = clock.schedule
        self.models = loaded.models
        for tp in self.positions:
            self.positions[tp] = max(self.positions[tp], loaded.positions.get((tp.topic, tp.partition), 0))
        return loaded

    def write(self, own_fingerprint: str) -> str:
        """Store the models as the newest snapshot, and return its name."""
        positions = {(tp.topic, tp.partition): at for tp, at in self.positions.items()}
        state = snapshot_state(self.models, positions, self._topic_ids())
        return self._store.save(state, own_fingerprint, new_series=True)

    def _topic_ids(self) -> Mapping[str, str]:
        return admin.topic_ids(catalog(self._settings.app_id), self._settings.kafka)

    async def _fold(self, fold: LogFold, ends: Mapping[TopicPartition, int], on_progress: OnProgress) -> None:
        ranges = ranges_between(self.positions, ends)
        total = sum(each.end - each.start for each in ranges)
        await fold_ranges(
            self._consumer, fold, ranges, lambda n_read: on_progress(n_read, total), self._on_removed
        )

    def _on_removed(self, tp: TopicPartition, read: int, beginning: int) -> None:
        self.n_missed[tp.topic] += log_skipped(tp.topic, tp.partition, read, beginning)


def compare_models(rebuilt: ModelSet, live: RestoredModels) -> list[ModelResult]:
    """Compare each model with that of a snapshot, at the newest event time of both."""
    live_models = {model.name: model for model in live.models.models}
    newest = max(rebuilt.newest, live.models.newest)
    results = []
    for model in rebuilt.models:
        of_log = model_digest(model, rebuilt.index.hashes, newest)
        if of_log is None:
            results.append(ModelResult(model.name, "not additive", "", ""))
        elif model.name in live.missing:
            results.append(ModelResult(model.name, "other settings", of_log, ""))
        else:
            of_live = model_digest(live_models[model.name], live.models.index.hashes, newest) or ""
            outcome = "equal" if of_live == of_log else "different"
            results.append(ModelResult(model.name, outcome, of_log, of_live))
    return results


def _start_same_period(live: ModelSet, rebuilt: ModelSet) -> None:
    """Count rewards from the start of the period of the live models."""
    of_live, of_rebuilt = live.learner(PolicyComparison), rebuilt.learner(PolicyComparison)
    if of_live is not None and of_rebuilt is not None:
        of_rebuilt.start_period(of_live.since)
