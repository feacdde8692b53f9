"""What to do while no broker answers: try again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiokafka.errors import KafkaError, KafkaTimeoutError

_LOG: Final = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 2.0
_TRANSIENT_CODES: Final = frozenset({7, 8, 13, 14, 15, 16, 51})
"""Timed out, broker unavailable, network error, coordinator loading, unavailable or moved, concurrent request."""

_Result = TypeVar("_Result")


def is_transient(error: Exception) -> bool:
    """Whether a request to Kafka may succeed later.

    Examples
    --------
    >>> from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
    >>> is_transient(KafkaConnectionError()), is_transient(TopicAuthorizationFailedError())
    (True, False)
    """
    if isinstance(error, (TimeoutError, KafkaTimeoutError)):
        return True
    if not isinstance(error, KafkaError):
        return False
    return error.retriable or getattr(error, "errno", None) in _TRANSIENT_CODES


async def retry_while_unavailable(attempt: Callable[[], Awaitable[_Result]], subject: str) -> _Result:
    """Make attempts until one does not fail because Kafka is unavailable.

    Parameters
    ----------
    attempt
        Called for each attempt; it must be repeatable.
    subject
        What is attempted, for the log.

    Raises
    ------
    Exception
        Any error of an attempt that is not transient.
    """
    while True:
        try:
            return await attempt()
        except (KafkaError, TimeoutError) as error:
            if not is_transient(error):
                raise
            _LOG.warning("Kafka is unavailable; the %s starts again: %r", subject, error)
        await asyncio.sleep(_RETRY_SECONDS)
