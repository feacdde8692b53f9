"""Connections to Redis, pipelines with one time-out, and what a refusal of Redis means."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import (
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.retry import Retry

from stream_app.publishing.publisher import (
    PublisherUnavailableError,
    StoreForbiddenError,
    StoreRestartedError,
)


def slot_of(key: str) -> int:
    """The slot of a key in a cluster.

    Examples
    --------
    >>> slot_of("recs:user:{ann}") == slot_of("recs:search:{ann}")
    True
    """
    slot: int = key_slot(key.encode())
    return slot


def refusal(error: Exception) -> str:
    """Say why Redis refused a command, and what to do, without the content of the command."""
    # The error of a script holds the code of the inner error; of another command, redis removes the code.
    text = str(error)
    if "OOM" in text or isinstance(error, OutOfMemoryError):
        return "Redis is full and refuses writes: raise its maxmemory, or remove other keys"
    if "READONLY" in text or isinstance(error, ReadOnlyError):
        return "Redis is a read-only replica: HEADRACE_REDIS must lead to the primary"
    if "NOREPLICAS" in text:
        return "Redis has fewer replicas than its min-replicas-to-write and refuses writes"
    if is_forbidden(error):
        return f"the ACL of Redis lacks a right that docs/redis.md lists ({text})"
    return text


def is_forbidden(error: Exception) -> bool:
    """Whether the ACL of Redis refused a command, or one of a script."""
    text = str(error)
    # The latter two are of scripts, of Redis 7 and 6.
    return (
        isinstance(error, NoPermissionError)
        or "ACL failure in script" in text
        or "user executing the script can't" in text
    )


@contextmanager
def explain_refusals() -> Iterator[None]:
    """Raise `PublisherUnavailableError` with the reason where Redis does not answer or refuses a command."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise PublisherUnavailableError(refusal(error)) from error


def open_connection(url: str, timeout: float) -> Redis:
    """A connection that waits `timeout` seconds for itself and for each reply, and does not try again.

    Raises
    ------
    ValueError
        If the URL is invalid.
    """
    return Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class PipelineConnection:
    """Connections of a worker, whose pipelines succeed as a whole, in time, or fail.

    Parameters
    ----------
    url
        ``redis://host:port/db``.
    timeout
        Seconds without a reply after which Redis counts as unavailable.
    on_reconnect
        Called when a connection is made that is not the first: Redis may have lost its newest writes.
    """

    def __init__(self, url: str, timeout: float, on_reconnect: Callable[[], None]) -> None:
        # No retry here: the caller ranks anew for each attempt, and a retry would publish stale lists.
        self._redis = AsyncRedis.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=timeout,
            retry=AsyncRetry(NoBackoff(), 0),
            redis_connect_func=self._on_connect,
        )
        self._timeout = timeout
        self._on_reconnect = on_reconnect
        self._was_connected = False

    async def _on_connect(self, connection: Any) -> None:
        await connection.on_connect()
        if self._was_connected:
            self._on_reconnect()
        self._was_connected = True

    def pipeline(self) -> Any:
        """A new pipeline, without a transaction."""
        return self._redis.pipeline(transaction=False)

    async def execute(self, pipeline: Any) -> list[Any]:
        """Execute a pipeline and return its replies.

        Raises
        ------
        StoreRestartedError
            If Redis lost a script.
        StoreForbiddenError
            If the ACL of Redis refuses a command.
        PublisherUnavailableError
            If Redis does not answer in time, or refuses a command; any part of the pipeline may have been executed.
        """
        # One timeout for the whole pipeline: the timeout of the client applies to each reply.
        try:
            async with asyncio.timeout(self._timeout):
                replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except TimeoutError as error:
            raise PublisherUnavailableError(f"no reply within {self._timeout:g} s") from error
        except (RedisError, OSError) as error:
            raise PublisherUnavailableError(refusal(error)) from error
        for reply in replies:
            if isinstance(reply, NoScriptError):
                raise StoreRestartedError("Redis lost the script; it is loaded again") from reply
            if isinstance(reply, Exception):
                # The address may lead to another server now, such as the new primary.
                await self._redis.connection_pool.disconnect()
                unavailable = StoreForbiddenError if is_forbidden(reply) else PublisherUnavailableError
                raise unavailable(refusal(reply)) from reply
        return replies

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
