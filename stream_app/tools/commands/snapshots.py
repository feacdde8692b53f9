"""List, verify and restore the snapshots of the models."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import typer
from rich.markup import escape
from rich.table import Table

from state.snapshots.encoding import SnapshotError
from state.snapshots.files import StoreUnavailableError
from state.snapshots.model_store import SnapshotEntry
from state.snapshots.names import DAMAGED_SUFFIX, KEPT_SUFFIX
from state.snapshots.store import SnapshotStore
from stream_app.errors import UserError
from stream_app.models.model_parts import fingerprint
from stream_app.ranking.assembly import make_models
from stream_app.settings import Settings, load_settings
from stream_app.tools.cli.snapshots import RestoreOptions
from stream_app.tools.console import print_table
from stream_app.worker.model_stores import make_model_store


def list_snapshots() -> None:
    """Print the snapshots, newest first."""
    settings = load_settings()
    with _opened(settings) as store:
        entries = store.entries()
        _print_entries(store, entries, fingerprint(make_models(settings.ranking_config)))


def verify() -> None:
    """Read all snapshots; exit status 1 if any is damaged."""
    with _opened(load_settings()) as store:
        entries = store.entries(verify=True)
        for entry in entries:
            typer.echo(f"{entry.name}: {entry.error or 'sound'}")
        n_damaged = sum(bool(entry.error) for entry in entries)
        typer.echo(f"{len(entries) - n_damaged} of {len(entries)} snapshots in {store.location} are sound")
    if n_damaged:
        raise typer.Exit(1)


def restore(options: RestoreOptions) -> None:
    """Copy a snapshot to be the newest.

    Raises
    ------
    UserError
        If there is no such snapshot, or it is damaged.
    """
    settings = load_settings()
    with _opened(settings) as store:
        try:
            copy = store.restore(options.name)
        except FileNotFoundError:
            raise UserError(
                f"There is no snapshot {options.name} in {store.location}; `headrace snapshots list` lists all."
            ) from None
        except SnapshotError as error:
            raise UserError(
                f"The snapshot {options.name} cannot be restored: {error}. `headrace snapshots verify` names those "
                "that can."
            ) from None
        restored = next(entry for entry in store.entries() if entry.name == copy)
    typer.echo(f"restored as {copy}")
    own = fingerprint(make_models(settings.ranking_config))
    configuration = restored.info.fingerprint if restored.info is not None else ""
    if configuration not in ("", own):
        typer.echo(
            f"It has the models' configuration {configuration}, these settings have {own}: workers with these "
            "settings start from it only if no snapshot of theirs is left; set HEADRACE_MODELS, "
            "HEADRACE_MODEL_PARAMETERS and the other settings of the models as they were."
        )
    typer.echo(
        "Restart the workers one by one: each loads it and reads the log from its positions on. Running workers are "
        "not changed; what they write until then stays older."
    )


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[SnapshotStore]:
    """The store of the settings; errors of the store are those of a user."""
    store = make_model_store(settings)
    try:
        yield store
    except StoreUnavailableError as error:
        raise UserError(f"{error}. Check HEADRACE_MODEL_STORE.") from None
    except OSError as error:
        raise UserError(f"{store.location} cannot be used: {error.strerror or error}.") from None


def _print_entries(store: SnapshotStore, entries: list[SnapshotEntry], own_fingerprint: str) -> None:
    table = Table(
        "name", "time", "size", "format", "configuration", "positions", "state", box=None, pad_edge=False
    )
    for entry in entries:
        info = entry.info
        configuration = info.fingerprint if info is not None else ""
        mark = " (these settings)" if configuration == own_fingerprint else ""
        table.add_row(
            entry.name,
            format_utc(entry.time),
            f"{entry.size / 1e6:,.1f} MB",
            str(info.format) if info is not None else "?",
            f"{configuration or 'unknown'}{mark}",
            _describe_positions(entry),
            escape(_describe_state(entry)),
        )
    print_table(table)
    typer.echo(f"{len(entries)} snapshots in {store.location}")


def format_utc(seconds: float) -> str:
    """Seconds since the epoch as a date and a time.

    Examples
    --------
    >>> format_utc(1_700_000_000.5)
    '2023-11-14T22:13:20Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _describe_positions(entry: SnapshotEntry) -> str:
    """The next offsets, added up over the partitions of each topic."""
    offsets = Counter[str]()
    for topic, _, offset in entry.info.positions if entry.info is not None else ():
        offsets[topic] += offset
    return ", ".join(f"{topic} {offset:,}" for topic, offset in sorted(offsets.items())) or "unknown"


def _describe_state(entry: SnapshotEntry) -> str:
    if entry.name.endswith(DAMAGED_SUFFIX):
        return f"set aside: {entry.error or 'damaged'}"
    if entry.error:
        return entry.error
    return "kept" if entry.name.endswith(KEPT_SUFFIX) else "ok"
