"""Create, check and list the topics of the catalog."""

import contextlib
import sys
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.table import Table

from stream_app.errors import UserError
from stream_app.settings import load_settings
from stream_app.tools.cli.topics import CreateOptions
from topics import admin, broker_client, topic_checks


def create(options: CreateOptions) -> None:
    """Create missing topics, then compare all with the catalog."""
    settings = load_settings(partitions=options.partitions, replication=options.replication)
    specs = settings.topics
    with as_user_errors():
        created = admin.create(
            specs, settings.kafka, partitions=settings.partitions, replication=settings.replication
        )
        for name in created:
            typer.echo(f"created {name}")
        typer.echo(f"{len(created)} created, {len(specs) - len(created)} existed already")
        _print_problems(admin.check(specs, settings.kafka))


def check() -> None:
    """Compare all topics with the catalog; exit status 1 on a difference."""
    settings = load_settings()
    specs = settings.topics
    with as_user_errors():
        _print_problems(admin.check(specs, settings.kafka))
    typer.echo(f"all {len(specs)} topics match the catalog")


def list_topics() -> None:
    """Print the catalog, with the partitions of each topic on the broker."""
    settings = load_settings()
    specs = settings.topics
    broker_error = ""
    try:
        states = admin.describe(specs, settings.kafka)
    except broker_client.BrokerUnavailableError as error:
        # The catalog can be listed without a broker.
        states, broker_error = [topic_checks.TopicState(spec=spec) for spec in specs], str(error)
    except broker_client.TopicAdminError as error:
        raise UserError(str(error)) from None
    table = Table("topic", "partitions", "key", "cleanup", "purpose", box=None, pad_edge=False)
    for state in states:
        missing = "?" if broker_error else "[red]denied[/red]" if state.is_denied else "[red]missing[/red]"
        partitions = missing if state.partitions is None else str(state.partitions)
        spec = state.spec
        table.add_row(spec.name, partitions, spec.key, str(spec.cleanup), spec.purpose)
    # In a file or pipe each topic takes one line.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if broker_error:
        raise UserError(broker_error)


@contextlib.contextmanager
def as_user_errors() -> Iterator[None]:
    """Raise the errors of `topics.admin` as `UserError`."""
    try:
        yield
    except (broker_client.BrokerUnavailableError, broker_client.TopicAdminError) as error:
        raise UserError(str(error)) from None


def _print_problems(problems: list[topic_checks.Problem]) -> None:
    for problem in problems:
        typer.echo(f"{problem} -> {problem.remedy}")
    if problems:
        raise typer.Exit(1)
