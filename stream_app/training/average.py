"""The moving average of what is trained: its steps are noisy, and their average is better than the newest of them."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.columns import grow
from stream_app.models.model_state import State

Array = NDArray[np.float32]

_WARM_UP: Final = 10.0
"""Early on the average of the parameters spans about a ninth of the steps so far."""

_ROW_WARM_UP: Final = 10.0
"""As for the updates of an item vector: one that was learned little still moves far, and a long
average would hold it back."""


class WeightAverage:
    """An exponential moving average of parameters and of item vectors over the training steps.

    A vector that a step does not change counts as well: its average approaches it with every step. This is computed
    when the vector is changed or read, so that a step costs the rows of its batch alone.

    Parameters
    ----------
    decay
        Weight of the average in the next one; less for early steps, and for vectors with few updates. 0 for the
        newest weights alone.
    n_factors
        Length of the vectors.

    References
    ----------
    Polyak, Juditsky: Acceleration of stochastic approximation by averaging, SIAM Journal on Control and Optimization
    1992.

    Examples
    --------
    >>> average = WeightAverage(0.5, n_factors=1)
    >>> before, after = np.array([[0.0]], np.float32), np.array([[8.0]], np.float32)
    >>> row, many, newest = np.array([0]), np.array([10_000]), np.array([[8.0]], np.float32)
    >>> average.update(row, before, before, many, {})
    >>> average.update(row, before, after, many, {})
    >>> average.vectors(row, newest).item()
    4.0
    >>> average.update(np.array([1]), before, before, many, {})
    >>> average.vectors(row, newest).item()
    6.0
    """

    def __init__(self, decay: float, n_factors: int) -> None:
        self.decay = decay
        self.n_steps = 0
        self.parameters: dict[str, Array] = {}
        self._rows: Array = np.zeros((0, n_factors), np.float32)
        self._decays: Array = np.zeros(0, np.float32)  # of each row
        self._last: NDArray[np.int64] = np.zeros(0, np.int64)  # step after which each row was averaged

    def update(
        self,
        rows: NDArray[Any],
        before: Array,
        after: Array,
        n_updates: NDArray[np.int32],
        parameters: Mapping[str, Any],
    ) -> None:
        """Take a step into account.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            The item vectors that the step may have changed.
        before, after : ndarray of float32, shape (n, factors)
            These vectors.
        n_updates : ndarray of int32, shape (n,)
            How often each was changed so far.
        parameters
            After the step.
        """
        if self.decay <= 0.0:
            return
        averages = self.vectors(rows, before)
        decays = np.minimum(self.decay, n_updates / (_ROW_WARM_UP + n_updates)).astype(np.float32)
        decay = np.float32(min(self.decay, (1.0 + self.n_steps) / (_WARM_UP + self.n_steps)))
        self.n_steps += 1
        self._rows[rows] = after + decays[:, None] * (averages - after)
        self._decays[rows] = decays
        self._last[rows] = self.n_steps
        for name, value in parameters.items():
            newest = np.asarray(value, np.float32)
            average = self.parameters.get(name, newest)
            self.parameters[name] = newest + decay * (average - newest)

    def vectors(self, rows: NDArray[Any], newest: Array) -> Array:
        """Averages of item vectors, shape (n, factors); the newest vectors of rows that never changed."""
        if self.decay <= 0.0:
            return newest
        self._reserve(int(rows.max(initial=-1)) + 1)
        # a row that never changed has a decay of 0; a row that has just changed is its average
        shares = self._decays[rows] ** (self.n_steps - self._last[rows])
        shares[self._decays[rows] == 0.0] = 0.0
        result: Array = newest + shares.astype(np.float32)[:, None] * (self._rows[rows] - newest)
        return result

    def forget(self, rows: NDArray[Any]) -> None:
        """Begin anew with item vectors."""
        self._decays[rows[rows < len(self._decays)]] = 0.0

    def state(self, rows: NDArray[Any], newest: Array) -> State:
        """The averages of item vectors and of the parameters."""
        vectors = self.vectors(rows, newest).copy()
        decays = grow(self._decays, len(rows))[: len(rows)].copy()
        return {
            "steps": self.n_steps,
            "vectors": vectors,
            "decays": decays,
            "parameters": dict(self.parameters),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the result of `state`; nothing without averages."""
        if self.decay <= 0.0:
            return
        n = len(state["vectors"])
        self.n_steps = int(state["steps"])
        self.parameters = dict(state["parameters"])
        self._reserve(n)
        self._rows[:n], self._decays[:n] = state["vectors"], state["decays"]
        self._last[:n] = self.n_steps

    def _reserve(self, n: int) -> None:
        self._rows, self._decays = grow(self._rows, n), grow(self._decays, n)
        self._last = grow(self._last, len(self._rows))
