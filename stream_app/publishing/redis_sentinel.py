"""The sentinel of Redis: a key that is lost with the lists.

``headrace:epoch`` is a hash with these fields:

- ``epoch``: a random name. A worker that finds no epoch sets one: Redis is new or was emptied.
- ``<partition>``: the epoch in which all lists of the partition were published. If it is not the current one, the
  owner of the partition publishes them again.
- ``checks``: a counter that each check of each worker increments. If it is not larger than at the worker's last
  check, Redis lost its newest writes (a restart from a dump, a failover to a replica that lagged), and a new epoch
  begins. A smaller loss is made up for with the next connection (`stream_app.publishing.acknowledged_work`).
- ``left:<partition>``: users that wait to be published again, for ``headrace republish``.

The key has no time to live: a Redis that evicts keys with one leaves it alone.
"""

import logging
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final
from urllib.parse import unquote

from stream_app.client.redis_clients import close_blocking
from stream_app.client.redis_contract import is_erased, query_key, search_key, user_key
from stream_app.publishing.publisher import StoreForbiddenError
from stream_app.publishing.redis_connection import explain_refusals, open_connection, open_pipelines
from stream_app.publishing.redis_node_checks import NodeChecks
from stream_app.publishing.redis_publisher import RedisPublisher
from stream_app.publishing.sentinel import StoreState
from stream_app.redis_server import RedisServer, parse_redis

_LOG: Final = logging.getLogger(__name__)

SENTINEL_KEY: Final = "headrace:epoch"
_EPOCH: Final = "epoch"
_CHECKS: Final = "checks"
_LEFT: Final = "left:"
_ANY: Final = "any"
"""In lower case, as the query in a key."""
_SCAN_KEYS: Final = 500


class RedisSentinel:
    """Implements `stream_app.publishing.sentinel.Sentinel`.

    Parameters
    ----------
    server
        Where Redis is; or its URL, ``redis://host:port/db``.
    publisher
        Its counters of fencing tokens are restored after a loss, and it is told of new connections.
    timeout
        Seconds without a reply after which Redis counts as unavailable.
    """

    def __init__(self, server: str | RedisServer, publisher: RedisPublisher, timeout: float = 2.0) -> None:
        self._connection = open_pipelines(server, timeout, publisher.report_reconnect)
        self._publisher = publisher
        self._epoch = ""
        self._checks = 0
        self._node_checks = NodeChecks(SENTINEL_KEY, self._connection, self._execute)
        self._reported: set[str] = set()

    async def check(self) -> StoreState:
        """Read the state in one round trip, in a cluster two, and begin a new epoch if Redis lost data."""
        is_new, checks, fields = await self._execute(
            ("HSETNX", SENTINEL_KEY, _EPOCH, _new_epoch()),
            ("HINCRBY", SENTINEL_KEY, _CHECKS, 1),
            ("HGETALL", SENTINEL_KEY),
        )
        fields = {name.decode(): value.decode() for name, value in fields.items()}
        epoch = fields[_EPOCH]
        lost_nodes = await self._node_checks.lost_nodes(fields) if self._connection.is_cluster else ()
        # Another worker may have begun an epoch for them.
        if lost_nodes and self._epoch in {"", epoch}:
            _LOG.warning("nodes of Redis lost writes: %s; publishing all lists again", ", ".join(lost_nodes))
            epoch = _new_epoch()
            await self._execute(("HSET", SENTINEL_KEY, _EPOCH, epoch))
        elif checks <= self._checks and not is_new:
            _LOG.warning(
                "Redis lost its newest writes: its counter of checks went from %d to %d; publishing all lists again",
                self._checks,
                checks,
            )
            epoch = _new_epoch()
            await self._execute(("HSET", SENTINEL_KEY, _EPOCH, epoch))
        self._checks = checks
        self._node_checks.settle()
        if epoch != self._epoch:
            await self._publisher.restore_counters()
            self._epoch = epoch
        return StoreState(epoch, _complete(fields, epoch))

    async def report_remaining(self, partitions: Collection[int], n_users: int) -> None:
        """Record how many users wait, at the first of the partitions."""
        await self._execute(("HSET", SENTINEL_KEY, f"{_LEFT}{min(partitions)}", n_users))

    async def mark_complete(self, partitions: Collection[int], epoch: str) -> None:
        """Record that all lists of some partitions were published in an epoch."""
        complete = [part for each in sorted(partitions) for part in (str(each), epoch)]
        left = [f"{_LEFT}{each}" for each in partitions]
        await self._execute(("HSET", SENTINEL_KEY, *complete), ("HDEL", SENTINEL_KEY, *left))

    async def user_ids(self) -> AsyncIterator[list[str]]:
        """The users with a list, in portions; Redis goes through all of its keys for them."""
        for key_of in (user_key, search_key):
            async for portion in self._scan(key_of):
                yield portion

    async def queries(self) -> AsyncIterator[list[str]]:
        """The queries with a list, in portions, likewise."""
        async for portion in self._scan(query_key):
            yield portion

    async def _scan(self, key_of: Callable[[str], str]) -> AsyncIterator[list[str]]:
        """The users, or queries, of the keys that a function makes, without similar keys of other programs."""
        prefix, suffix = key_of(_ANY).split(_ANY)
        for node in await self._connection.nodes():
            cursor, is_first = 0, True
            while cursor or is_first:
                is_first = False
                command = ("SCAN", cursor, "MATCH", f"{prefix}*{suffix}", "COUNT", _SCAN_KEYS)
                [(cursor, keys)] = await self._execute(command, node=node)
                # Keys that are not UTF-8 lack the mark that replaces their bytes.
                texts = (key.decode("utf-8", "replace") for key in keys)
                names = [unquote(text[len(prefix) : len(text) - len(suffix)]) for text in texts]
                yield [name for name, key in zip(names, keys, strict=True) if key_of(name).encode() == key]

    async def with_lists(self, user_ids: Collection[str]) -> list[str]:
        """Those of some users whose keys hold a list."""
        if not user_ids:
            return []
        keys = [("GET", key(user_id)) for user_id in user_ids for key in (user_key, search_key)]
        values = iter(await self._execute(*keys))
        return [
            user_id
            for user_id, found in zip(user_ids, zip(values, values, strict=True), strict=True)
            if any(value is not None and not is_erased(value) for value in found)
        ]

    async def _execute(self, *commands: tuple[Any, ...], node: Any = None) -> list[Any]:
        pipeline = self._connection.pipeline()
        for command in commands:
            if node is None:
                pipeline.execute_command(*command)
            else:
                self._connection.add(pipeline, node, *command)
        try:
            return await self._connection.execute(pipeline)
        except StoreForbiddenError as error:
            # Lists may be published all the same: no other line reports it. Redis names one of a few commands.
            if str(error) not in self._reported:
                self._reported.add(str(error))
                _LOG.warning(
                    "Redis refuses to be checked for lost lists and lists of erased users: %s", error
                )
            raise

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()


class RepublicationState:
    """The progress of a republication, as ``headrace republish`` reads it.

    Parameters
    ----------
    fields
        The fields of the key.
    epoch
        The epoch that the command began.
    """

    def __init__(self, fields: dict[str, str], epoch: str) -> None:
        self.partitions: Final = frozenset(int(name) for name in fields if name.isdigit())
        self.complete: Final = _complete(fields, epoch)
        self.n_remaining: Final = sum(int(count) for name, count in fields.items() if name.startswith(_LEFT))
        self.checks: Final = int(fields.get(_CHECKS, 0))
        self.is_current: Final = fields.get(_EPOCH) == epoch


class RepublicationRequest:
    """Begins a new epoch, so that the workers publish all lists again, and follows it.

    Parameters
    ----------
    server
        Where Redis is; or its URL, ``redis://host:port/db``.

    Raises
    ------
    ValueError
        If the URL is invalid.
    PublisherUnavailableError
        If Redis is unavailable or refuses writes; by each method, too.
    """

    def __init__(self, server: str | RedisServer, timeout: float = 2.0) -> None:
        self._server = parse_redis(server)
        with explain_refusals(self._server):
            self._redis = open_connection(self._server, timeout)
        self._epoch = ""

    def begin(self) -> RepublicationState:
        """Begin a new epoch, and return the state before any worker noticed."""
        self._epoch = _new_epoch()
        with explain_refusals(self._server):
            self._redis.hset(SENTINEL_KEY, _EPOCH, self._epoch)
        return self.state()

    def state(self) -> RepublicationState:
        """The progress of the workers."""
        with explain_refusals(self._server):
            fields: Any = self._redis.hgetall(SENTINEL_KEY)
        return RepublicationState(fields, self._epoch)

    def close(self) -> None:
        """Close the connection."""
        close_blocking(self._redis)


def _new_epoch() -> str:
    return uuid.uuid4().hex


def _complete(fields: dict[str, str], epoch: str) -> frozenset[int]:
    return frozenset(int(name) for name, value in fields.items() if name.isdigit() and value == epoch)
