"""The users of docs/security.md, read from the page as an operator would copy them."""

import re
import shlex
from typing import Any, Final

from tests.support import ROOT

_SECTION: Final = (ROOT / "docs" / "security.md").read_text().split("\n## Redis\n")[1].split("\n## ")[0]
COMMANDS: Final = tuple(
    tuple(shlex.split(text.replace("\\\n", " ")))
    for text in re.findall(r"redis-cli ACL SETUSER ((?:[^\n]*\\\n)*[^\n]*)", _SECTION)
)
"""The arguments of each ``ACL SETUSER``: the worker, the web tier, and what a cluster needs besides."""

WORKER, WEB, WORKER_IN_CLUSTER, WEB_IN_CLUSTER = COMMANDS
SENTINEL: Final = tuple(shlex.split(re.findall(r"`ACL SETUSER (headrace-sentinel [^`]*)`", _SECTION)[0]))


def password_of(command: tuple[str, ...]) -> str:
    """The password that a command sets."""
    [password] = [part[1:] for part in command if part.startswith(">")]
    return password


def grant(redis: Any, *commands: tuple[str, ...]) -> None:
    """Execute the commands at a server."""
    for command in commands:
        redis.execute_command("ACL", "SETUSER", *command)
