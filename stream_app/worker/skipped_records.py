"""Reports records that retention removed before a worker read them."""

import logging
from typing import Final

from stream_app.metrics import EventMetrics
from topics.catalog import INTERACTIONS, REWARDS, SHOP_TOPICS

_LOG: Final = logging.getLogger(__name__)


def start_at_zero(metrics: EventMetrics) -> None:
    """Create the counters, so that Prometheus sees the first increase of each."""
    for spec in (*SHOP_TOPICS, INTERACTIONS, REWARDS):
        metrics.events_skipped.labels(spec.name)


def report_skipped(metrics: EventMetrics, topic: str, partition: int, read: int, beginning: int) -> None:
    """Count and log the records between the next offset to read and the first record that is left."""
    metrics.events_skipped.labels(topic).inc(log_skipped(topic, partition, read, beginning))


def log_skipped(topic: str, partition: int, read: int, beginning: int) -> int:
    """Log the records between the next offset to read and the first record that is left; return their number."""
    skipped = beginning - read
    _LOG.error(
        "retention removed %d records of %s[%s] before they were read: offsets %d to %d",
        skipped,
        topic,
        partition,
        read,
        beginning - 1,
    )
    return skipped
