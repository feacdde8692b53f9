"""The stores of snapshots and checkpoints that the settings name."""

from collections.abc import Callable

from state.checkpoint_store import CheckpointStore
from state.snapshots.files import SnapshotFiles
from state.snapshots.remote_files import StoreLocationError, open_files
from state.snapshots.store import SnapshotStore
from stream_app.errors import UserError
from stream_app.settings import Settings


def store_location(settings: Settings) -> str:
    """Where the snapshots of the models are: that of the settings, else a folder of the data folder."""
    return settings.model_store or str(settings.data_dir / "models")


def make_model_store(settings: Settings, on_set_aside: Callable[[], None] = lambda: None) -> SnapshotStore:
    """Open the store.

    Parameters
    ----------
    on_set_aside
        Called when a damaged snapshot was set aside.

    Raises
    ------
    UserError
        If the location is invalid, or a package that it needs is not installed.
    """
    return SnapshotStore(_open(store_location(settings)), settings.max_snapshots, on_set_aside)


def make_checkpoint_store(settings: Settings) -> CheckpointStore:
    """Open the store of the two-tower model's checkpoints: a folder of the store of the snapshots.

    Raises
    ------
    UserError
        As for the snapshots.
    """
    return CheckpointStore(_open(f"{store_location(settings).rstrip('/')}/two-tower"))


def make_trainer_store(settings: Settings) -> SnapshotStore:
    """Open the store of the trainer's own snapshots: another folder there, for whichever trainer is elected next.

    Raises
    ------
    UserError
        As for the snapshots of the models.
    """
    return SnapshotStore(_open(f"{store_location(settings).rstrip('/')}/trainer"), settings.max_snapshots)


def _open(location: str) -> SnapshotFiles:
    try:
        return open_files(location)
    except StoreLocationError as error:
        raise UserError(f"HEADRACE_MODEL_STORE: {error}.") from None
