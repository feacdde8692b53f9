"""Fold the log into new models, compare them with a snapshot, and store them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC
from typing import Any, Final

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from state.snapshots.files import StoreUnavailableError
from stream_app.errors import UserError
from stream_app.kafka.log_consumer import log_consumer
from stream_app.models.model_parts import fingerprint
from stream_app.ranking.assembly import make_models
from stream_app.settings import Settings, load_settings
from stream_app.tools.cli.rebuild import RebuildOptions
from stream_app.tools.commands.snapshots import format_utc
from stream_app.tools.console import print_table
from stream_app.tools.log_rebuild import ModelResult, OnProgress, Rebuild
from stream_app.tools.progress import progress_bar
from stream_app.worker.decay_controller import read_decay_record
from stream_app.worker.model_stores import make_model_store, store_location
from topics.broker_client import BrokerUnavailableError, TopicAdminError, denial
from topics.connection_fault import find_refusal

NOT_COMPARED: Final = 3
"""Exit status if no model could be compared."""


def run(options: RebuildOptions) -> None:
    """Rebuild the models; the exit status is the result of the comparison.

    Raises
    ------
    UserError
        If the broker or the store is unavailable, or the options exclude each other.
    """
    if options.keep and not options.write:
        raise UserError("--keep says what `--write` stores: give both.")
    if options.keep and options.until is not None:
        raise UserError(
            "--keep starts from the newest snapshot, which may be later than --until: give one of them."
        )
    settings = load_settings()
    # Its errors are those below.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        status = asyncio.run(_rebuild(settings, options))
    except StoreUnavailableError as error:
        raise UserError(f"{error}. Check HEADRACE_MODEL_STORE.") from None
    except (KafkaError, TimeoutError) as error:
        raise UserError(
            denial(settings.kafka, error)
            or find_refusal(settings.kafka)
            or f"The Kafka broker at {settings.kafka} does not answer ({type(error).__name__}). See HEADRACE_BROKER."
        ) from None
    except (BrokerUnavailableError, TopicAdminError) as error:
        raise UserError(str(error)) from None
    if status:
        raise typer.Exit(status)


async def _rebuild(settings: Settings, options: RebuildOptions) -> int:
    store = make_model_store(settings)
    until = None if options.until is None else options.until.replace(tzinfo=UTC).timestamp()
    own_fingerprint = fingerprint(make_models(settings.ranking_config))
    async with _consumer(settings) as consumer:
        rebuild = Rebuild(settings, consumer, store, until)
        await rebuild.open()
        rebuild.use_decay(await asyncio.to_thread(read_decay_record, settings.kafka))
        if options.keep:
            with _progress("learning what the newest snapshot lacks") as update:
                loaded = await rebuild.load(update)
            if not loaded.models.version:
                raise UserError(
                    f"--keep: there is no snapshot in {store_location(settings)} to keep anything of. Workers "
                    "without a shared HEADRACE_MODEL_STORE have one each, in their data folders: set "
                    "HEADRACE_DATA_DIR or HEADRACE_MODEL_STORE to that of a worker, or leave out --keep."
                )
            relearned = "some parts" if loaded.relearning is not None else "no part"
            typer.echo(
                f"started from the newest snapshot in {store_location(settings)}; {relearned} had to be learned from "
                "the log's start"
            )
            results: list[ModelResult] = []
        else:
            results = await _compare(rebuild, own_fingerprint)
        if not options.write:
            _print_missed(rebuild)
            return _status(results)
        with _progress("reading to the log's end") as update:
            await rebuild.fold(update)
            await rebuild.follow(update)
        name = await asyncio.to_thread(rebuild.write, own_fingerprint)
    _print_missed(rebuild)
    typer.echo(
        f"stored as {name}: {rebuild.models.version:,} interactions. Workers with these settings load it at their "
        "next start; running workers are not changed."
    )
    return 0


async def _compare(rebuild: Rebuild, own_fingerprint: str) -> list[ModelResult]:
    snapshot = rebuild.find_snapshot(own_fingerprint)
    if snapshot is None:
        with _progress("folding the log") as update:
            await rebuild.fold(update)
        typer.echo("no snapshot to compare with: there is none in the store that is not later than the fold")
        results = []
    else:
        with _progress("folding the log") as update:
            results = await rebuild.compare(snapshot, update)
        typer.echo(f"compared with {snapshot.name} of {format_utc(snapshot.info.created)}")
        _print_results(results)
    typer.echo(f"folded {rebuild.models.version:,} interactions; digest {rebuild.models.digest()}")
    if rebuild.n_removed:
        typer.echo(
            f"Retention has removed {rebuild.n_removed:,} interactions from the log: the rebuilt models lack them, "
            "and a difference is expected. `--write --keep` takes over what the newest snapshot has of them."
        )
    return results


def _print_missed(rebuild: Rebuild) -> None:
    for topic, count in sorted(rebuild.n_missed.items()):
        typer.echo(
            f"Retention removed {count:,} records of {topic} while the log was read: the rebuilt models lack them, "
            "and a difference is expected. Raise retention.ms of the topic, and run the command again."
        )


def _print_results(results: list[ModelResult]) -> None:
    table = Table("model", "result", "digest of the log", "digest of the snapshot", box=None, pad_edge=False)
    for result in results:
        table.add_row(result.model, result.outcome, result.of_log, result.of_snapshot)
    print_table(table)


def _status(results: list[ModelResult]) -> int:
    """Exit status of the comparison.

    Examples
    --------
    >>> _status([ModelResult("popularity", "equal", "8a", "8a"), ModelResult("bpr", "not additive", "", "")])
    0
    >>> _status([ModelResult("bpr", "not additive", "", "")]) == NOT_COMPARED
    True
    """
    outcomes = {result.outcome for result in results}
    if "different" in outcomes:
        return 1
    return 0 if "equal" in outcomes else NOT_COMPARED


@contextlib.asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[Any]:
    consumer = log_consumer(settings.kafka)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


@contextlib.contextmanager
def _progress(title: str) -> Iterator[OnProgress]:
    """A progress bar on standard error."""
    with progress_bar(Console(stderr=True), title, 100.0) as update:

        def on_progress(n_read: int, total: int) -> None:
            update(100.0 * n_read / max(1, total), f"{title}: {n_read:,} of {total:,} records")

        yield on_progress
