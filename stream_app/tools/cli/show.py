"""``headrace show``: print a list from Redis, with its reasons."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Show a published list with the reason of each item.\n\n"
    "\b\nExamples:\n"
    "  headrace show user user-17\n"
    "  headrace show popular country:FR\n"
    "  headrace show item i42\n"
    "  headrace show search user-17        the ranked results of their last search\n"
    '  headrace show query "red shoes"\n\n'
    "Redis is HEADRACE_REDIS."
)


class ListKind(StrEnum):
    """Which key of the contract."""

    USER = "user"
    ITEM = "item"
    POPULAR = "popular"
    SEARCH = "search"
    QUERY = "query"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowOptions:
    """Which list, and how to print it."""

    kind: Annotated[ListKind, typer.Argument(help="user, item, popular, search or query.")]
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="User (user, search), item, segment (all, country:FR, channel:web, category:shoes, user:new) or "
            "search query.",
        ),
    ] = "all"
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as it is in Redis.")] = False


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "show", "show:run", ShowOptions, help=HELP)
