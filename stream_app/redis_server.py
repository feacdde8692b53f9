"""Where Redis is and how to log in: one server, a cluster, or the master that Sentinels name."""

import re
from typing import Final, Literal, TypedDict
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

from topics.secret import Secret

RedisMode = Literal["standalone", "cluster", "sentinel"]

_SCHEMES: Final = ("redis", "rediss", "unix")
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s/:\[\]]*)(?::(\d{1,5}))?", re.ASCII)
_EXAMPLE: Final = "such as redis://cache:6379/0, or rediss://cache:6379/0 for TLS"
_SPECIAL: Final = "percent-encode special characters of its password, or set the password by itself"


class RedisOptions(TypedDict, total=False):
    """What an URL of Redis cannot say well; see `RedisServer`."""

    mode: RedisMode
    master: str
    username: str
    password: str | Secret
    ca_file: str
    certificate_file: str
    key_file: str
    sentinel_username: str
    sentinel_password: str | Secret


class RedisServer(msgspec.Struct, frozen=True, kw_only=True):
    """One Redis server, a Redis Cluster, or a master that Sentinels name; `parse_redis` makes it from a URL.

    Attributes
    ----------
    mode
        ``standalone``; ``cluster``, where `addresses` are of some of its nodes; ``sentinel``, where they are of the
        Sentinels.
    scheme
        ``redis``, ``rediss`` (TLS) or ``unix``.
    addresses
        Host and port, at least one; none with `path`.
    path
        The Unix socket; empty if there is none.
    parameters
        Further options of redis-py from the URL, such as ``health_check_interval``.
    master
        Name that the Sentinels have for the master.
    username, password
        Of the Redis user; empty for none.
    ca_file
        Certificates of the authorities that sign those of Redis; empty for those of this machine.
    certificate_file, key_file
        The client's certificate and its private key; empty for none.
    sentinel_username, sentinel_password
        Of the user of the Sentinels; empty for none.
    """

    mode: RedisMode = "standalone"
    scheme: str = "redis"
    addresses: tuple[tuple[str, int], ...] = ()
    path: str = ""
    database: int = 0
    parameters: dict[str, str] = {}
    master: str = "mymaster"
    username: str = ""
    password: Secret = Secret("")
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    sentinel_username: str = ""
    sentinel_password: Secret = Secret("")

    @property
    def is_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.scheme == "rediss"

    @property
    def url(self) -> str:
        """The URL without user and password; with the parameters, one of which may be a password."""
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.addresses
        )
        parameters = {"db": str(self.database), **self.parameters} if self.path else self.parameters
        query = f"?{urlencode(parameters)}" if parameters else ""
        return f"{self.scheme}://{hosts}{self.path or f'/{self.database}'}{query}"

    def __str__(self) -> str:
        address = self.url.partition("?")[0]
        if self.mode == "standalone":
            return address
        return f"{address} ({self.mode}{f' of {self.master}' if self.mode == 'sentinel' else ''})"

    def __repr__(self) -> str:
        return f"RedisServer({self})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("", str(self))]


def parse_redis(url: "str | RedisServer", **options: object) -> RedisServer:
    """Parse a URL of Redis.

    Parameters
    ----------
    url
        ``redis://user:password@host:port/database``, ``rediss://`` for TLS, ``unix://`` for a socket. A cluster or
        Sentinels may have several addresses: ``rediss://host:port,host:port``. A `RedisServer` is returned as it is.
    **options
        Attributes of `RedisServer`; they take precedence over the URL, unless they are empty.

    Raises
    ------
    ValueError
        If the URL is invalid, or does not suit the mode; the message has no password.

    Examples
    --------
    >>> parse_redis("rediss://ann:geheim@a:7000,b:7001", mode="cluster")
    RedisServer(rediss://a:7000,b:7001/0 (cluster))
    >>> parse_redis("redis://localhost/2").addresses
    (('localhost', 6379),)
    """
    if isinstance(url, RedisServer):
        return url
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ValueError(f"this is no URL of Redis, {_EXAMPLE}")
    mode = options.get("mode") or "standalone"
    rest, _, query = rest.partition("?")
    if "@" in query:
        raise ValueError(f"this is no URL of Redis: {_SPECIAL}")
    authority, _, path = rest.partition("/")
    if "@" in path:
        raise ValueError(f"this is no URL of Redis: {_SPECIAL}")
    userinfo, _, hosts = authority.rpartition("@")
    username, _, password = userinfo.partition(":")
    parameters = dict(parse_qsl(query))
    database = parameters.pop("db", "" if scheme == "unix" else path)
    if database and not database.isdecimal():
        raise ValueError("the database of the URL, after the last slash, is no number")
    fields: dict[str, object] = {
        "scheme": scheme,
        "addresses": () if scheme == "unix" else _addresses(hosts, 26_379 if mode == "sentinel" else 6_379),
        "path": f"/{path}" if scheme == "unix" else "",
        "database": int(database or 0),
        "username": unquote(username) or parameters.pop("username", ""),
        "password": unquote(password) or parameters.pop("password", ""),
        "parameters": parameters,
        **{name: value for name, value in options.items() if value},
    }
    for name in ("password", "sentinel_password"):
        if isinstance(value := fields.get(name), str):
            fields[name] = Secret(value)
    server = RedisServer(**fields)  # type: ignore[arg-type]
    _check(server)
    return server


def _addresses(hosts: str, default_port: int) -> tuple[tuple[str, int], ...]:
    found = []
    for text in hosts.split(","):
        match = _ADDRESS.fullmatch(text.strip())
        port = int(match[2] or default_port) if match else 0
        if match is None or not 0 < port < 65_536:
            # Not quoted: it may be a part of a password.
            raise ValueError(f"an address of the URL is not host:port, {_EXAMPLE}; {_SPECIAL}")
        found.append((unquote(match[1]).strip("[]") or "localhost", port))
    return tuple(found)


def _check(server: RedisServer) -> None:
    """Check that the parts suit each other."""
    if server.mode not in ("standalone", "cluster", "sentinel"):
        raise ValueError(f"the mode is standalone, cluster or sentinel, not {server.mode!r}")
    if server.mode == "standalone" and len(server.addresses) > 1:
        raise ValueError("the URL has several addresses: the mode must be cluster or sentinel")
    if server.mode != "standalone" and server.scheme == "unix":
        raise ValueError(f"the mode {server.mode} needs redis:// or rediss://")
    if server.mode == "cluster" and server.database:
        raise ValueError("a cluster has database 0 alone")
    files = {"CA file": server.ca_file, "certificate": server.certificate_file, "key": server.key_file}
    for name, path in files.items():
        if path and not server.is_tls:
            raise ValueError(f"there is a {name}, but the URL is not of TLS: let it begin with rediss://")
        if path:
            _check_file(name, path)
    if server.key_file and not server.certificate_file:
        raise ValueError("there is a key without a certificate")


def _check_file(name: str, path: str) -> None:
    try:
        with open(path, "rb"):  # noqa: PTH123  # a web tier may give a str
            pass
    except OSError as error:
        raise ValueError(f"the {name} {path} cannot be read: {error.strerror}") from None
