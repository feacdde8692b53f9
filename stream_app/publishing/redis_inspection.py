"""The Redis checks of `headrace doctor`: connection, rights, memory limits, clock."""

import time
from collections.abc import Callable
from hashlib import sha1
from typing import Any, Final
from uuid import uuid4

import msgspec
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from stream_app.publishing.redis_connection import open_connection, refusal

_STATE_KEY: Final = "headrace:doctor"
_SCRIPT: Final = """
local value = redis.call('GETRANGE', KEYS[1], 0, -1)
redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]), 'PX', 10000)
return value
"""


class RedisUnreachableError(ConnectionError):
    """Redis does not answer, or refuses the connection; the message is the reason given by Redis or the network."""


class RedisReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an inspection.

    Attributes
    ----------
    write_error
        Why Redis refused commands that a worker needs, on keys of our namespaces; empty if it refused none.
    maxmemory
        Memory limit of the server in bytes; 0 is unlimited.
    maxmemory_policy
        Eviction policy of the server at that limit.
    clock_skew
        Seconds by which its clock is ahead of ours.
    """

    version: str
    write_error: str
    maxmemory: int
    maxmemory_policy: str
    clock_skew: float


def inspect_redis(url: str, *, timeout: float = 2.0, clock: Callable[[], float] = time.time) -> RedisReport:
    """Inspect a Redis server.

    Parameters
    ----------
    url
        ``redis://host:port/db``.
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
        connection = open_connection(url, timeout)
    except ValueError as error:
        raise RedisUnreachableError(str(error)) from None
    with connection:
        try:
            requested_at = clock()
            server_seconds, micros = connection.time()
            clock_skew = server_seconds + micros / 1e6 - (requested_at + clock()) / 2
            info = connection.info()
            return RedisReport(
                version=str(info.get("redis_version", "unknown")),
                write_error=_try_commands(connection),
                maxmemory=int(info.get("maxmemory", 0)),
                maxmemory_policy=str(info.get("maxmemory_policy", "unknown")),
                clock_skew=clock_skew,
            )
        except (RedisError, OSError) as error:
            raise RedisUnreachableError(str(error)) from None


def _try_commands(connection: Redis) -> str:
    """Execute each command of a worker, with keys that are removed again; return why some were refused."""
    key = f"recs:doctor:{{{uuid4().hex}}}"
    script = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
    commands: list[tuple[Any, ...]] = [
        ("SET", key, "1", "EX", 10),
        ("MGET", key),
        ("EVAL", _SCRIPT, 1, key),
        ("SCRIPT LOAD", _SCRIPT),
        ("EVALSHA", script, 1, key),
        ("GETRANGE", key, 0, -1),
        ("INCRBY", key, 1),
        ("HSETNX", _STATE_KEY, "epoch", "1"),
        ("HINCRBY", _STATE_KEY, "checks", 1),
        ("HSET", _STATE_KEY, "0", "1"),
        ("HGETALL", _STATE_KEY),
        ("HDEL", _STATE_KEY, "epoch", "checks", "0"),
        ("SCAN", 0, "MATCH", key, "COUNT", 1),
        ("GET", key),
        ("UNLINK", key),
    ]
    execute: Any = connection.execute_command
    reasons: dict[str, None] = {}
    for command in commands:
        try:
            reply = execute(*command)
        except ResponseError as error:
            reasons[refusal(error)] = None
            continue
        if command[0] == "GET" and reply != "2" and not reasons:
            reasons["the value read differs from the value written"] = None
    return "; ".join(reasons)
