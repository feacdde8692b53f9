"""The rights that a worker's user needs in the ACL of Redis, and a try of each.

The names are those of ``ACL SETUSER``: ``+get`` is a command, ``~recs:*`` are keys. docs/security.md lists them.
"""

from collections.abc import Callable, Iterator
from hashlib import sha1
from typing import Any, Final
from uuid import uuid4

from redis.exceptions import AskError, NoPermissionError, NoScriptError, ResponseError

from stream_app.client.redis_reasons import is_forbidden, refusal

KEY_RIGHTS: Final = {"recs:": "~recs:*", "headrace:": "~headrace:*"}
_SCRIPT: Final = "return redis.call('GETRANGE', KEYS[1], 0, -1)"
_SCRIPT_DIGEST: Final = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_KEY_SECONDS: Final = 10
"""If the process is killed meanwhile, Redis removes the keys."""


def right_of(command: str) -> str:
    """The right to execute a command.

    Examples
    --------
    >>> right_of("SCRIPT LOAD")
    '+script|load'
    """
    return "+" + command.lower().replace(" ", "|")


def missing_rights(execute: Callable[..., Any], *, tag: str) -> Iterator[tuple[str, str]]:
    """Execute each command of a worker on one server, with keys that are removed again.

    Parameters
    ----------
    execute
        Executes a command on the server.
    tag
        Hash tag of the keys: in a cluster, of a slot of this server.

    Yields
    ------
    tuple
        A right that is missing, and why a command was refused for another reason; one of both is empty.
    """
    name = uuid4().hex
    key, state = f"recs:doctor:{{{tag}}}:{name}", f"headrace:doctor:{{{tag}}}:{name}"
    commands: tuple[tuple[Any, ...], ...] = (
        ("SET", key, "1", "EX", _KEY_SECONDS),
        ("GET", key),
        ("MGET", key),
        ("GETRANGE", key, 0, -1),
        ("EVAL", _SCRIPT, 1, key),
        ("SCRIPT LOAD", _SCRIPT),
        ("EVALSHA", _SCRIPT_DIGEST, 1, key),
        ("INCRBY", key, 1),
        ("SET", f"{state}:n", "1", "EX", _KEY_SECONDS),
        ("UNLINK", f"{state}:n"),
        ("HSETNX", state, "epoch", "1"),
        ("HINCRBY", state, "checks", 1),
        ("HSET", state, "0", "1"),
        ("HGETALL", state),
        ("HDEL", state, "epoch", "checks", "0"),
        ("SCAN", 0, "MATCH", key, "COUNT", 1),
        ("GET", key),
        ("UNLINK", key),
    )
    refused = False
    for command in commands:
        try:
            reply = execute(*command)
        except NoScriptError:  # the script could not be loaded, which is reported by itself
            continue
        except NoPermissionError as error:
            refused = True
            yield _missing(str(error), command), ""
        except AskError:  # as MOVED: this is a node of a cluster
            raise
        except ResponseError as error:
            refused = True
            if not is_forbidden(error):  # a command of the script, which is tried by itself
                yield "", refusal(error)
        else:
            if command[0] == "GET" and reply not in {"1", "2"} and not refused:
                yield "", "the value read differs from the value written"


def _missing(text: str, command: tuple[Any, ...]) -> str:
    """The right whose lack an error tells of; Redis checks the command before its keys."""
    if "key" not in text.replace(str(command[1]), ""):
        return right_of(command[0])
    keys = [part for part in command if isinstance(part, str) and part.startswith(tuple(KEY_RIGHTS))]
    return next(right for prefix, right in KEY_RIGHTS.items() if keys and keys[0].startswith(prefix))
