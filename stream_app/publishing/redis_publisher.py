"""The publisher on Redis: one pipeline a flush."""

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
        Seconds a document lives.
    timeout
        Seconds after which Redis counts as away.
    """

    def __init__(self, url: str, ttl: float, timeout: float = 2.0) -> None:
        # The caller tries again with what is dirty then; retrying here would publish stale lists.
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
        # One bound on the whole: the client's own would be set up anew for each of the answers.
        try:
            async with asyncio.timeout(self._timeout):
                await pipeline.execute()
        except TimeoutError as error:
            raise PublisherUnavailableError(f"no answer in {self._timeout:g} s") from error
        except (RedisError, OSError) as error:
            raise PublisherUnavailableError(str(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
