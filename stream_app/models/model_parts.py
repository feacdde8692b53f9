"""The parts of a set of models, each of which is restored by itself.

A saved state may not fit a set: a hyperparameter differs, a model was added, a part is of a later version. Then all
other parts are restored. The rest is empty, and `stream_app.worker.relearning` learns it from the log.
"""

import json
from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

from stream_app.models.model_set import ModelSet
from stream_app.models.model_state import State, migrated
from stream_app.models.river_model import RiverModel
from stream_app.models.session_store_model import SessionStoreModel

ITEMS: Final = "items"
SESSIONS: Final = "sessions"
OUTLIERS: Final = "outliers"
SESSION_STORE: Final = "session_store"
_NO_STATE: Final = "the snapshot has no state of it"


class Part(Protocol):
    """What is saved and restored by itself: a model, a learner, the index of items."""

    def state(self) -> State:
        """Everything learned, as plain data."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state`; ValueError if it does not fit."""


class RestoredModels(NamedTuple):
    """Models with the parts of a state that fit.

    Attributes
    ----------
    missing
        The parts that are empty, and the reason.
    unused
        Saved parts that the models do not have.
    """

    models: ModelSet
    missing: dict[str, str]
    unused: list[str]


def parts_of(models: ModelSet) -> dict[str, Part]:
    """The parts by name, in the order in which they are restored; a model without a state of its own is none."""
    store: dict[str, Part] = {}
    for model in models.models:
        if isinstance(model, SessionStoreModel) and model.owns_store:
            store[SESSION_STORE] = model.store
    return {
        ITEMS: models.index,
        SESSIONS: models.tracker,
        OUTLIERS: models.outliers,
        **store,
        **{
            model.name: model
            for model in models.models
            if not model.is_trained_apart
            and not (isinstance(model, SessionStoreModel) and model.learns_only_the_store)
        },
        **{learner.name: learner for learner in models.learners},
    }


def fingerprint(models: ModelSet) -> str:
    """Hash of the names and hyperparameters of all parts, in hex.

    A state fits models with an equal fingerprint, unless a later version wrote it.

    Parameters
    ----------
    models
        Empty models: the state of others would be copied.

    Examples
    --------
    >>> fingerprint(ModelSet(["popularity"])) == fingerprint(ModelSet(["popularity"], half_life=60.0))
    False
    """
    headers = json.dumps(_headers(models.state()), sort_keys=True, default=str)
    return blake2b(headers.encode(), digest_size=5).hexdigest()


def _headers(state: Mapping[str, Any]) -> dict[str, Any]:
    """Names and parameters of a state and of the states in it, and the capacities of indices."""
    found: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, Mapping) and key != "parameters":
            inner = _headers(value)
            if inner:
                found[key] = inner
        elif key in ("name", "parameters", "capacity"):
            found[key] = value
    return found


def restore_parts(make: Callable[[], ModelSet], state: Mapping[str, Any]) -> RestoredModels:
    """Restore all parts that fit.

    Parameters
    ----------
    make
        Makes empty models; called again after a part that did not fit, since it must not be used then.
    state
        Result of `ModelSet.state`, also of an earlier version or of other models.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the items or the watermarks cannot be restored: no part can be without them.

    Examples
    --------
    >>> saved = ModelSet(["popularity", "item_to_item"]).state()
    >>> restored = restore_parts(lambda: ModelSet(["popularity", "trending"]), saved)
    >>> restored.missing
    {'trending': 'the snapshot has no state of it'}
    """
    state = migrated(state, "model_set")
    if state.get("name") != "model_set":
        raise ValueError(f"the state belongs to {state.get('name')!r}, not to models")
    saved, missing = _saved_parts(state), dict[str, str]()
    while True:
        models = make()
        models.restore_progress(state)
        for name, part in parts_of(models).items():
            if name in missing:
                continue
            try:
                if name not in saved:
                    raise ValueError(_NO_STATE)  # noqa: TRY301  # as any other part that does not fit
                _restore(part, saved[name])
            except Exception as error:  # a malformed state may fail anywhere
                if name == ITEMS:
                    raise
                missing[name] = f"no {error}" if isinstance(error, KeyError) else str(error)
                break
        else:
            return RestoredModels(models, missing, sorted(saved.keys() - parts_of(models).keys()))


def _saved_parts(state: Mapping[str, Any]) -> dict[str, Any]:
    """The saved states by part; the session store was saved with the model that owned it."""
    saved: dict[str, Any] = {ITEMS: state["index"], SESSIONS: state["tracker"], OUTLIERS: state["outliers"]}
    for name, model_state in state["models"].items():
        if not isinstance(model_state, Mapping) or "store" not in model_state:
            saved[name] = model_state
            continue
        if model_state["store"] is not None:
            saved[SESSION_STORE] = model_state["store"]
        if model_state.keys() - {"format", "name", "parameters", "store"}:
            saved[name] = model_state
    return {**saved, **state["learners"]}


def _restore(part: Part, state: Mapping[str, Any]) -> None:
    """Restore a part; the session store, which is a part of its own, is left as it is."""
    if isinstance(part, SessionStoreModel):
        state = {**state, "store": part.store.state() if part.owns_store else None}
    part.restore(state)


def newest_session(models: ModelSet) -> int:
    """The largest serial number of a session, in the tracker or in the session store."""
    stores = [model.store.newest for model in models.models if isinstance(model, SessionStoreModel)]
    return max([models.tracker.newest_session, *stores])


def adopt_parts(models: ModelSet, source: ModelSet, names: Collection[str]) -> None:
    """Copy parts of other models with the same configuration and the same integers of items.

    Serial numbers of sessions in `source` must follow `newest_session` of `models`; sessions that begin from now on
    follow those of the copied store.

    Parameters
    ----------
    names
        The parts to copy.
    """
    copied = parts_of(source)
    for name, part in parts_of(models).items():
        if name in names:
            other = copied[name]
            if isinstance(part, RiverModel) and isinstance(other, RiverModel):
                part.adopt(other)
            else:
                _restore(part, other.state())
    models.tracker.newest_session = newest_session(models)
