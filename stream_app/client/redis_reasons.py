"""Why Redis does not answer or refuses: one sentence with the next step, without the content of a command.

Sentences name what to set in the words of the reader: `SETTINGS` for a worker and its commands, `ARGUMENTS` for a web
tier that makes its own client.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from redis.asyncio.sentinel import MasterNotFoundError as AsyncMasterNotFoundError
from redis.exceptions import (
    AskError,
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.sentinel import MasterNotFoundError

from stream_app.redis_server import RedisServer

REDIS_ERRORS: Final = (RedisError, RedisClusterException, OSError)
"""What redis-py raises if Redis does not answer or refuses."""

SETTINGS: Final[Mapping[str, str]] = {
    "url": "HEADRACE_REDIS",
    "mode": "HEADRACE_REDIS_MODE",
    "master": "HEADRACE_REDIS_MASTER",
    "username": "HEADRACE_REDIS_USERNAME",
    "password": "HEADRACE_REDIS_PASSWORD",
    "sentinel_username": "HEADRACE_REDIS_SENTINEL_USERNAME",
    "sentinel_password": "HEADRACE_REDIS_SENTINEL_PASSWORD",
    "ca": "HEADRACE_REDIS_CA",
    "certificate": "HEADRACE_REDIS_CERTIFICATE",
    "key": "HEADRACE_REDIS_KEY",
}
ARGUMENTS: Final[Mapping[str, str]] = {
    **{name: name for name in SETTINGS},
    "url": "the URL",
    "ca": "ca_file",
    "certificate": "certificate_file",
    "key": "key_file",
}

_NO_MASTER: Final = (MasterNotFoundError, AsyncMasterNotFoundError)
_LOGIN: Final = r"WRONGPASS|invalid username-password"
_NO_LOGIN: Final = (
    r"NOAUTH|Authentication required|HELLO must be called with the client already authenticated"
)
_CLOSED: Final = r"closed by server|reset by peer|EOF occurred|Broken pipe|closed its end"

_PATTERNS: Final[Mapping[str, str]] = {
    r"\bOOM\b": "Redis is full and refuses writes: raise its maxmemory, or remove other keys",
    r"READONLY|previous master is now a slave": "Redis is a read-only replica: {url} must lead to the primary",
    r"NOREPLICAS": "Redis has fewer replicas than its min-replicas-to-write and refuses writes",
    r"without any password configured": "Redis has no password for its default user: unset {password}, or set "
    "{username}",
    _LOGIN: "Redis refuses the login, since its user is unknown or the password is wrong or expired: set {username} "
    "and {password}",
    _NO_LOGIN: "Redis asks for a login: set {password}, and {username} for a user of its ACL",
    r"Cluster mode is not enabled": "Redis is no cluster: set {mode} to standalone, or to sentinel for Sentinels",
    r"unknown command '?SENTINEL": "this is a Redis and no Sentinel: give {url} the addresses of the Sentinels, or "
    "set {mode} to standalone",
    r"unknown command": "Redis does not know a command of Headrace: it is a Sentinel, for which {mode} must be "
    "sentinel, or older than Redis 6",
    r"CLUSTERDOWN|cluster is down|not covered|no available nodes": "a part of the cluster is down: bring its nodes "
    "back (`redis-cli cluster nodes`)",
    r"certificate has expired": "the certificate of Redis has expired: renew it",
    r"not yet valid": "the certificate of Redis is not valid yet: check the clocks of both machines",
    r"Hostname mismatch|IP address mismatch|doesn't match": "the certificate of Redis is for another host: {url} "
    "must have a name of the certificate (of a cluster or Sentinels also what the nodes announce), or the "
    "certificate must have this one",
    r"CERTIFICATE_VERIFY_FAILED": "the authority that signed the certificate of Redis is unknown: set {ca} to the "
    "file with its certificate",
    r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNEXPECTED_MESSAGE": "this port does not speak TLS: {url} must begin "
    "with redis://, or have the port for TLS",
    r"(?i)alert (unknown.ca|bad.certificate|certificate|unsupported.certificate|decrypt)": "Redis refuses the "
    "client's certificate, or asks for one: set {certificate} and {key} to one that its authority signed, and that "
    "has not expired",
    r"KEY_VALUES_MISMATCH": "{key} is not the key of {certificate}",
    r"NO_CERTIFICATE_OR_CRL_FOUND|NO_START_LINE|PEM lib|PEM routines": "{ca}, {certificate} or {key} is no file in "
    "PEM format",
}
_REASONS: Final = tuple((re.compile(pattern), sentence) for pattern, sentence in _PATTERNS.items())
_RIGHT: Final = re.compile(r"run the '([a-z|_-]+)' command")


def is_forbidden(error: BaseException) -> bool:
    """Whether the ACL of Redis refused a command, or one of a script."""
    text = str(error)
    # The latter two are of scripts, of Redis 7 and 6.
    return (
        isinstance(error, NoPermissionError)
        or "ACL failure in script" in text
        or "user executing the script can't" in text
    )


def refusal(error: BaseException, names: Mapping[str, str] = SETTINGS, *, tls: bool | None = None) -> str:
    """Say why Redis does not answer or refuses a command, and what to do.

    Parameters
    ----------
    names
        What is named in the sentence: `SETTINGS` or `ARGUMENTS`.
    tls
        Whether the connection is encrypted, if that is known.

    Examples
    --------
    >>> refusal(OutOfMemoryError("command not allowed"))
    'Redis is full and refuses writes: raise its maxmemory, or remove other keys'
    """
    return _known_reason(error, names) or _short(error) + _hint(error, names, tls=tls)


class Unusable(NamedTuple):
    """Why Redis cannot be used.

    Attributes
    ----------
    reason
        The reason, with the next step if it is known.
    is_known
        Whether it is known what is wrong, other than that Redis does not answer.
    """

    server: RedisServer
    reason: str
    is_known: bool

    def __str__(self) -> str:
        if self.is_known:
            return f"Redis at {self.server} cannot be used: {self.reason}."
        return f"No Redis answers at {self.server} ({self.reason}). Start one, or set HEADRACE_REDIS."


def unusable(error: BaseException, server: RedisServer) -> Unusable:
    """Why Redis cannot be used, for a user of a command; as text, it is one or two sentences with the next step."""
    reason = _known_reason(error, SETTINGS)
    return Unusable(server, reason or refusal(error, tls=server.is_tls), bool(reason))


def _known_reason(error: BaseException, names: Mapping[str, str]) -> str:
    chain = list(_chain(error))
    text = " ".join(map(str, chain))
    forbidden = next((each for each in chain if is_forbidden(each)), None)
    if forbidden is not None:
        found = _RIGHT.search(str(forbidden))
        right = f"; grant it by ACL SETUSER with +{found[1]}" if found else ""
        if found and found[1].startswith("cluster"):
            right += f", or set {names['mode']} to standalone if Redis is no cluster"
        return f"the ACL of Redis lacks a right that docs/security.md lists ({_short(forbidden)}){right}"
    if any(isinstance(each, AskError) for each in chain) or "same slot" in text:  # MOVED is one, too
        return f"Redis is a node of a cluster: set {names['mode']} to cluster"
    no_master = next((each for each in chain if isinstance(each, _NO_MASTER)), None)
    if no_master is not None:
        return _of_sentinels(text, no_master.__cause__, names)
    if any(isinstance(each, OutOfMemoryError) for each in chain):
        text = "OOM"
    elif any(isinstance(each, ReadOnlyError) for each in chain):
        text = "READONLY"
    for pattern, sentence in _REASONS:
        if pattern.search(text):
            return sentence.format_map(names)
    if any(isinstance(each, AuthenticationError) for each in chain):
        return f"Redis refuses the login ({_short(error)})"
    return ""


def _hint(error: BaseException, names: Mapping[str, str], *, tls: bool | None) -> str:
    """What may be wrong where a connection ends without a reason."""
    text = " ".join(map(str, _chain(error)))
    if tls and re.search(_CLOSED, text):
        return f"; if Redis asks for a client's certificate, set {names['certificate']} and {names['key']}"
    if tls and re.search("Timeout connecting|no reply within", text):
        return f"; if the port is not for TLS, {names['url']} must begin with redis://"
    if tls is False and re.search(_CLOSED, text):
        return f"; if Redis expects TLS, {names['url']} must begin with rediss://"
    return ""


def _of_sentinels(text: str, failure: BaseException | None, names: Mapping[str, str]) -> str:
    """Why Sentinels name no master, one of which may have failed."""
    if failure is None:
        return f"the Sentinels know no reachable master of that name: set {names['master']}, or wait for the failover"
    if re.search(f"{_LOGIN}|{_NO_LOGIN}", text):
        return f"the Sentinels refuse the login: set {names['sentinel_username']} and {names['sentinel_password']}"
    for pattern, sentence in _REASONS:
        if pattern.search(text):
            return "of the Sentinels: " + sentence.format_map(names)
    return (
        f"no Sentinel that answers names a master ({_short(failure)}): check the addresses in {names['url']}"
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(5):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _short(error: BaseException) -> str:
    """The text of an error without what redis-py puts around the reason."""
    return str(error).rpartition("reachable node: ")[2].removesuffix(".")
