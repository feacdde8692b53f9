"""The base of the rankers that learn from choices: a softmax over the scores of a list."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models.estimator import Estimator
from stream_app.models.model_state import Restorable, State
from stream_app.models.resident import resident_bytes

Matrix = NDArray[np.float32]

_LOSS_WINDOW = 1_000


class ListwiseRanker(Estimator, Restorable):
    """Scores the rows of a list and learns one choice at a time.

    The probability that a candidate is chosen is proportional to ``exp(score)``. Each choice moves the weights along
    the gradient of the loss, minus the logarithm of that probability, over all candidates at once.

    Parameters
    ----------
    parameters
        Hyperparameters; saved state of others is rejected.

    Attributes
    ----------
    choices
        Choices learned.
    loss
        Decayed mean of the loss over about the last thousand choices, nats.

    References
    ----------
    Cao et al.: Learning to rank: from pairwise approach to listwise approach, ICML 2007 (ListNet's top-one loss).
    Duchi, Hazan, Singer: Adaptive subgradient methods, JMLR 2011 (Adagrad, which both subclasses step by).
    """

    state_name: ClassVar[str]

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self.choices = 0
        self.loss = 0.0

    def _get_params(self) -> dict[str, Any]:
        return dict(self.parameters)

    def score(self, features: Matrix) -> Matrix:
        """Score candidates.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)
            From 0 to 1.

        Returns
        -------
        ndarray of float32, shape (n,)
            Valid until the next call.
        """
        raise NotImplementedError

    def learn(self, features: Matrix, chosen: int) -> None:
        """Learn a choice; it is skipped where the scores are not finite.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)
            All candidates of the choice.
        chosen
            Row of the chosen one.
        """
        loss = self._learn(features, chosen)
        if not np.isfinite(loss):
            return
        self.choices += 1
        self.loss += (loss - self.loss) * max(1.0 / _LOSS_WINDOW, 1.0 / self.choices)
        self._choice_learned()

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.state_name, self.parameters

    def _get_state(self) -> State:
        return {
            "weights": {name: array.copy() for name, array in self._learned_arrays().items()},
            "counts": self._counts(),
            "choices": self.choices,
            "loss": float(self.loss),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        for name, array in self._learned_arrays().items():
            array[...] = state["weights"][name]
        self.choices, self.loss = int(state["choices"]), float(state["loss"])
        self._restored(state["counts"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return resident_bytes((*self._learned_arrays().values(), *self._scratch_arrays()))

    def _learn(self, features: Matrix, chosen: int) -> float:
        """Add the gradient of a choice; return the loss before it, infinite where nothing was added."""
        raise NotImplementedError

    def _choice_learned(self) -> None:
        """Step, where a choice does not step by itself."""

    def _learned_arrays(self) -> dict[str, NDArray[Any]]:
        """All that a saved state holds, by name."""
        raise NotImplementedError

    def _scratch_arrays(self) -> Iterable[NDArray[Any]]:
        raise NotImplementedError

    def _counts(self) -> dict[str, int]:
        """Counters that a saved state holds besides `choices`."""
        return {}

    def _restored(self, counts: Mapping[str, int]) -> None:
        """Follow restored arrays and counters."""
