"""Commands and Kafka: reading without a trace, and what kafka-python raises, in a sentence that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from stream_app.errors import UserError
from topics.broker_client import BrokerUnavailableError

BOOTSTRAP_MS: Final = 10_000
"""How long a command waits for a broker to answer."""


def groupless_consumer(broker: str) -> Any:
    """A consumer without a group, connected: what a command reads changes nothing on the broker.

    Raises
    ------
    kafka.errors.KafkaError
        If no broker answers; see `broker_errors`.
    """
    from kafka import KafkaConsumer  # noqa: PLC0415  # heavy, and only commands need it

    return KafkaConsumer(
        bootstrap_servers=broker.split(","),
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # kafka-python computes them in Python, which took most of the time
        check_crcs=False,
        allow_auto_create_topics=False,
    )


@contextmanager
def broker_errors(broker: str) -> Iterator[None]:
    """Turn what kafka-python raises into one sentence."""
    from kafka.errors import KafkaError, KafkaTimeoutError  # noqa: PLC0415

    try:
        yield
    except KafkaTimeoutError:
        raise UserError(str(BrokerUnavailableError(broker))) from None
    except KafkaError as error:
        raise UserError(f"The Kafka broker at {broker} refused: {error}") from None


def require_topic(name: str, broker: str, *, exists: bool) -> None:
    """Say what to do where a topic is not there."""
    if not exists:
        raise UserError(f"There is no topic {name} at {broker}. `headrace topics create` makes the topics.")
