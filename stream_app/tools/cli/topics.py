"""``headrace topics``: make the topics, compare them with the catalog, list them."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.errors import UserError
from stream_app.tools.cli import schemas

if TYPE_CHECKING:
    from topics import topic_checks


def register(cli: typer.Typer) -> None:
    """Add the group."""
    topics_cli = typer.Typer(
        no_args_is_help=True,
        help="The topics on the broker (HEADRACE_BROKER), and what is on them. "
        "`headrace topics create` makes them.",
    )
    cli.add_typer(topics_cli, name="topics")

    @topics_cli.command()
    def create(
        partitions: Annotated[
            int | None,
            typer.Option(min=1, help="Partitions of the topics it makes; by default HEADRACE_PARTITIONS."),
        ] = None,
        replication: Annotated[
            int | None,
            typer.Option(min=1, help="Copies of each partition; by default HEADRACE_REPLICATION."),
        ] = None,
    ) -> None:
        """Make the topics that are missing; those that are there stay as they are.

        The broker is HEADRACE_BROKER. Example: `headrace topics create --partitions 16`.
        """
        from stream_app.settings import load_settings  # noqa: PLC0415
        from topics import admin  # noqa: PLC0415
        from topics.catalog import catalog  # noqa: PLC0415

        settings = load_settings(partitions=partitions, replication=replication)
        specs = catalog(settings.app_id)
        with as_user_errors():
            created = admin.create(
                specs, settings.broker, partitions=settings.partitions, replication=settings.replication
            )
            for name in created:
                typer.echo(f"created {name}")
            typer.echo(f"{len(created)} created, {len(specs) - len(created)} were there already")
            _print_problems(admin.check(specs, settings.broker))

    @topics_cli.command()
    def check() -> None:
        """Compare the topics with the catalog; exit status 1 if any is missing or different.

        The broker is HEADRACE_BROKER; `headrace topics create` makes what is missing.
        """
        from stream_app.settings import load_settings  # noqa: PLC0415
        from topics import admin  # noqa: PLC0415
        from topics.catalog import catalog  # noqa: PLC0415

        settings = load_settings()
        specs = catalog(settings.app_id)
        with as_user_errors():
            _print_problems(admin.check(specs, settings.broker))
        typer.echo(f"all {len(specs)} topics are as the catalog says")

    @topics_cli.command(name="list")
    def list_topics() -> None:
        """List the catalog: what each topic is for, its key, and whether it is on the broker.

        The broker is HEADRACE_BROKER.
        """
        _print_list()

    schemas.register(topics_cli)


@contextlib.contextmanager
def as_user_errors() -> Iterator[None]:
    """Turn the errors of `topics.admin` into errors for people."""
    from topics import broker_client  # noqa: PLC0415

    try:
        yield
    except (broker_client.BrokerUnavailableError, broker_client.TopicAdminError) as error:
        raise UserError(str(error)) from None


def _print_list() -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from stream_app.settings import load_settings  # noqa: PLC0415
    from topics import admin, broker_client, topic_checks  # noqa: PLC0415
    from topics.catalog import catalog  # noqa: PLC0415

    settings = load_settings()
    specs = catalog(settings.app_id)
    broker_error = ""
    try:
        states = admin.describe(specs, settings.broker)
    except broker_client.BrokerUnavailableError as error:
        # The catalog can be read without a broker.
        states, broker_error = [topic_checks.TopicState(spec=spec) for spec in specs], str(error)
    except broker_client.TopicAdminError as error:
        raise UserError(str(error)) from None
    table = Table("topic", "partitions", "key", "cleanup", "purpose", box=None, pad_edge=False)
    for state in states:
        missing = "?" if broker_error else "[red]missing[/red]"
        partitions = missing if state.partitions is None else str(state.partitions)
        spec = state.spec
        table.add_row(spec.name, partitions, spec.key, str(spec.cleanup), spec.purpose)
    # Into a file or a pipe: one line a topic, however narrow that pretends to be.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if broker_error:
        raise UserError(broker_error)


def _print_problems(problems: "list[topic_checks.Problem]") -> None:
    for problem in problems:
        typer.echo(f"{problem} -> {problem.remedy}")
    if problems:
        raise typer.Exit(1)
