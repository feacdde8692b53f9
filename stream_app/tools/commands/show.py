"""Read one list from Redis and print it."""

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_app.client import Client, ClientUnavailableError
from stream_app.client import redis_contract as contract
from stream_app.client.redis_reasons import unusable
from stream_app.errors import UserError
from stream_app.settings import Settings, load_settings
from stream_app.tools.cli.show import ListKind, ShowOptions
from stream_app.tools.reasons import sentence
from topics.records import RecommendationList

_KEYS = {
    ListKind.USER: contract.user_key,
    ListKind.ITEM: contract.item_key,
    ListKind.POPULAR: contract.popular_key,
    ListKind.SEARCH: contract.search_key,
    ListKind.QUERY: contract.query_key,
}
_WHEN_PUBLISHED = {
    ListKind.USER: "Lists appear when events of that user arrive",
    ListKind.ITEM: "Lists appear when events of that item arrive",
    ListKind.POPULAR: "Lists appear when events of that segment arrive",
    ListKind.SEARCH: "Search lists appear when that user searches",
    ListKind.QUERY: "Query lists appear when users choose an item after that search query",
}


def run(options: ShowOptions) -> None:
    """Print the list as a table, or as JSON.

    Raises
    ------
    UserError
        If Redis does not answer or has no such list.
    """
    settings = load_settings()
    key = _KEYS[options.kind](options.identifier)
    document = _read(options, key, settings)
    if document is None:
        raise UserError(
            f"Redis holds no list at {key}. {_WHEN_PUBLISHED[options.kind]}, and expire "
            f"after {settings.list_ttl / 86_400:g} days; `headrace doctor` checks the path."
        )
    if options.as_json:
        typer.echo(contract.encode_list(document).decode())
        return
    query_suffix = f"  for {document.query!r}" if isinstance(document, contract.SearchList) else ""
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


def _read(options: ShowOptions, key: str, settings: Settings) -> RecommendationList | None:
    try:
        with Client(settings.redis_server, timeout=2.0) as client:
            if options.kind is ListKind.SEARCH:
                return client.last_search(options.identifier)
            if options.kind is ListKind.QUERY:
                return client.query(options.identifier)
            return client.read_key(key)
    except ClientUnavailableError as error:
        raise UserError(str(unusable(error.__cause__ or error, settings.redis_server))) from None
    except ValueError as error:
        raise UserError(f"HEADRACE_REDIS: {error}.") from None
