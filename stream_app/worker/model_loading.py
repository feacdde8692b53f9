"""Starts the models from a snapshot."""

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from state.snapshots.model_store import ModelStore, Snapshot
from stream_app.models.model_parts import RestoredModels, fingerprint, restore_parts
from stream_app.models.model_set import ModelSet
from stream_app.worker.relearning import Positions, Relearning

_LOG: Final = logging.getLogger(__name__)


class LoadedModels(NamedTuple):
    """Models to start from.

    Attributes
    ----------
    models
        The models of the newest snapshot that fits them best; empty models if there is none.
    positions
        Next offsets to read; empty to read the logs from their starts.
    fingerprint
        Fingerprint of the configuration of the models.
    relearning
        The parts that the snapshot lacks, to be learned from the log; None if there are none.
    """

    models: ModelSet
    positions: Positions
    fingerprint: str
    relearning: Relearning | None = None


def snapshot_state(models: ModelSet, positions: Positions, topic_ids: Mapping[str, str]) -> dict[str, Any]:
    """Models and positions at one point in time, as data that shares no memory with them."""
    return {
        "models": models.state(),
        "positions": [[topic, at, offset] for (topic, at), offset in positions.items()],
        "topic_ids": dict(topic_ids),
    }


def load_models(
    make: Callable[[], ModelSet], store: ModelStore, topic_ids: Mapping[str, str] = MappingProxyType({})
) -> LoadedModels:
    """Start from the newest snapshot of the same configuration, else from the newest of all.

    From a snapshot of another configuration, all parts that fit are restored, and the others are learned from the
    log. A copy of that snapshot is kept if a part of it cannot be used.

    Parameters
    ----------
    make
        Makes empty models.
    topic_ids
        Id by topic. A topic that was made anew since the snapshot is read from its start; watermarks drop what the
        models know.

    Raises
    ------
    state.snapshots.files.StoreUnavailableError
        If the store cannot be read.
    """
    own_fingerprint = fingerprint(make())
    snapshot = store.newest(own_fingerprint) or store.newest()
    if snapshot is None:
        return LoadedModels(make(), {}, own_fingerprint)
    restored = _restore(make, store, snapshot)
    if restored is None:
        return LoadedModels(make(), {}, own_fingerprint)
    models, missing, unused = restored
    if missing or unused:
        store.keep(snapshot.name)
    relearning = None
    if missing:
        _LOG.warning(
            "learning %s from the log, since it does not fit snapshot %s: %s",
            ", ".join(missing),
            snapshot.name,
            "; ".join(missing.values()),
        )
        relearning = Relearning(models, make, missing)
    positions, known_ids = positions_of(snapshot.state), dict(snapshot.state["topic_ids"])
    anew = {topic for topic, topic_id in topic_ids.items() if known_ids.get(topic, topic_id) != topic_id}
    for topic in sorted(anew):
        _LOG.warning(
            "topic %s was made anew since snapshot %s; reading it from its start", topic, snapshot.name
        )
    return LoadedModels(
        models,
        {at: offset for at, offset in positions.items() if at[0] not in anew},
        own_fingerprint,
        relearning,
    )


def _restore(make: Callable[[], ModelSet], store: ModelStore, snapshot: Snapshot) -> RestoredModels | None:
    """The parts of a snapshot; None with a warning if no part can be used."""
    try:
        positions_of(snapshot.state)
        dict(snapshot.state["topic_ids"])
        return restore_parts(make, snapshot.state["models"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _LOG.warning("snapshot %s is incompatible; rebuilding models from the log: %s", snapshot.name, error)
        store.keep(snapshot.name)
        return None


def positions_of(state: Mapping[str, Any]) -> Positions:
    """The positions in the state of a snapshot."""
    return {(str(topic), int(at)): int(offset) for topic, at, offset in state["positions"]}
