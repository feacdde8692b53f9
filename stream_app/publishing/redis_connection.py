"""Connections to Redis, to one server or to the nodes of a cluster, and pipelines with one time-out."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis.crc import key_slot
from redis.exceptions import NoScriptError

from stream_app.client.redis_clients import close_asyncio, open_asyncio, open_blocking
from stream_app.client.redis_reasons import REDIS_ERRORS, is_forbidden, refusal
from stream_app.publishing.publisher import (
    PublisherUnavailableError,
    StoreForbiddenError,
    StoreRestartedError,
)
from stream_app.redis_server import RedisServer, parse_redis

_CONNECT_SHARE: Final = 0.5
"""Of the timeout, for a connection to a node of a cluster: another node may have to be asked for the nodes."""


def slot_of(key: str) -> int:
    """The slot of a key in a cluster.

    Examples
    --------
    >>> slot_of("recs:user:{ann}") == slot_of("recs:search:{ann}")
    True
    """
    slot: int = key_slot(key.encode())
    return slot


@contextmanager
def explain_refusals(server: RedisServer) -> Iterator[None]:
    """Raise `PublisherUnavailableError` with the reason where Redis does not answer or refuses a command."""
    try:
        yield
    except REDIS_ERRORS as error:
        raise PublisherUnavailableError(refusal(error, tls=server.is_tls)) from error


def open_connection(server: str | RedisServer, timeout: float) -> Any:
    """A connection that waits `timeout` seconds for itself and for each reply, and does not try again.

    Raises
    ------
    ValueError
        If the URL is invalid.
    RedisClusterException
        If no node of a cluster answers.
    """
    return open_blocking(parse_redis(server), timeout, decode_responses=True)


def open_pipelines(
    server: str | RedisServer, timeout: float, on_reconnect: Callable[[], None]
) -> "PipelineConnection":
    """The connections of a worker.

    Parameters
    ----------
    timeout
        Seconds without a reply after which Redis counts as unavailable.
    on_reconnect
        Called when a connection is made that is not the first: Redis may have lost its newest writes.
    """
    server = parse_redis(server)
    kind = ClusterConnection if server.mode == "cluster" else PipelineConnection
    return kind(server, timeout, on_reconnect)


class PipelineConnection:
    """Connections of a worker, whose pipelines succeed as a whole, in time, or fail; see `open_pipelines`."""

    is_cluster: bool = False

    def __init__(self, server: RedisServer, timeout: float, on_reconnect: Callable[[], None]) -> None:
        self._server = server
        self._timeout = timeout
        self._on_reconnect = on_reconnect
        self._was_connected = False
        # No retry: the caller ranks anew for each attempt, and a retry would publish stale lists.
        self._redis = self._open()

    def _open(self) -> Any:
        return open_asyncio(
            self._server, self._timeout, socket_timeout=None, redis_connect_func=self._on_connect
        )

    async def _on_connect(self, connection: Any) -> None:
        await connection.on_connect()
        if self._was_connected:
            self._on_reconnect()
        self._was_connected = True

    async def nodes(self) -> Sequence[Any]:
        """The nodes that have keys, for `add`; None for the only one.

        Raises
        ------
        PublisherUnavailableError
            If Redis does not answer.
        """
        return (None,)

    def owner(self, slot: int) -> Any:
        """The node of a slot, of those that `nodes` returned last."""
        del slot

    async def refresh(self) -> None:
        """Ask a cluster which node has which slots.

        Raises
        ------
        PublisherUnavailableError
            If Redis does not answer.
        """

    def pipeline(self) -> Any:
        """A new pipeline, without a transaction."""
        return self._redis.pipeline(transaction=False)

    def add(self, pipeline: Any, node: Any, *command: Any) -> None:
        """Add a command without keys to a pipeline, for a node."""
        del node
        pipeline.execute_command(*command)

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
        replies: list[Any] = await self._in_time(pipeline.execute(raise_on_error=False))
        for reply in replies:
            if isinstance(reply, NoScriptError):
                raise StoreRestartedError("Redis lost the script; it is loaded again") from reply
            if isinstance(reply, Exception):
                # The address may lead to another server now, such as the new primary.
                await self._forget()
                unavailable = StoreForbiddenError if is_forbidden(reply) else PublisherUnavailableError
                raise unavailable(self._reason(reply)) from reply
        return replies

    async def _in_time(self, execution: Any) -> Any:
        # One timeout for the whole pipeline: the timeout of the client applies to each reply.
        try:
            async with asyncio.timeout(self._timeout):
                return await execution
        except TimeoutError as error:
            await self._fail()
            unanswered = TimeoutError(f"no reply within {self._timeout:g} s")
            raise PublisherUnavailableError(self._reason(unanswered)) from error
        except REDIS_ERRORS as error:
            await self._fail()
            raise PublisherUnavailableError(self._reason(error)) from error

    def _reason(self, error: BaseException) -> str:
        # What ends a connection that worked is no lack of TLS.
        return refusal(error, tls=None if self._was_connected else self._server.is_tls)

    async def _fail(self) -> None:
        """Note that an execution failed."""

    async def _forget(self) -> None:
        """Connect anew with the next pipeline."""
        await self._redis.connection_pool.disconnect()

    async def close(self) -> None:
        """Close the connections."""
        await close_asyncio(self._redis)


class ClusterConnection(PipelineConnection):
    """Connections to the nodes of a cluster: a pipeline is sent to all of its nodes at once.

    A reconnection is an execution that succeeds after one that failed, or after which other nodes are primaries: a
    promoted replica may lack the newest writes.
    """

    is_cluster = True

    def __init__(self, server: RedisServer, timeout: float, on_reconnect: Callable[[], None]) -> None:
        super().__init__(server, timeout, on_reconnect)
        self._primaries: frozenset[str] = frozenset()

    def _open(self) -> Any:
        return open_asyncio(
            self._server, self._timeout, socket_connect_timeout=self._timeout * _CONNECT_SHARE
        )

    async def nodes(self) -> Sequence[Any]:
        """The primaries."""
        await self._in_time(self._redis.initialize())
        primaries: list[Any] = self._redis.get_primaries()
        return primaries

    def owner(self, slot: int) -> Any:
        """The primary of a slot; None if no node has it."""
        nodes = self._redis.nodes_manager.slots_cache.get(slot)
        return nodes[0] if nodes else None

    async def refresh(self) -> None:
        """Ask which node has which slots."""
        await self._in_time(self._redis.nodes_manager.initialize())

    def pipeline(self) -> Any:
        """A new pipeline."""
        return self._redis.pipeline()

    def add(self, pipeline: Any, node: Any, *command: Any) -> None:
        """Add a command without keys to a pipeline, for a primary."""
        pipeline.execute_command(*command, target_nodes=node)

    async def execute(self, pipeline: Any) -> list[Any]:
        """Execute a pipeline; see `PipelineConnection.execute`."""
        replies = await super().execute(pipeline)
        self._was_connected = True
        primaries = frozenset(node.name for node in self._redis.get_primaries())
        if primaries != self._primaries:
            if self._primaries:
                self._on_reconnect()
            self._primaries = primaries
        return replies

    async def _fail(self) -> None:
        # The next success is a reconnection, and finds the nodes anew.
        await self._forget()

    async def _forget(self) -> None:
        if self._primaries:
            self._primaries = frozenset({""})
        await self._redis.aclose()
