"""Attempts are repeated while Kafka is unavailable, and only then."""

import pytest
from aiokafka.errors import (
    BrokerNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

from stream_app.kafka import availability
from stream_app.kafka.availability import retry_while_unavailable


class Attempts:
    """Fails with each error in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_RETRY_SECONDS", 0.0)


async def test_attempts_are_repeated_until_kafka_answers(caplog: pytest.LogCaptureFixture) -> None:
    outage = (KafkaConnectionError("refused"), KafkaTimeoutError(), TimeoutError(), BrokerNotAvailableError())
    attempts = Attempts(*outage)
    assert await retry_while_unavailable(attempts, "recovery") == "done"
    assert attempts.errors == []
    assert sum("the recovery starts again" in each.getMessage() for each in caplog.records) == len(outage)


@pytest.mark.parametrize(
    "error", [TopicAuthorizationFailedError("t"), KafkaError("unknown"), ValueError("x")]
)
async def test_other_errors_end_the_attempts(error: Exception) -> None:
    attempts = Attempts(error, AssertionError("a second attempt"))
    with pytest.raises(type(error)):
        await retry_while_unavailable(attempts, "recovery")
    assert len(attempts.errors) == 1
