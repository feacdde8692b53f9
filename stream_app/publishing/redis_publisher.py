"""The publisher for Redis: one pipeline per flush."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from stream_app.publishing.publisher import Document, PublisherUnavailableError


class RedisPublisher:
    """Writes documents to Redis.

    Parameters
    ----------
    url
        ``redis://host:port/db``.
    ttl
        Time to live of a document, seconds.
    timeout
        Seconds without a reply after which Redis counts as unavailable.
    """

    def __init__(self, url: str, ttl: float, timeout: float = 2.0) -> None:
        # No retry here: the caller ranks anew for each attempt, and a retry would publish stale lists.
        self._redis = Redis.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
        self._timeout = timeout
        self._ttl_ms = str(int(ttl * 1000)).encode()

    async def publish(self, documents: Sequence[Document]) -> None:
        """Write all documents in one pipeline."""
        if not documents:
            return
        pipeline = self._redis.pipeline(transaction=False)
        ttl = self._ttl_ms
        for key, value in documents:
            pipeline.execute_command("SET", key, value, b"PX", ttl)
        await self._execute(pipeline)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove keys."""
        if not keys:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.execute_command("UNLINK", key)
        await self._execute(pipeline)

    async def _execute(self, pipeline: Any) -> None:
        # One timeout for the whole pipeline: the timeout of the client applies to each reply.
        try:
            async with asyncio.timeout(self._timeout):
                await pipeline.execute()
        except TimeoutError as error:
            raise PublisherUnavailableError(f"no reply within {self._timeout:g} s") from error
        except (RedisError, OSError) as error:
            raise PublisherUnavailableError(str(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
