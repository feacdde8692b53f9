"""Sends event records to Kafka with kafka-python."""

import contextlib
import time
from typing import Final

import kafka
import kafka.errors

from stream_app.errors import UserError
from stream_app.kafka.event_records import ProducerRecord
from topics.broker_client import BrokerUnavailableError, denial, require_connection
from topics.client_arguments import client_arguments
from topics.connection_fault import find_refusal
from topics.kafka_connection import Broker, CredentialsError, connection_of

MAX_IN_FLIGHT: Final = 10_000
"""Maximum number of unacknowledged records; sending waits beyond it."""

_ACK_TIMEOUT_SECONDS: Final = 30.0
"""Seconds without any acknowledgement after which the broker counts as unavailable."""


class KafkaEventSender:
    """Sends records in order, in small batches, acknowledged by all replicas.

    Parameters
    ----------
    broker
        Bootstrap servers, comma-separated host:port.
    linger
        Seconds that a batch waits for more records.

    Raises
    ------
    UserError
        If no broker answers.
    """

    def __init__(self, broker: Broker, *, linger: float = 0.002) -> None:
        self._broker = broker
        self._sent = 0
        self._acknowledged = 0  # written only by the producer's thread
        self._failure: Exception | None = None
        try:
            require_connection(broker)
            self._producer = kafka.KafkaProducer(
                **client_arguments(broker),
                acks="all",
                linger_ms=round(linger * 1_000),
                batch_size=65_536,
                allow_auto_create_topics=False,
                bootstrap_timeout_ms=5_000,
                max_block_ms=5_000,
                request_timeout_ms=10_000,
                delivery_timeout_ms=20_000,
                metrics_enabled=False,
            )
        except (CredentialsError, BrokerUnavailableError) as error:
            raise UserError(str(error)) from None
        except (kafka.errors.KafkaError, ValueError, OSError) as error:
            raise self._unavailable_error(error) from None

    def send(self, record: ProducerRecord) -> None:
        """Send one record; waits while `MAX_IN_FLIGHT` records are unacknowledged.

        Raises
        ------
        UserError
            If the broker is unavailable or has no such topic.
        """
        self._check()
        if self._sent - self._acknowledged >= MAX_IN_FLIGHT:
            self._wait_for_acknowledgements(self._sent - MAX_IN_FLIGHT // 2)
        try:
            future = self._producer.send(record.topic, value=record.value, key=record.key)
        except kafka.errors.KafkaTimeoutError:
            raise UserError(
                f"The broker at {self._broker} does not answer for the topic {record.topic}: "
                "`headrace doctor` finds the cause, `headrace topics create` creates missing topics."
            ) from None
        except kafka.errors.KafkaError as error:
            raise self._unavailable_error(error) from None
        self._sent += 1
        future.add_callback(self._on_acknowledged)
        future.add_errback(self._on_failure)

    def flush(self) -> int:
        """Wait until all sent records are acknowledged.

        Returns
        -------
        int
            Number of acknowledged records since construction.

        Raises
        ------
        UserError
            If the broker refuses a record or is unavailable.
        """
        self._wait_for_acknowledgements(self._sent)
        return self._acknowledged

    def close(self) -> None:
        """Close the connection without waiting for unacknowledged records."""
        undelivered = self._failure is not None or self._sent > self._acknowledged
        with contextlib.suppress(kafka.errors.KafkaError):  # unacknowledged records are abandoned
            self._producer.close(timeout=0 if undelivered else 5)

    def _on_acknowledged(self, _: object) -> None:
        self._acknowledged += 1

    def _on_failure(self, error: Exception) -> None:
        self._failure = self._failure or error

    def _wait_for_acknowledgements(self, count: int) -> None:
        last_count, last_progress = self._acknowledged, time.monotonic()
        while self._acknowledged < count:
            self._check()
            if self._acknowledged > last_count:
                last_count, last_progress = self._acknowledged, time.monotonic()
            elif time.monotonic() - last_progress > _ACK_TIMEOUT_SECONDS:
                raise self._unavailable_error(
                    TimeoutError(f"no acknowledgement for {_ACK_TIMEOUT_SECONDS:.0f} s")
                )
            time.sleep(0.002)
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._unavailable_error(self._failure)

    def _unavailable_error(self, error: Exception) -> UserError:
        if sentence := denial(self._broker, error) or find_refusal(connection_of(self._broker)):
            return UserError(sentence)
        reason = str(error) or type(error).__name__
        return UserError(
            f"The Kafka broker at {self._broker} does not accept records ({reason}); check HEADRACE_BROKER, "
            "or run `headrace doctor`."
        )
