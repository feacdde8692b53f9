"""The Redis checks of `headrace doctor`: connection, rights, memory limits, clock; of a cluster, at each primary."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec
from redis.exceptions import NoPermissionError

from stream_app.client.redis_clients import close_blocking
from stream_app.client.redis_reasons import REDIS_ERRORS, unusable
from stream_app.publishing.redis_connection import open_connection
from stream_app.publishing.redis_node_checks import tag_of
from stream_app.publishing.redis_rights import missing_rights
from stream_app.redis_server import RedisServer, parse_redis

_UNKNOWN: Final = "unknown"


class RedisUnreachableError(ConnectionError):
    """Redis does not answer, or refuses the connection.

    Attributes
    ----------
    remedy
        What to do.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy: Final = remedy


class RedisReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an inspection; of a cluster, the worst of its primaries.

    Attributes
    ----------
    n_nodes
        Number of servers that were inspected.
    missing_rights
        What the ACL of Redis must grant, in the words of ``ACL SETUSER``, such as ``+getrange`` and ``~recs:*``.
    write_error
        Why Redis refused commands that a worker needs for other reasons; empty if it refused none.
    maxmemory
        Memory limit of the server in bytes; 0 is unlimited, None unknown.
    maxmemory_policy
        Eviction policy of the server at that limit.
    clock_skew
        Seconds by which its clock is ahead of ours; None if it is unknown.
    """

    version: str
    n_nodes: int
    missing_rights: tuple[str, ...]
    write_error: str
    maxmemory: int | None
    maxmemory_policy: str
    clock_skew: float | None


class _Node(NamedTuple):
    """A server, and a hash tag of its keys."""

    connection: Any
    tag: str


def inspect_redis(
    server: str | RedisServer, *, timeout: float = 2.0, clock: Callable[[], float] = time.time
) -> RedisReport:
    """Inspect a Redis server, each primary of a cluster, or the master that Sentinels name.

    Parameters
    ----------
    server
        Where Redis is; or its URL, ``redis://host:port/db``.
    timeout
        Seconds to wait for a connection and for each reply.
    clock
        Seconds since the epoch.

    Raises
    ------
    RedisUnreachableError
        If the server does not answer.
    """
    try:
        server = parse_redis(server)
    except ValueError as error:
        raise RedisUnreachableError(f"HEADRACE_REDIS: {error}", "correct it") from None
    try:
        client = open_connection(server, timeout)
        try:
            nodes = _nodes(client) if server.mode == "cluster" else [_the_only(client)]
            return _combined([_inspect(node, clock) for node in nodes])
        finally:
            close_blocking(client)
    except REDIS_ERRORS as error:
        found = unusable(error, server)
        if found.is_known:
            remedy = "correct it; docs/security.md has all settings of Redis"
            raise RedisUnreachableError(f"{server} cannot be used: {found.reason}", remedy) from None
        message = f"no answer from {server} ({found.reason})"
        raise RedisUnreachableError(message, "start one, or set HEADRACE_REDIS") from None


def _the_only(client: Any) -> _Node:
    with suppress(NoPermissionError):  # which the try of the rights finds again
        # Of two slots: a node of a cluster refuses it, also the only one.
        client.execute_command("MGET", "recs:doctor:{a}", "recs:doctor:{b}")
    return _Node(client, "doctor")


def _nodes(client: Any) -> list[_Node]:
    slots: dict[str, int] = {}
    for slot, owners in client.nodes_manager.slots_cache.items():
        slots.setdefault(owners[0].name, slot)
    return [
        _Node(client.get_redis_connection(node), tag_of(slots[node.name]))
        for node in client.get_primaries()
        if node.name in slots
    ]


def _inspect(node: _Node, clock: Callable[[], float]) -> RedisReport:
    connection = node.connection
    rights: dict[str, None] = {}
    reasons: dict[str, None] = {}
    for right, reason in missing_rights(connection.execute_command, tag=node.tag):
        (rights if right else reasons)[right or reason] = None
    clock_skew, info = None, {}
    try:
        requested_at = clock()
        server_seconds, micros = connection.time()
        clock_skew = server_seconds + micros / 1e6 - (requested_at + clock()) / 2
    except NoPermissionError:
        rights["+time"] = None
    try:
        info = connection.info()
    except NoPermissionError:
        rights["+info"] = None
    return RedisReport(
        version=str(info.get("redis_version", _UNKNOWN)),
        n_nodes=1,
        missing_rights=tuple(rights),
        write_error="; ".join(reasons),
        maxmemory=int(info.get("maxmemory", 0)) if info or "+info" not in rights else None,
        maxmemory_policy=str(info.get("maxmemory_policy", _UNKNOWN)),
        clock_skew=clock_skew,
    )


def _combined(reports: Sequence[RedisReport]) -> RedisReport:
    if len(reports) == 1:
        return reports[0]
    limits = [each.maxmemory for each in reports if each.maxmemory is not None]
    skews = [each.clock_skew for each in reports if each.clock_skew is not None]
    return RedisReport(
        version=_distinct(each.version for each in reports),
        n_nodes=len(reports),
        missing_rights=tuple(dict.fromkeys(right for each in reports for right in each.missing_rights)),
        write_error="; ".join(dict.fromkeys(each.write_error for each in reports if each.write_error)),
        maxmemory=min(limits) if limits else None,
        maxmemory_policy=_distinct(each.maxmemory_policy for each in reports),
        clock_skew=max(skews, key=abs) if skews else None,
    )


def _distinct(values: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(values))
