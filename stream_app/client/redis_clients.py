"""Makes the clients of redis-py, blocking and asyncio, for each mode of `RedisServer`."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.backoff import NoBackoff
from redis.connection import URL_QUERY_ARGUMENT_PARSERS
from redis.retry import Retry

from stream_app.redis_server import RedisServer

_SENTINEL_SHARE: Final = 0.5
"""Of the timeout, for all Sentinels together: one that is down must not use up the time of the others."""


class _SentinelConnection(redis.sentinel.SentinelManagedConnection):
    """Closed after an error, as redis-py's others are: a late reply would be taken for that of the next command."""

    def read_response(self, *arguments: Any, disconnect_on_error: bool | None = True, **options: Any) -> Any:
        return super().read_response(*arguments, disconnect_on_error=disconnect_on_error, **options)


class _SentinelTlsConnection(_SentinelConnection, redis.sentinel.SentinelManagedSSLConnection):
    """The same with TLS."""


class _Sentinel(redis.sentinel.Sentinel):
    """Names the reason of a Sentinel that does not answer as the cause of its error; redis-py has its class alone."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        failure: Exception | None = None
        for at, each in enumerate(self.sentinels):
            try:
                masters: Any = each.sentinel_masters()
            except (redis.ConnectionError, redis.TimeoutError) as error:
                failure = failure or error
                continue
            state = masters.get(service_name)
            if state and _is_master(self, state, service_name):
                self.sentinels[0], self.sentinels[at] = each, self.sentinels[0]
                return state["ip"], state["port"]
        raise redis.sentinel.MasterNotFoundError(f"no Sentinel names {service_name!r}") from failure


class _AsyncSentinel(redis.asyncio.sentinel.Sentinel):
    """As `_Sentinel`."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        failure: Exception | None = None
        for at, each in enumerate(self.sentinels):
            try:
                masters: Any = await each.sentinel_masters()
            except (redis.ConnectionError, redis.TimeoutError) as error:
                failure = failure or error
                continue
            state = masters.get(service_name)
            if state and _is_master(self, state, service_name):
                self.sentinels[0], self.sentinels[at] = each, self.sentinels[0]
                return state["ip"], state["port"]
        raise redis.asyncio.sentinel.MasterNotFoundError(f"no Sentinel names {service_name!r}") from failure


def _is_master(sentinel: Any, state: Mapping[str, Any], name: str) -> bool:
    return bool(sentinel.check_master_state(state, name))


class _Classes(NamedTuple):
    """Classes of redis-py, which has each twice."""

    redis: Any
    retry: Any
    cluster: Any
    cluster_node: Any
    sentinel: Any


_BLOCKING: Final = _Classes(
    redis.Redis, Retry, redis.cluster.RedisCluster, redis.cluster.ClusterNode, _Sentinel
)
_BLOCKING_SENTINEL: Final = {False: _SentinelConnection, True: _SentinelTlsConnection}
_ASYNCIO: Final = _Classes(
    redis.asyncio.Redis,
    redis.asyncio.retry.Retry,
    redis.asyncio.cluster.RedisCluster,
    redis.asyncio.cluster.ClusterNode,
    _AsyncSentinel,
)


def open_blocking(server: RedisServer, timeout: float, *, retries: int = 0, **options: Any) -> Any:
    """A blocking client; that of a cluster connects at once.

    Parameters
    ----------
    timeout
        Seconds of a connection attempt and of a reply.
    retries
        How often a command is tried again on a lost connection; of a cluster, after its nodes were asked anew.
    **options
        Further arguments of the connections.

    Raises
    ------
    ValueError
        If the server's parameters are invalid.
    RedisClusterException
        If no node of a cluster answers.
    """
    return _open(_BLOCKING, server, timeout, retries, options)


def open_asyncio(server: RedisServer, timeout: float, *, retries: int = 0, **options: Any) -> Any:
    """An asyncio client, as `open_blocking`; each connects with the first command."""
    return _open(_ASYNCIO, server, timeout, retries, options)


def _open(
    classes: _Classes, server: RedisServer, timeout: float, retries: int, options: Mapping[str, Any]
) -> Any:
    retry = classes.retry(NoBackoff(), retries, supported_errors=(redis.ConnectionError,))
    arguments = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": retry, **options}
    if server.mode == "standalone":
        return classes.redis.from_url(server.url, **_credentials(server), **_tls(server), **arguments)
    arguments = {**_credentials(server), **_parsed(server.parameters), **arguments}
    if server.is_tls:
        arguments |= {"ssl": True, **_tls(server)}
    if server.mode == "cluster":
        nodes = [classes.cluster_node(host, port) for host, port in server.addresses]
        return classes.cluster(startup_nodes=nodes, **arguments)
    sentinel = classes.sentinel(server.addresses, sentinel_kwargs=_of_sentinels(server, timeout), **arguments)
    kinds = {} if classes is _ASYNCIO else {"connection_class": _BLOCKING_SENTINEL[server.is_tls]}
    return sentinel.master_for(server.master, db=server.database, **kinds)


def close_blocking(client: Any) -> None:
    """Close a blocking client with its connections, those to Sentinels included."""
    client.close()
    for sentinel in _sentinels(client):
        sentinel.close()


async def close_asyncio(client: Any) -> None:
    """Close an asyncio client, likewise."""
    await client.aclose()
    for sentinel in _sentinels(client):
        await sentinel.aclose()


def _sentinels(client: Any) -> list[Any]:
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return list(manager.sentinels) if manager is not None else []


def _credentials(server: RedisServer) -> dict[str, Any]:
    user = {"username": server.username} if server.username else {}
    return user | ({"password": server.password.reveal()} if server.password else {})


def _tls(server: RedisServer) -> dict[str, Any]:
    files = {
        "ssl_ca_certs": server.ca_file,
        "ssl_certfile": server.certificate_file,
        "ssl_keyfile": server.key_file,
    }
    return {name: path for name, path in files.items() if path}


def _of_sentinels(server: RedisServer, timeout: float) -> dict[str, Any]:
    share = timeout * _SENTINEL_SHARE / len(server.addresses)
    arguments: dict[str, Any] = {"socket_timeout": share, "socket_connect_timeout": share}
    if server.is_tls:
        arguments |= {"ssl": True, **_tls(server)}
    if server.sentinel_username:
        arguments["username"] = server.sentinel_username
    if server.sentinel_password:
        arguments["password"] = server.sentinel_password.reveal()
    return arguments


def _parsed(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a URL as redis-py reads them from one."""
    parsed: dict[str, Any] = {}
    parsers: Mapping[str, Any] = URL_QUERY_ARGUMENT_PARSERS
    for name, text in parameters.items():
        try:
            parsed[name] = parsers.get(name, str)(text)
        except (TypeError, ValueError):
            raise ValueError(f"the parameter {name} of the URL is invalid") from None
    return parsed
