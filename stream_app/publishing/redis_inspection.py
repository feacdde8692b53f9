"""What `headrace doctor` asks of Redis: whether it answers, takes our keys, has room, and tells our time."""

import time
from collections.abc import Callable
from uuid import uuid4

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry


class RedisUnreachableError(ConnectionError):
    """Redis does not answer, or not to us; the message is the reason, in its own words."""


class RedisReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes
    ----------
    version
        Of the server.
    write_error
        Why a key in our namespace could not be written, read and deleted; empty if it could.
    maxmemory
        Bytes it may use; 0 is without limit.
    maxmemory_policy
        What it does once they are used.
    clock_skew
        Seconds its clock is ahead of ours.
    """

    version: str
    write_error: str
    maxmemory: int
    maxmemory_policy: str
    clock_skew: float


def inspect_redis(url: str, *, timeout: float = 2.0, clock: Callable[[], float] = time.time) -> RedisReport:
    """Ask a Redis how it is.

    Parameters
    ----------
    url
        ``redis://host:port/db``.
    timeout
        Patience for a connection and for each answer.
    clock
        Our time, seconds since the epoch.

    Raises
    ------
    RedisUnreachableError
        If it does not answer.
    """
    try:
        connection = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
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
    return "" if read == "1" else "a key read differs from what was written"
