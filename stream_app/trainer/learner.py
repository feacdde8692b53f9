"""What a trainer does with the records of the log; free of Kafka and of clocks, for one thread at a time."""

import logging
import math
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from state.snapshots.encoding import SnapshotError
from stream_app.models.two_tower_network import HEAD_OF_KIND, TrainedWeights
from stream_app.trainer.metrics import TrainerMetrics
from stream_app.training.hit_rate import Choice, hit_rate
from stream_app.training.two_tower_training import TwoTowerTraining
from stream_app.worker.learned_topic import LearnedTopic, fold_catalog
from topics.catalog import INTERACTIONS
from topics.codec import Limits
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Source

_LOG: Final = logging.getLogger(__name__)

CHOICES: Final = 512
"""Choices that weights are measured on before they are published."""

MIN_CHOICES: Final = 50
"""With fewer, the hit rate is not stated."""

REPLAY_PASSES: Final = 10.0
"""Predictions per interaction up to which an idle trainer goes on to replay sequences."""

_LOSSES: Final = 50
"""Newest steps whose mean loss is reported."""

State = dict[str, Any]


class Trial:
    """Weights that are measured on the choices that follow them, and that are published then.

    The choices are those that come in after the weights were copied: no step of theirs has seen them.
    """

    def __init__(
        self,
        weights: TrainedWeights,
        offsets: Mapping[int, int],
        counts: tuple[int, int],
        loss: float = math.nan,
    ) -> None:
        self.weights: Final = weights
        # JSON has no other numbers
        self.loss: Final = loss if math.isfinite(loss) else None
        self.offsets: Final = dict(offsets)
        self.interactions, self.steps = counts
        self.choices: list[Choice] = []

    @property
    def is_complete(self) -> bool:
        """Whether there are enough choices."""
        return len(self.choices) >= CHOICES

    def hit_rate(self) -> float | None:
        """The hit rate at 20; None if there were too few choices."""
        return hit_rate(self.weights, self.choices) if len(self.choices) >= MIN_CHOICES else None


class Learner:
    """Folds interactions and the catalog into a training, and takes its steps.

    Parameters
    ----------
    limits
        Bounds of event time, equal to those of the workers.

    Attributes
    ----------
    watermarks
        Highest offset learned by source and partition of the events: an interaction that was sent twice is learned
        once.
    newest
        Newest event time, seconds since the epoch.
    trial
        Gets the choices until there are enough; None if no weights are measured.
    """

    def __init__(
        self,
        training: TwoTowerTraining,
        metrics: TrainerMetrics,
        limits: Limits = Limits(),  # noqa: B008  # immutable
    ) -> None:
        self.training: Final = training
        self._limits = limits.without_max_age
        self.watermarks: dict[tuple[Source, int], int] = {}
        self.newest = 0.0
        self.trial: Trial | None = None
        self._metrics = metrics
        self._n_unlearned = 0
        self._warned: set[str] = set()
        self._losses: deque[float] = deque(maxlen=_LOSSES)
        self._topic = LearnedTopic(
            INTERACTIONS.name, Interaction, self._learn, metrics.interactions, metrics.dropped
        )

    @property
    def loss(self) -> float:
        """Mean loss of the newest steps; NaN before the first."""
        return math.fsum(self._losses) / len(self._losses) if self._losses else math.nan

    def fold_catalog(self, records: Sequence[Any]) -> None:
        """Learn what records of the catalog say about items."""
        fold_catalog(records, self._limits, self._learn_entry)

    def _learn_entry(self, entry: CatalogItem) -> None:
        self._warn_of_unused_vector("text", len(entry.text_embedding))
        self._warn_of_unused_vector("image", len(entry.image_embedding))
        self.training.add_catalog(entry)

    def _warn_of_unused_vector(self, part: str, length: int) -> None:
        """Say once that the vectors of the catalog have another length than the settings."""
        used = self.training.contents.length_of(part)
        if length in (0, used) or part in self._warned:
            return
        self._warned.add(part)
        _LOG.warning(
            "the %s embeddings of the catalog have %d numbers and are not used: HEADRACE_%s_DIMENSIONS is %d",
            part,
            length,
            part.upper(),
            used,
        )

    def fold_interactions(self, records: Sequence[Any]) -> None:
        """Learn records of one partition, in the order of their offsets."""
        self._topic.fold_batch(records)

    def _learn(self, interaction: Interaction) -> bool:
        source = (interaction.source, interaction.partition)
        if interaction.offset <= self.watermarks.get(source, -1):
            return False
        self.watermarks[source] = interaction.offset
        self.newest = max(self.newest, interaction.ts)
        if interaction.kind is Kind.ERASE:
            self._forget(interaction.user_id)
            return True
        training = self.training
        before = training.n_interactions
        for line in interaction.lines:
            self._measure(interaction, line.item_id)
            training.add(
                interaction.user_id, line.item_id, interaction.kind, interaction.ts, interaction.segments
            )
        self._n_unlearned += training.n_interactions - before
        if self._n_unlearned >= training.config.new_interactions:
            self._step()
        return True

    def _measure(self, interaction: Interaction, item_id: str) -> None:
        trial, head = self.trial, HEAD_OF_KIND.get(interaction.kind)
        if trial is None or trial.is_complete or head is None:
            return
        ids, kinds, times = self.training.recent(interaction.user_id)
        if ids:
            trial.choices.append(Choice(ids, kinds, times, item_id, int(head), interaction.segments))

    def _forget(self, user_id: str) -> None:
        self.training.forget_user(user_id)
        if self.trial is not None:
            # They do not say whose they are.
            self.trial.choices.clear()

    def forget_erased(self, user_hashes: Collection[bytes]) -> None:
        """Drop the sequences of users who were erased since a snapshot."""
        for user_hash in user_hashes:
            self.training.forget_user_hash(user_hash)

    def replay(self, max_steps: int) -> int:
        """Take steps while no records come in; return how many were due."""
        training, n_steps = self.training, 0
        while n_steps < max_steps and (
            self._n_unlearned or training.n_predictions < REPLAY_PASSES * training.n_interactions
        ):
            n_steps += 1
            if not self._step():
                break
        return n_steps

    def _step(self) -> bool:
        """Take a step, a young training further ones; False if there is nothing to learn from yet."""
        self._n_unlearned = 0
        started = time.perf_counter()
        losses = self.training.learn_new()
        if not losses:
            return False
        self._losses += losses
        metrics = self._metrics
        metrics.steps.inc(len(losses))
        metrics.step_seconds.inc(time.perf_counter() - started)
        return True

    def begin_trial(self, offsets: Mapping[int, int]) -> None:
        """Copy the weights, and measure them from now on.

        Parameters
        ----------
        offsets
            The next offset of each partition of ``interactions`` that was not learned.
        """
        training = self.training
        self.trial = Trial(
            training.weights(), offsets, (training.n_interactions, training.n_steps), self.loss
        )

    def end_trial(self) -> Trial:
        """The trial, which is over."""
        trial, self.trial = self.trial, None
        if trial is None:
            raise RuntimeError("no weights are measured")
        return trial

    def report(self) -> None:
        """Set the gauges."""
        metrics = self._metrics
        metrics.loss.set(self.loss)
        metrics.items.set(len(self.training.items))
        metrics.sequences.set(len(self.training.buffer))

    def state(self) -> State:
        """Everything that was learned, as plain data."""
        return {
            "training": self.training.state(),
            "watermarks": [[int(source), at, offset] for (source, at), offset in self.watermarks.items()],
            "newest": self.newest,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with the result of `state`.

        Raises
        ------
        SnapshotError
            If it does not fit this trainer; the learner is to be discarded then.
        """
        try:
            self.training.restore(state["training"])
            self.watermarks = {(Source(s), int(at)): int(offset) for s, at, offset in state["watermarks"]}
            self.newest = float(state["newest"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise SnapshotError(f"it does not fit: {error}") from None
