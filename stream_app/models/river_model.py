"""The base of models that wrap a River object: bounds, candidates, examples and state."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import base

from stream_app.models.array_types import Floats, Mask
from stream_app.models.base import (
    EMPTY_CANDIDATES,
    NO_ITEM,
    Candidates,
    Context,
    Items,
    Model,
    Observation,
    Scores,
)
from stream_app.models.columns import grow
from stream_app.models.item_index import ItemIndex
from stream_app.models.item_pool import ItemPool
from stream_app.models.kernels.random import splitmix64
from stream_app.models.kernels.topk import top_k
from stream_app.models.model_state import State
from stream_app.models.river_graph import held_bytes
from stream_app.models.river_paths import described
from stream_app.models.river_state import restore_river, river_state
from topics.records import Reason

_LOG: Final = logging.getLogger(__name__)

MIN_SCORE: Final = 1e-6
"""Score of a known item at the least: 0 is that of an unknown one."""


class Example(NamedTuple):
    """What a River object learns of an observation."""

    item: int
    target: float  # 0 for a sample of popular items and for a dislike


def target_of(weight: float) -> float:
    """Target of an observation: 0 for a dislike, 1 for a view, rising slowly to 2.

    Examples
    --------
    >>> target_of(1.0), target_of(5.0), target_of(-1.0)
    (1.0, 2.0, 0.0)
    """
    return 0.0 if weight <= 0 else min(2.0, 0.75 + 0.25 * weight)


class RiverModel(Model):
    """A model that asks a River object.

    It scores a bounded pool of recently and repeatedly chosen items, since a River object predicts one at a time.
    Each choice is learned with samples of the pool as items that were not chosen. Only known ids are asked: some
    objects of River remember whatever they are asked.

    An error of the River object is logged, and stops nothing else: what it could not learn is left out, and items
    that it cannot predict score 0.

    Parameters
    ----------
    index
        The items.
    river
        An object that has learned nothing; it is copied.
    name
        Name of the model.
    pool
        Items scored.
    negatives
        Samples learned per choice, on average.
    seed
        Of the samples.

    Attributes
    ----------
    n_errors, last_error
        Errors that the River object raised, and the last of them.
    """

    additive: ClassVar[bool] = False
    learns_sample_under_load: ClassVar[bool] = True

    def __init__(
        self, index: ItemIndex | None, river: base.Base, *, name: str, pool: int, negatives: float, seed: int
    ) -> None:
        self._index = self._shared_or_own(index)
        # the name of a wrapped object comes from the settings
        self.name = name  # type: ignore[misc]
        self.river = river
        self.pool = pool
        self.negatives = negatives
        self.seed = seed

    def _reset(self) -> None:
        self._learned = self.river.clone()
        self._pool = ItemPool(self.pool)
        self._known: Mask = np.zeros(64, np.bool_)
        self._n_choices = 0
        self._n_samples = 0
        self.n_errors = 0
        self.last_error: Exception | None = None

    def _predictions(self, context: Context, items: Sequence[int]) -> Sequence[float] | None:
        """Predictions for known items; None where nothing is known of the context."""
        raise NotImplementedError

    def _scores_of(self, predictions: Floats) -> Floats:
        """Scores of predictions: increasing, and from 0 to 1."""
        scores: Floats = (1.0 + predictions / (1.0 + np.abs(predictions))) / 2.0
        return scores

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items of the pool with the highest predictions."""
        pool = self._pool.items[: self._pool.size]
        values = self.score(context, pool)
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = top_k(pool, values, len(pool), self._index.hashes, k, items, scores)
        if not n:
            return EMPTY_CANDIDATES
        return Candidates(items[:n], scores[:n], np.full(n, NO_ITEM, np.int32))

    def score(self, context: Context, items: Items) -> Scores:
        """Prediction of each item as a number from 0 to 1; 0 for an unknown item."""
        scores = np.zeros(len(items), np.float32)
        known = (items >= 0) & (items < len(self._known))
        known[known] = self._known[items[known]]
        if not known.any():
            return scores
        try:
            predictions = self._predictions(context, items[known].tolist())
            if predictions is None:
                return scores
            values = np.array(predictions, np.float64)
        except Exception as error:  # noqa: BLE001  # of an object that is not ours
            self._log_error("predict", error)
            return scores
        values = np.nan_to_num(values, nan=-1e300, posinf=1e300, neginf=-1e300)
        scores[known] = np.clip(self._scores_of(values), MIN_SCORE, 1.0)
        return scores

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """A River object has no evidence to name."""
        return Reason("factors")

    def forget_items(self, items: Items) -> None:
        """Drop items from the pool and the known ones."""
        self._known[items[items < len(self._known)]] = False
        self._pool.forget_items(items)

    def learn(self, observation: Observation) -> None:
        """Learn an observation, and samples of other items."""
        try:
            self._learn(observation)
        except Exception as error:  # noqa: BLE001  # of an object that is not ours
            self._log_error("learn", error)

    def _learn(self, observation: Observation) -> None:
        """Learn an observation; may raise whatever the River object raises."""
        raise NotImplementedError

    def _log_error(self, action: str, error: Exception) -> None:
        """Log the first error, and each that doubles their number."""
        self.n_errors += 1
        self.last_error = error
        if self.n_errors & (self.n_errors - 1) == 0:
            _LOG.warning(
                "model %s could not %s (%d errors so far): %s: %s",
                self.name,
                action,
                self.n_errors,
                type(error).__name__,
                error,
            )

    def _examples(self, observation: Observation) -> list[Example]:
        """Count a choice, and return what is learned of it: the item, and samples of the pool."""
        item, weight = observation.item, observation.weight
        self._known = grow(self._known, item + 1, False)
        self._known[item] = True
        examples = [Example(item, target_of(weight))]
        if weight <= 0:
            return examples
        self._pool.add(item)
        self._n_choices += 1
        first, self._n_samples = self._n_samples, int(self._n_choices * self.negatives)
        for sample in range(first, self._n_samples):
            slot = splitmix64(np.uint64((self.seed << 40) + sample)) % self._pool.size
            other = int(self._pool.items[slot])
            if other != item:
                examples.append(Example(other, 0.0))
        return examples

    def parameters(self) -> dict[str, Any]:
        """Names and values of the hyperparameters, the River object by its representation."""
        return {
            name: described(value) if isinstance(value, base.Base) else value
            for name, value in self._get_params().items()
        }

    @property
    def is_saved(self) -> bool:
        """Whether a snapshot holds what the River object has learned; otherwise the log is learned again."""
        return river_state(self._learned) is not None

    def adopt(self, other: "RiverModel") -> None:
        """Take over what a model of the same parameters and index has learned, which must not be used then.

        In place of a state, which River objects without plain data do not have.
        """
        state = {**other.state(), "river": None}
        learned = other._learned  # noqa: SLF001  # of the same class
        self._reset()
        self._set_tables(state)
        self._learned = learned

    def _get_state(self) -> State:
        return {
            "pool": self._pool.state(),
            "known": self._known_mask(self._index.size),
            "choices": self._n_choices,
            "samples": self._n_samples,
            "river": river_state(self._learned),
        }

    def _known_mask(self, size: int) -> NDArray[np.bool_]:
        return grow(self._known, size)[:size].copy()

    def _set_state(self, state: Mapping[str, Any]) -> None:
        if state["river"] is None:
            raise ValueError(f"{self.name}: River's {self.river} is not saved; it is learned from the log")
        self._set_tables(state)
        restore_river(self._learned, state["river"])

    def _set_tables(self, state: Mapping[str, Any]) -> None:
        """Restore everything but the River object."""
        self._pool.restore(state["pool"])
        self._known = grow(np.array(state["known"], np.bool_), 64)
        self._n_choices, self._n_samples = int(state["choices"]), int(state["samples"])

    def memory(self) -> int:
        """Bytes held, to within a few percent; the River object by the sizes of its containers."""
        return super().memory() + self._pool.memory() + held_bytes(self._learned)
