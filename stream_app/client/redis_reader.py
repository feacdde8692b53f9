"""Reads of several keys in one round trip: from one server, or from the nodes of a cluster at the same time."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from redis.exceptions import TimeoutError as RedisTimeoutError

from stream_app.client.redis_clients import close_asyncio, close_blocking, open_asyncio, open_blocking
from stream_app.redis_server import RedisServer

_RETRIES = 1
"""A read is tried again once on a lost connection: Redis may have closed a pooled one. Not after a timeout."""

_TIMEOUTS: Final = 2
"""Timeouts within which a read of a cluster ends: one for a node that does not answer, one to find another."""

_MAX_CONCURRENT_READS: Final = 32
"""Of a cluster; further ones queue, within their own time."""


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
        self._executor = ThreadPoolExecutor(_MAX_CONCURRENT_READS, thread_name_prefix="headrace-read")
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
        # In another thread: redis-py takes its timeout for each node and for each attempt, and the sum needs a bound.
        future = self._executor.submit(self._read_nodes, keys)
        try:
            return future.result(_TIMEOUTS * self._timeout)
        except TimeoutError:
            future.cancel()
            raise RedisTimeoutError(f"no reply within {_TIMEOUTS * self._timeout:g} s") from None

    def _read_nodes(self, keys: Sequence[str]) -> list[bytes | None]:
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
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            close_blocking(self._client)


class AsyncRedisReader:
    """Reads keys in an event loop, as `RedisReader`."""

    def __init__(self, server: RedisServer, timeout: float) -> None:
        self._timeout = timeout
        self._is_cluster = server.mode == "cluster"
        self._client: Any = open_asyncio(server, timeout, retries=_RETRIES)

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of keys; see `RedisReader.read`."""
        if not self._is_cluster:
            values: list[bytes | None] = await self._client.mget(keys)
            return values
        try:
            async with asyncio.timeout(_TIMEOUTS * self._timeout):
                return await self._read_nodes(keys)
        except TimeoutError:
            raise RedisTimeoutError(f"no reply within {_TIMEOUTS * self._timeout:g} s") from None

    async def _read_nodes(self, keys: Sequence[str]) -> list[bytes | None]:
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
