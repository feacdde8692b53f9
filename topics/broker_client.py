"""The connection to the broker for administrative requests, and its errors."""

import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any, Final

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError, SaslAuthenticationFailedError

from topics.client_arguments import client_arguments
from topics.connection_fault import attempt, find_refusal
from topics.kafka_connection import Broker, CredentialsError, KafkaConnection, SecurityProtocol, connection_of

CONNECT_SECONDS: Final = 2.0
BOOTSTRAP_MS: Final = 2_500
REQUEST_MS: Final = 30_000
_NOT_CONNECTED: Final = (KafkaConnectionError, NodeNotReadyError, SaslAuthenticationFailedError)


class BrokerUnavailableError(ConnectionError):
    """No broker answers, or the one that does refuses the connection; the message is one sentence for people."""


def unavailable(broker: Broker) -> BrokerUnavailableError:
    """The error for a broker to which no connection was made, with the cause that an attempt finds.

    The attempt takes some seconds at most.
    """
    connection = connection_of(broker)
    return BrokerUnavailableError(find_refusal(connection) or _no_answer(connection))


def _no_answer(connection: KafkaConnection) -> str:
    return f"No Kafka broker answers at {connection}. Start one, or set HEADRACE_BROKER."


class TopicAdminError(RuntimeError):
    """The broker refused a request; the message is one sentence for people."""


def require_connection(broker: Broker) -> None:
    """Try a connection with security once, before a client tries it again and again.

    Raises
    ------
    BrokerUnavailableError
        If it is refused, with the cause.
    """
    connection = connection_of(broker)
    if connection.security.protocol is SecurityProtocol.PLAINTEXT:
        return
    outcome = attempt(connection)
    if not outcome.is_accepted:
        # kafka-python would wait without an end for a server that is silent in a TLS handshake.
        raise BrokerUnavailableError(outcome.refusal or _no_answer(connection))


def denial(broker: Broker, error: BaseException) -> str | None:
    """One sentence for an error that says that this client lacks a right; None for any other error.

    Parameters
    ----------
    error
        Of kafka-python or aiokafka.
    """
    name = type(error).__name__
    if "AuthorizationFailed" not in name:
        return None
    denied = name.partition("AuthorizationFailed")[0]
    words = {"Topic": "a topic", "Group": "a consumer group", "Cluster": "the cluster"}
    resource = words.get(denied, "a transactional id")
    return (
        f"The broker at {broker} denies this client a right on {resource} ({error}). `headrace doctor` names the "
        "missing ACLs."
    )


@contextlib.contextmanager
def broker_client(broker: Broker) -> Iterator[Any]:
    """A connected admin client (kafka-python's), closed at the end.

    Raises
    ------
    BrokerUnavailableError
        If no broker answers.
    TopicAdminError
        If the broker refuses a request.
    """
    if not _is_listening(broker):
        raise unavailable(broker)
    require_connection(broker)
    client = None
    with quiet_kafka_logger():
        try:
            client = KafkaAdminClient(
                **client_arguments(broker),
                client_id="headrace-admin",
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                request_timeout_ms=REQUEST_MS,
            )
            yield client
        except KafkaError as error:
            if client is None or isinstance(
                error, KafkaConnectionError | NodeNotReadyError | SaslAuthenticationFailedError
            ):
                raise unavailable(broker) from None
            sentence = denial(broker, error) or f"The broker at {broker} refused the request: {error}"
            raise TopicAdminError(sentence) from None
        except CredentialsError as error:
            raise BrokerUnavailableError(str(error)) from None
        finally:
            if client is not None:
                client.close()


def _is_listening(broker: Broker) -> bool:
    """Whether any server accepts connections; the client itself would retry until its timeout."""
    for server in connection_of(broker).addresses:
        host, _, port = server.rpartition(":")
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
