"""Learns parts of the models from the log, while the others keep what a snapshot had of them.

A part may not fit the snapshot: it was added to the settings, or a hyperparameter changed. It is learned by a second
set of models with the items of the snapshot, which folds the log from its start up to the watermarks of the snapshot;
then the part is copied. So every part has learned each record once: those up to the watermarks from the snapshot or
from the second set, the later ones with all others. The second set has all models, since a fusion learns from their
candidates as they were before each interaction. It holds no item that the snapshot lacks: these were evicted since.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from aiokafka.structs import TopicPartition

from stream_app.experiment.comparison import PolicyComparison
from stream_app.kafka.removed_records import OnRemoved
from stream_app.models.model_parts import adopt_parts, newest_session
from stream_app.models.model_set import ModelSet
from stream_app.worker.log_fold import LogFold, fold_ranges, ranges_between
from topics.catalog import CATALOG_ITEMS
from topics.codec import Limits

_LOG: Final = logging.getLogger(__name__)
Positions = dict[tuple[str, int], int]
"""Next offset to read, by topic and partition."""


class Relearning:
    """The parts of a replica's models to learn from the log.

    Parameters
    ----------
    models
        Models of a snapshot, without the parts.
    make
        Makes empty models of the same configuration.
    parts
        Names of the parts.
    """

    def __init__(self, models: ModelSet, make: Callable[[], ModelSet], parts: Collection[str]) -> None:
        self._models = models
        self._parts = tuple(parts)
        self._second = make()
        self._second.index.restore(models.index.state())
        self._second.is_index_fixed = True
        self._second.tracker.newest_session = newest_session(models)
        self._watermarks = dict(models.watermarks)
        self._reward_watermarks = dict(models.reward_watermarks)

    async def run(
        self,
        consumer: Any,
        partitions: Sequence[TopicPartition],
        positions: Mapping[tuple[str, int], int],
        limits: Limits,
        on_progress: Callable[[int, int], None] = lambda _read, _total: None,
        on_removed: OnRemoved | None = None,
    ) -> None:
        """Fold the log and copy the parts; can be repeated if it fails.

        Parameters
        ----------
        consumer
            A started consumer of `stream_app.kafka.log_consumer`; its assignment is replaced.
        partitions
            All partitions of the topics that models learn from.
        positions
            Next offsets that the replica reads: it learns the later entries of the catalog itself.
        limits
            Bounds of event time.
        on_progress
            Called with the number of records read and an upper bound of their total.
        on_removed
            Called if retention removes records before they are read: the parts lack them.
        """
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        for tp in partitions:
            if tp.topic == CATALOG_ITEMS.name:
                ends[tp] = min(ends[tp], positions.get((tp.topic, tp.partition), 0))
        ranges = ranges_between(starts, ends)
        total = sum(each.end - each.start for each in ranges)
        self._start_period()
        fold = LogFold(self._second, limits, self._watermarks, self._reward_watermarks)
        n_read = await fold_ranges(consumer, fold, ranges, lambda read: on_progress(read, total), on_removed)
        adopt_parts(self._models, self._second, self._parts)
        _LOG.info("learned %s from %d records of the log", ", ".join(self._parts), n_read)

    def _start_period(self) -> None:
        """Count rewards from the start of the period that the replica has been told, and decay as it does."""
        for name, clock in self._models.decay_clocks.items():
            self._second.decay_clocks[name].schedule = clock.schedule
        current, second = (each.learner(PolicyComparison) for each in (self._models, self._second))
        if current is not None and second is not None:
            second.start_period(current.since)
