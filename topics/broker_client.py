"""The connection to the broker for administrative requests, and its errors."""

import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any, Final

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError

CONNECT_SECONDS: Final = 2.0
BOOTSTRAP_MS: Final = 2_500
REQUEST_MS: Final = 30_000


class BrokerUnavailableError(ConnectionError):
    """No broker answers."""

    def __init__(self, broker: str) -> None:
        super().__init__(f"No Kafka broker answers at {broker}. Start one, or set HEADRACE_BROKER.")
        self.broker: Final = broker


class TopicAdminError(RuntimeError):
    """The broker refused a request; the message is one sentence for people."""


@contextlib.contextmanager
def broker_client(broker: str) -> Iterator[Any]:
    """A connected admin client (kafka-python's), closed at the end.

    Raises
    ------
    BrokerUnavailableError
        If no broker answers.
    TopicAdminError
        If the broker refuses a request.
    """
    if not _is_listening(broker):
        raise BrokerUnavailableError(broker)
    client = None
    with quiet_kafka_logger():
        try:
            client = KafkaAdminClient(
                bootstrap_servers=broker.split(","),
                client_id="headrace-admin",
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                request_timeout_ms=REQUEST_MS,
            )
            yield client
        except KafkaError as error:
            if client is None or isinstance(error, KafkaConnectionError | NodeNotReadyError):
                raise BrokerUnavailableError(broker) from None
            raise TopicAdminError(f"The broker at {broker} refused the request: {error}") from None
        finally:
            if client is not None:
                client.close()


def _is_listening(broker: str) -> bool:
    """Whether any server accepts connections; the client itself would retry until its timeout."""
    for server in broker.split(","):
        host, _, port = server.strip().rpartition(":")
        with contextlib.suppress(OSError, ValueError, OverflowError):
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
            return True
    return False


@contextlib.contextmanager
def quiet_kafka_logger() -> Iterator[None]:
    """Suppress kafka-python's log of each failed attempt: the raised error reports it once."""
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
