"""Arrays that grow by doubling, and the header of every state."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

State = dict[str, Any]
"""Plain data: str, int, float, bool, None, bytes, lists and dicts of them, and numpy arrays (no objects)."""

FORMAT = 2
"""Version of the layout of every state of this package."""

T = TypeVar("T", bound=np.generic)


def grow(array: NDArray[T], length: int, fill: float = 0) -> NDArray[T]:
    """Give `array` room for at least `length` rows, by doubling.

    Parameters
    ----------
    array : ndarray, shape (n, ...)
        Returned as it is where it is long enough.
    length
        Rows needed.
    fill
        What the new rows hold.

    Examples
    --------
    >>> grow(np.array([1, 2, 3]), 4).tolist()
    [1, 2, 3, 0, 0, 0]
    """
    length_now = len(array)
    if length <= length_now:
        return array
    shape = (max(length, 2 * length_now), *array.shape[1:])
    # zeros, not full: the operating system hands out untouched pages for nothing
    resized = np.zeros(shape, array.dtype) if fill == 0 else np.full(shape, fill, array.dtype)
    resized[:length_now] = array
    return resized


def versioned_state(name: str, parameters: Mapping[str, Any], **parts: Any) -> State:
    """Make a state that says what it is a state of.

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
        If it is of another format, of something else or of other hyper-parameters.

    Examples
    --------
    >>> verify_state(versioned_state("popularity", {"half_life": 60.0}), "popularity", {"half_life": 90.0})
    Traceback (most recent call last):
    ValueError: popularity: half_life is 90.0, but the state was taken with 60.0
    """
    if state.get("format") != FORMAT:
        raise ValueError(f"{name}: format {FORMAT} is read here, but the state is of {state.get('format')!r}")
    if state.get("name") != name:
        raise ValueError(f"{name}: the state is of {state.get('name')!r}")
    saved = state["parameters"]
    for key in sorted({*parameters, *saved}):
        if parameters.get(key) != saved.get(key):
            expected = parameters.get(key)
            raise ValueError(
                f"{name}: {key} is {expected!r}, but the state was taken with {saved.get(key)!r}"
            )
