"""The metrics of the two-tower model in a worker, a group of `stream_app.metrics.Metrics`."""

import math
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry

from stream_app.metric_group import MetricGroup

_LOAD_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Refusal(StrEnum):
    """Why an announced checkpoint is not adopted."""

    ANNOUNCEMENT = "announcement"
    """The record on topic ``models`` cannot be read."""
    VERSION = "version"
    """Its version is not larger than the adopted one."""
    OFFSETS = "offsets"
    """It was learned from a longer log than this one: from that of another cluster."""
    FILE = "file"
    """The file is missing, too large, or not the announced one."""
    FORMAT = "format"
    """The file cannot be read, or has another format."""
    SHAPE = "shape"
    """Its dimensions or values cannot be served."""
    QUALITY = "quality"
    """Its hit rate is much worse than that of the last ones."""


class NeuralMetrics(MetricGroup):
    """Checkpoints of the two-tower model, and its share of the lists."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.version = self._gauge(
            "headrace_neural_model_version", "Version of the adopted two-tower model; 0 for none."
        )
        self.age = self._gauge(
            "headrace_neural_model_age_seconds",
            "Time since the weights of the adopted two-tower model were copied, plus how far the trainer was behind "
            "the log then, in seconds; NaN for none.",
        )
        self.age.set(math.nan)
        self.waiting = self._gauge(
            "headrace_neural_waiting_seconds",
            "Time since the start of a worker that has no two-tower model yet, in seconds; 0 with one, or without "
            "the setting.",
        )
        self.load_seconds = self._histogram(
            "headrace_neural_load_seconds",
            "Time to fetch, verify and group a checkpoint, without waiting for its place in the log.",
            buckets=_LOAD_BUCKETS,
        )
        self.refused = self._counter(
            "headrace_model_refused_total",
            "Checkpoints that were announced and not adopted, by reason.",
            "reason",
        )
        for reason in Refusal:
            self.refused.labels(reason.value)
        self.list_items = self._counter(
            "headrace_neural_list_items_total",
            "Items on users' lists that were ranked with a two-tower model.",
        )
        self.brought_items = self._counter(
            "headrace_neural_brought_items_total",
            "Those of them that the two-tower model brought (reason similar_taste).",
        )
