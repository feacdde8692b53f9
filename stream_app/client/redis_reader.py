"""Reads of several keys in one round trip: from one server, or from the nodes of a cluster at the same time."""

import threading
from collections.abc import Sequence
from typing import Any

from stream_app.client.redis_clients import close_asyncio, close_blocking, open_asyncio, open_blocking
from stream_app.redis_server import RedisServer

_RETRIES = 1
"""A read is tried again once on a lost connection: Redis may have closed a pooled one. Not after a timeout."""


class RedisReader:
    """Reads keys, blocking; thread-safe.

    Parameters
    ----------
    timeout
        Seconds of a connection attempt and of a reply.

    Raises
    ------
    ValueError
        If the server's parameters are invalid.
    """

    def __init__(self, server: RedisServer, timeout: float) -> None:
        self._server, self._timeout = server, timeout
        self._is_cluster = server.mode == "cluster"
        self._lock = threading.Lock()
        # A cluster is asked for its nodes at once: not before the first read.
        self._client: Any = None if self._is_cluster else self._open()

    def _open(self) -> Any:
        return open_blocking(self._server, self._timeout, retries=_RETRIES)

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of keys, None where there is none.

        Raises
        ------
        RedisError, OSError
            If Redis does not answer in time, or refuses.
        """
        if not self._is_cluster:
            values: list[bytes | None] = self._client.mget(keys)
            return values
        if self._client is None:
            with self._lock:
                self._client = self._client or self._open()
        if len(keys) == 1:
            return [self._client.get(keys[0])]
        pipeline = self._client.pipeline()
        for key in keys:
            pipeline.get(key)
        found: list[bytes | None] = pipeline.execute()
        return found

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            close_blocking(self._client)


class AsyncRedisReader:
    """Reads keys in an event loop, as `RedisReader`."""

    def __init__(self, server: RedisServer, timeout: float) -> None:
        self._is_cluster = server.mode == "cluster"
        self._client: Any = open_asyncio(server, timeout, retries=_RETRIES)

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of keys; see `RedisReader.read`."""
        if not self._is_cluster:
            values: list[bytes | None] = await self._client.mget(keys)
            return values
        if len(keys) == 1:
            return [await self._client.get(keys[0])]
        pipeline = self._client.pipeline()
        for key in keys:
            pipeline.get(key)
        found: list[bytes | None] = await pipeline.execute()
        return found

    async def close(self) -> None:
        """Close the connections."""
        await close_asyncio(self._client)
