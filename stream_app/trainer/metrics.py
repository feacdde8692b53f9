"""The Prometheus metrics of a trainer, on a registry of their own."""

import math
from typing import Final

from prometheus_client import CollectorRegistry

from stream_app.metric_group import MetricGroup


class TrainerMetrics(MetricGroup):
    """What a trainer learns, publishes and stores."""

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())
        self.active = self._gauge(
            "headrace_trainer_active", "1 while this trainer is the one that trains; 0 while it stands by."
        )
        self.interactions = self._counter(
            "headrace_trainer_interactions_total", "Interactions that were read and learned."
        )
        self.dropped = self._counter(
            "headrace_trainer_interactions_dropped_total",
            "Interactions that were learned before, or could not be decoded.",
        )
        self.skipped = self._counter(
            "headrace_trainer_skipped_total", "Records that retention removed before they were read."
        )
        self.steps = self._counter("headrace_trainer_steps_total", "Training steps.")
        self.step_seconds = self._counter(
            "headrace_trainer_step_seconds_total", "Seconds that training steps took."
        )
        self.loss = self._gauge(
            "headrace_trainer_loss", "Mean loss of the newest training steps; NaN before the first."
        )
        self.hit_rate = self._gauge(
            "headrace_trainer_hit_rate",
            "Share of choices after the weights were copied whose item was among the 20 nearest, of the newest "
            "checkpoint; NaN if there were too few.",
        )
        self.lag_records = self._gauge(
            "headrace_trainer_lag_records", "Records on the logs that were not read yet."
        )
        self.lag_seconds = self._gauge(
            "headrace_trainer_lag_seconds",
            "Age of the newest record that was read, while there are more; else 0.",
        )
        self.items = self._gauge("headrace_trainer_items", "Items with a vector.")
        self.sequences = self._gauge("headrace_trainer_sequences", "Sequences that are replayed.")
        self.version = self._gauge("headrace_trainer_checkpoint_version", "Version of the newest checkpoint.")
        self.checkpoint_time = self._gauge(
            "headrace_trainer_checkpoint_timestamp_seconds",
            "When the weights of the newest checkpoint were copied, seconds since the epoch.",
        )
        self.checkpoints = self._counter("headrace_trainer_checkpoints_total", "Checkpoints announced.")
        self.failures: Final = self._counter(
            "headrace_trainer_failures_total",
            "Checkpoints and snapshots that could not be written; the next one is tried at its time.",
            "what",
        )
        for what in ("checkpoint", "snapshot"):
            self.failures.labels(what)
        for gauge in (self.loss, self.hit_rate):
            gauge.set(math.nan)
