"""The publisher on Redis: one pipeline a flush."""

from collections.abc import Sequence

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from stream_app.publish.port import Document, PublisherUnavailableError


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
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
        self._ttl_ms = str(int(ttl * 1000)).encode()

    async def publish(self, documents: Sequence[Document]) -> None:
        """Write all documents in one pipeline."""
        if not documents:
            return
        pipeline = self._redis.pipeline(transaction=False)
        ttl = self._ttl_ms
        for key, value in documents:
            pipeline.execute_command("SET", key, value, b"PX", ttl)
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            raise PublisherUnavailableError(str(error)) from error

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove keys."""
        if not keys:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.execute_command("UNLINK", key)
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            raise PublisherUnavailableError(str(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
