"""Kafka for commands: a consumer without a group, and kafka-python's errors as errors for people."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kafka import KafkaConsumer
from kafka.errors import KafkaError, KafkaTimeoutError

from stream_app.errors import UserError
from topics.broker_client import BrokerUnavailableError

BOOTSTRAP_MS: Final = 10_000
"""Milliseconds that a command waits for a broker."""


def groupless_consumer(broker: str) -> Any:
    """A connected consumer without a group; reading leaves no state on the broker.

    Raises
    ------
    kafka.errors.KafkaError
        If no broker answers; see `broker_errors`.
    """
    return KafkaConsumer(
        bootstrap_servers=broker.split(","),
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # kafka-python computes checksums in Python, which took most of the time.
        check_crcs=False,
        allow_auto_create_topics=False,
    )


@contextmanager
def broker_errors(broker: str) -> Iterator[None]:
    """Convert kafka-python's errors into a `UserError` with one sentence."""
    try:
        yield
    except KafkaTimeoutError:
        raise UserError(str(BrokerUnavailableError(broker))) from None
    except KafkaError as error:
        raise UserError(
            f"The Kafka broker at {broker} refused the request: {error}. Check HEADRACE_BROKER and the broker's log."
        ) from None


def require_topic(name: str, broker: str, *, exists: bool) -> None:
    """Raise a `UserError` that names the remedy if a topic is missing."""
    if not exists:
        raise UserError(f"There is no topic {name} at {broker}. `headrace topics create` creates the topics.")
