"""What kafka-python raises, in one sentence that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from stream_app.errors import UserError
from topics.admin import BrokerUnavailableError


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


def require_topic(name: str, broker: str, *, there: bool) -> None:
    """Say what to do where a topic is not there."""
    if not there:
        raise UserError(f"There is no topic {name} at {broker}. `headrace topics create` makes the topics.")
