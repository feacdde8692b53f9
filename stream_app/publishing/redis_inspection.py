"""The Redis checks of `headrace doctor`: connection, write access, memory limits, clock."""

import time
from collections.abc import Callable
from uuid import uuid4

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from stream_app.publishing.redis_connection import open_connection


class RedisUnreachableError(ConnectionError):
    """Redis does not answer, or refuses the connection; the message is the reason given by Redis or the network."""


class RedisReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an inspection.

    Attributes
    ----------
    write_error
        Why a key of our namespace could not be written, read and deleted; empty if it could.
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
                write_error=_try_write(connection),
                maxmemory=int(info.get("maxmemory", 0)),
                maxmemory_policy=str(info.get("maxmemory_policy", "unknown")),
                clock_skew=clock_skew,
            )
        except (RedisError, OSError) as error:
            raise RedisUnreachableError(str(error)) from None


def _try_write(connection: Redis) -> str:
    key = f"recs:doctor:{{{uuid4().hex}}}"
    try:
        connection.set(key, "1", ex=10)
        read = connection.get(key)
        connection.delete(key)
    except RedisError as error:
        return str(error)
    return "" if read == "1" else "the value read differs from the value written"
