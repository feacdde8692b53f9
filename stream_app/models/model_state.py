"""The header of every saved state."""

from collections.abc import Mapping
from typing import Any

State = dict[str, Any]
"""Plain data: str, int, float, bool, None, bytes, lists and dicts of them, and numpy arrays (no objects)."""

FORMAT = 2
"""Version of the layout of every state of this package."""


def versioned_state(name: str, parameters: Mapping[str, Any], **parts: Any) -> State:
    """Make a state with a header: format, name and hyperparameters.

    Examples
    --------
    >>> versioned_state("popularity", {"half_life": 60.0}, totals=[1.0])
    {'format': 2, 'name': 'popularity', 'parameters': {'half_life': 60.0}, 'totals': [1.0]}
    """
    return {"format": FORMAT, "name": name, "parameters": dict(parameters), **parts}


def verify_state(state: Mapping[str, Any], name: str, parameters: Mapping[str, Any]) -> None:
    """Check that a state can be restored here.

    Raises
    ------
    ValueError
        If the format, the name or a hyperparameter differs.

    Examples
    --------
    >>> verify_state(versioned_state("popularity", {"half_life": 60.0}), "popularity", {"half_life": 90.0})
    Traceback (most recent call last):
    ValueError: popularity: half_life is 90.0, but the state was saved with 60.0
    """
    if state.get("format") != FORMAT:
        raise ValueError(f"{name}: the state has format {state.get('format')!r}, not {FORMAT}")
    if state.get("name") != name:
        raise ValueError(f"{name}: the state belongs to {state.get('name')!r}")
    saved = state["parameters"]
    for key in sorted({*parameters, *saved}):
        if parameters.get(key) != saved.get(key):
            expected = parameters.get(key)
            raise ValueError(
                f"{name}: {key} is {expected!r}, but the state was saved with {saved.get(key)!r}"
            )


class Restorable:
    """Saves what it has learned with a header, and loads it again.

    A subclass implements `_state_header`, `_get_state` and `_set_state`, and `_reset` unless `_set_state` replaces
    everything.
    """

    def state(self) -> State:
        """Everything learned, as plain data that shares no memory with the object."""
        return versioned_state(*self._state_header(), **self._get_state())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state`.

        Raises
        ------
        ValueError
            If the state has another format, name or other parameters, here or in a part; the object must not be used
            then.
        """
        verify_state(state, *self._state_header())
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
