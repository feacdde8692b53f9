"""``headrace show``: a list from Redis, readable, with its reasons."""

from enum import StrEnum
from typing import Annotated

import typer

from topics.records import RecommendationList


class ListKind(StrEnum):
    """Which key of the contract."""

    USER = "user"
    ITEM = "item"
    POPULAR = "popular"
    SEARCH = "search"
    QUERY = "query"


_WHEN_PUBLISHED = {
    ListKind.USER: "Lists appear when events of that user arrive",
    ListKind.ITEM: "Lists appear when events of that item arrive",
    ListKind.POPULAR: "Lists appear when events of that segment arrive",
    ListKind.SEARCH: "Search lists appear when that user searches",
    ListKind.QUERY: "Query lists appear when people choose something after a search for these words",
}


def register(cli: typer.Typer) -> None:
    """Add the command."""

    @cli.command()
    def show(
        kind: Annotated[ListKind, typer.Argument(help="user, item, popular, search or query.")],
        identifier: Annotated[
            str,
            typer.Argument(
                metavar="ID",
                help="Shopper (user, search), item, segment (all, country:FR, channel:web, category:shoes) "
                "or search words.",
            ),
        ] = "all",
        as_json: Annotated[bool, typer.Option("--json", help="The document as it stands in Redis.")] = False,
    ) -> None:
        """Show a published list with its reasons.

        Examples: `headrace show user visitor-17`, `headrace show popular country:FR`, `headrace show item i42`,
        `headrace show search visitor-17` (the order of their last search), `headrace show query "red shoes"`.
        """
        from stream_app.client import Client, ClientUnavailableError  # noqa: PLC0415
        from stream_app.client import redis_contract as contract  # noqa: PLC0415
        from stream_app.errors import UserError  # noqa: PLC0415
        from stream_app.settings import load_settings, without_password  # noqa: PLC0415

        settings = load_settings()
        key = {
            ListKind.USER: contract.user_key,
            ListKind.ITEM: contract.item_key,
            ListKind.POPULAR: contract.popular_key,
            ListKind.SEARCH: contract.search_key,
            ListKind.QUERY: contract.query_key,
        }[kind](identifier)
        try:
            with Client(settings.redis, timeout=2.0) as client:
                document: RecommendationList | None
                if kind is ListKind.SEARCH:
                    document = client.last_search(identifier)
                elif kind is ListKind.QUERY:
                    document = client.query(identifier)
                else:
                    document = client.read_key(key)
        except ClientUnavailableError as error:
            raise UserError(
                f"No Redis answers at {without_password(settings.redis)} ({error}). Start one, or set HEADRACE_REDIS."
            ) from None
        except ValueError as error:
            raise UserError(f"HEADRACE_REDIS: {error}.") from None
        if document is None:
            raise UserError(
                f"Redis holds no list at {key}. {_WHEN_PUBLISHED[kind]}, and expire "
                f"after {settings.list_ttl / 86_400:g} days; `headrace doctor` checks the path."
            )
        if as_json:
            typer.echo(contract.encode_list(document).decode())
            return
        query_suffix = f"  for {document.query!r}" if isinstance(document, contract.SearchList) else ""
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        from stream_app.tools.reasons import sentence  # noqa: PLC0415

        table = Table("rank", "item", "score", "why", box=None, pad_edge=False)
        for rank, item in enumerate(document.items, start=1):
            table.add_row(str(rank), Text(item.id), f"{item.score:.4f}", Text(sentence(item.why)))
        console = Console()
        console.print(
            Text(
                f"{key}{query_suffix}  generated {document.generated_at} by {document.policy}, "
                f"models at {document.model_version} interactions, list {document.list_id}"
            )
        )
        console.print(table)
