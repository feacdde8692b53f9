"""The header of every saved state, and the migration of states that earlier versions saved.

Each state has its name, its version and its parameters. A change of the layout of a state raises its version in
`VERSIONS` and adds the step from the version before to `MIGRATIONS`, so that states of all earlier versions load.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

State = dict[str, Any]
"""Plain data: str, int, float, bool, None, bytes, lists and dicts of them, and numpy arrays (no objects)."""

FIRST_VERSION: Final = 2
"""Version of the layout of a state that has not changed since snapshots are migrated."""

VERSIONS: Final[dict[str, int]] = {}
"""Version of the layout by name of the state, if it is not `FIRST_VERSION`."""

MIGRATIONS: Final[dict[tuple[str, int], Callable[[State], State]]] = {}
"""Step to the next version, by name and version: gets a state without its header's version, and returns the new one.

A step may change the parameters in ``parameters``: a new hyperparameter gets the value that the state was learned
with.
"""


def state_version(name: str) -> int:
    """The current version of a state."""
    return VERSIONS.get(name, FIRST_VERSION)


def migrated(state: Mapping[str, Any], name: str) -> State:
    """A state in the layout of the current version.

    Raises
    ------
    ValueError
        If the state has no version, a later one, or one without a step to the next.

    Examples
    --------
    >>> VERSIONS["example"] = 3
    >>> MIGRATIONS["example", 2] = lambda state: {**state, "totals": [state["total"]]}
    >>> migrated({"format": 2, "name": "example", "parameters": {}, "total": 1.0}, "example")["totals"]
    [1.0]
    >>> del VERSIONS["example"], MIGRATIONS["example", 2]
    >>> migrated({"format": 3, "name": "example", "parameters": {}}, "example")
    Traceback (most recent call last):
    ValueError: example: the state has format 3 of a later Headrace; this one reads up to 2
    """
    result, current = dict(state), state_version(name)
    version = result.get("format")
    if not isinstance(version, int) or version < FIRST_VERSION:
        raise ValueError(f"{name}: the state has format {version!r}, which cannot be migrated")
    if version > current:
        raise ValueError(
            f"{name}: the state has format {version} of a later Headrace; this one reads up to {current}"
        )
    for step in range(version, current):
        result = {**MIGRATIONS[name, step](result), "format": step + 1}
    return result


def versioned_state(name: str, parameters: Mapping[str, Any], **parts: Any) -> State:
    """Make a state with a header: format, name and hyperparameters.

    Examples
    --------
    >>> versioned_state("popularity", {"half_life": 60.0}, totals=[1.0])
    {'format': 2, 'name': 'popularity', 'parameters': {'half_life': 60.0}, 'totals': [1.0]}
    """
    return {"format": state_version(name), "name": name, "parameters": dict(parameters), **parts}


def verify_state(state: Mapping[str, Any], name: str, parameters: Mapping[str, Any]) -> None:
    """Check that a state of the current version can be restored here.

    Raises
    ------
    ValueError
        If the name or a hyperparameter differs.

    Examples
    --------
    >>> verify_state(versioned_state("popularity", {"half_life": 60.0}), "popularity", {"half_life": 90.0})
    Traceback (most recent call last):
    ValueError: popularity: half_life is 90.0, but the state was saved with 60.0
    """
    if state.get("name") != name:
        raise ValueError(f"{name}: the state belongs to {state.get('name')!r}")
    saved = state["parameters"]
    for key in sorted({*parameters, *saved}):
        expected, found = parameters.get(key), saved.get(key)
        # a snapshot has lists for tuples
        if expected != found and not (isinstance(expected, tuple) and list(expected) == found):
            raise ValueError(f"{name}: {key} is {expected!r}, but the state was saved with {found!r}")


class Restorable:
    """Saves what it has learned with a header, and loads it again.

    A subclass implements `_state_header`, `_get_state` and `_set_state`, and `_reset` unless `_set_state` replaces
    everything.
    """

    def state(self) -> State:
        """Everything learned, as plain data that shares no memory with the object."""
        return versioned_state(*self._state_header(), **self._get_state())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state`, also of an earlier version.

        Raises
        ------
        ValueError
            If the state has a later version, another name or other parameters, here or in a part; the object must not
            be used then.
        """
        name, parameters = self._state_header()
        state = migrated(state, name)
        verify_state(state, name, parameters)
        self._reset()
        self._set_state(state)

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        """Name and parameters, which must be equal to load a state."""
        raise NotImplementedError

    def _reset(self) -> None:
        """Drop everything learned."""

    def _get_state(self) -> State:
        """A copy of everything learned."""
        raise NotImplementedError

    def _set_state(self, state: Mapping[str, Any]) -> None:
        """Load the result of `_get_state` into the object after `_reset`."""
        raise NotImplementedError
