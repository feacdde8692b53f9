"""Kafka for commands: a consumer without a group, and kafka-python's errors as errors for people."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kafka import KafkaConsumer
from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    SaslAuthenticationFailedError,
)

from stream_app.errors import UserError
from topics.admin import is_denied
from topics.broker_client import (
    BrokerUnavailableError,
    TopicAdminError,
    denial,
    require_connection,
    unavailable,
)
from topics.client_arguments import client_arguments
from topics.kafka_connection import Broker, CredentialsError

BOOTSTRAP_MS: Final = 10_000
"""Milliseconds that a command waits for a broker."""


def groupless_consumer(broker: Broker) -> Any:
    """A connected consumer without a group; reading leaves no state on the broker.

    Raises
    ------
    kafka.errors.KafkaError, BrokerUnavailableError
        If no broker answers, or it refuses the connection; see `broker_errors`.
    """
    require_connection(broker)
    return KafkaConsumer(
        **client_arguments(broker),
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
def broker_errors(broker: Broker) -> Iterator[None]:
    """Convert kafka-python's errors into a `UserError` with one sentence."""
    try:
        yield
    except (KafkaTimeoutError, KafkaConnectionError, NodeNotReadyError, SaslAuthenticationFailedError):
        raise UserError(str(unavailable(broker))) from None
    except KafkaError as error:
        raise UserError(
            denial(broker, error)
            or f"The Kafka broker at {broker} refused the request: {error}. See HEADRACE_BROKER and the broker's log."
        ) from None
    except (CredentialsError, BrokerUnavailableError) as error:
        raise UserError(str(error)) from None


def require_topic(name: str, broker: Broker, *, exists: bool) -> None:
    """Raise a `UserError` that names the remedy if a topic is missing, or is denied to this client."""
    if exists:
        return
    try:
        denied = is_denied(name, broker)
    except (BrokerUnavailableError, TopicAdminError) as error:
        raise UserError(str(error)) from None
    if denied:
        raise UserError(
            f"The broker at {broker} does not tell this client of the topic {name}. Grant a right on it: kafka-acls "
            f"--add --allow-principal User:NAME --operation Read --topic {name}"
        )
    raise UserError(f"There is no topic {name} at {broker}. `headrace topics create` creates the topics.")
