"""Whether a worker adopts an announced checkpoint of the two-tower model: decided from what is known of it."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from state.checkpoint_store import CheckpointFileError, CheckpointStore
from stream_app.models.checkpoint import CheckpointError, Manifest, decode_checkpoint
from stream_app.models.served_weights import check_servable
from stream_app.models.two_tower_network import TrainedWeights
from stream_app.neural_metrics import Refusal
from topics.records import ModelAnnouncement

LARGEST_FILE: Final = 1 << 30
"""Bytes of the largest checkpoint that is read: 64 factors of 8 million items."""

WORST_HIT_RATE: Final = 0.8
"""Share of the hit rate of the last checkpoints that a new one must reach."""

CHANCE_ERRORS: Final = 3.0
"""Standard errors below it that are chance: of some hundred choices, a hit rate varies by a tenth of itself."""

COMPARED_SECONDS: Final = 3_600.0
"""Age beyond which a hit rate is not compared: a shop whose hit rate fell for good gets new weights after it."""

_MAX_COMPARED: Final = 5

_ADVICE: Final[Mapping[Refusal, str]] = {
    Refusal.ANNOUNCEMENT: "Another program writes to the topic, or a trainer of a later Headrace",
    Refusal.VERSION: "If the trainer counts from 1 again, restart the workers",
    Refusal.OFFSETS: "Let trainer and workers use one HEADRACE_BROKER",
    Refusal.FILE: "Let trainer and workers use one HEADRACE_MODEL_STORE",
    Refusal.FORMAT: "Run the same version of Headrace as trainer and workers",
    Refusal.SHAPE: "See the log of the trainer, and docs/neural.md for what is served",
    Refusal.QUALITY: "See the log of the trainer; restart the workers to adopt it all the same",
}


class RefusedError(Exception):
    """A checkpoint that must not be adopted."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.reason: Final = reason
        self.advice: Final = _ADVICE[reason]


class ReadCheckpoint(NamedTuple):
    """A checkpoint whose bytes are in order."""

    trained: TrainedWeights
    manifest: Manifest


def read_checkpoint(store: CheckpointStore, announcement: ModelAnnouncement) -> ReadCheckpoint:
    """Fetch and verify an announced checkpoint; blocks.

    Raises
    ------
    RefusedError
        If it must not be adopted.
    OSError
        If the store is unavailable now.
    """
    try:
        content = store.read(announcement)
    except CheckpointFileError as error:
        raise RefusedError(Refusal.FILE, str(error)) from None
    try:
        trained, manifest = decode_checkpoint(content)
    except CheckpointError as error:
        raise RefusedError(Refusal.FORMAT, str(error)) from None
    except Exception as error:  # bytes of another program may fail anywhere
        raise RefusedError(Refusal.FORMAT, f"the checkpoint cannot be read: {error!r}") from error
    if manifest.version != announcement.version:
        raise RefusedError(
            Refusal.FILE, f"the file has version {manifest.version}, not {announcement.version}"
        )
    try:
        check_servable(trained)
    except ValueError as error:
        raise RefusedError(Refusal.SHAPE, str(error)) from None
    return ReadCheckpoint(trained, manifest)


class CheckpointJudge:
    """Compares announced checkpoints with those that were adopted.

    Attributes
    ----------
    adopted
        The newest adopted announcement; None before the first.
    """

    def __init__(self) -> None:
        self.adopted: ModelAnnouncement | None = None
        self._measured: deque[Manifest] = deque(maxlen=_MAX_COMPARED)

    def check_announcement(self, announcement: ModelAnnouncement) -> None:
        """Check what is known before the file is read.

        Raises
        ------
        RefusedError
            If the version is not larger than the adopted one, or the file is too large.
        """
        if self.adopted is not None and announcement.version <= self.adopted.version:
            raise RefusedError(
                Refusal.VERSION, f"its version is not larger than {self.adopted.version}, which is adopted"
            )
        if announcement.size > LARGEST_FILE:
            raise RefusedError(
                Refusal.FILE, f"its {announcement.size:,} bytes are more than {LARGEST_FILE:,}"
            )

    def check_manifest(self, manifest: Manifest) -> None:
        """Compare the hit rate with that of the last checkpoints; one that was not measured is accepted.

        Raises
        ------
        RefusedError
            If it is worse by more than chance.
        """
        compared = [
            (each.hit_rate, each.measured_choices)
            for each in self._measured
            # by the distance: a clock that was put back would make the last ones newer than all that follow
            if each.hit_rate is not None and abs(manifest.created_at - each.created_at) <= COMPARED_SECONDS
        ]
        if manifest.hit_rate is None or not compared:
            return
        n_choices = sum(n for _, n in compared)
        # of earlier trainers, which do not say how many choices they measured, each counts as one
        usual = sum(rate * max(n, 1) for rate, n in compared) / sum(max(n, 1) for _, n in compared)
        least = WORST_HIT_RATE * usual
        error = 0.0
        if n_choices and manifest.measured_choices:
            error = math.hypot(
                _standard_error(least, manifest.measured_choices),
                WORST_HIT_RATE * _standard_error(usual, n_choices),
            )
        if not manifest.hit_rate >= least - CHANCE_ERRORS * error:
            raise RefusedError(
                Refusal.QUALITY,
                f"its hit rate {manifest.hit_rate:.4f} is below {WORST_HIT_RATE:g} times {usual:.4f}, that of the "
                f"last ones, by more than {CHANCE_ERRORS:g} standard errors of {error:.4f}",
            )

    def on_adopted(self, announcement: ModelAnnouncement, manifest: Manifest) -> None:
        """Remember a checkpoint that was adopted."""
        self.adopted = announcement
        if manifest.hit_rate is not None:
            self._measured.append(manifest)


def _standard_error(rate: float, n_choices: int) -> float:
    return math.sqrt(max(0.0, rate * (1.0 - rate)) / n_choices)


def check_offsets(announcement: ModelAnnouncement, ends: Mapping[int, int]) -> None:
    """Check that a checkpoint was learned from this log.

    Parameters
    ----------
    ends
        Offset after the last record of each partition of ``interactions``.

    Raises
    ------
    RefusedError
        If an offset is beyond the end of its partition.
    """
    for partition, offset in enumerate(announcement.offsets):
        end = ends.get(partition, 0)
        if offset > end:
            raise RefusedError(
                Refusal.OFFSETS,
                f"it was learned up to offset {offset} of interactions[{partition}], which ends at {end}",
            )
