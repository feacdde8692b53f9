"""A regressor, a classifier or a pipeline of River as a model that learns from features of a user and an item."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from river import base

from stream_app.models.array_types import Floats
from stream_app.models.base import Context, Items, Observation
from stream_app.models.columns import grow
from stream_app.models.decay import ForwardDecay
from stream_app.models.item_index import ItemIndex
from stream_app.models.model_state import State
from stream_app.models.river_features import FEATURES, item_features
from stream_app.models.river_model import RiverModel

_NEVER: Final = -math.inf


class RiverEstimator(RiverModel):
    """Learns which of the popular items a user chooses next, from `river_features.FEATURES`.

    A choice is learned with samples of items that were not chosen: a classifier gets True and False, a regressor
    `target_of` the weight and 0. The features name neither user nor item, so that nothing in the River object
    belongs to one, and its memory is that of a fixed number of features.

    Parameters
    ----------
    index
        The items.
    river
        An estimator that has learned nothing; it is copied.
    name
        Name of the model.
    half_life
        Seconds in which a choice of an item counts half in its popularity.
    pool, negatives, seed
        See `RiverModel`.

    Raises
    ------
    ValueError
        If the estimator does not learn one target and predict one number.

    Examples
    --------
    >>> from river import linear_model, preprocessing
    >>> river = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    >>> model = RiverEstimator(river=river)
    >>> for number in range(200):
    ...     model.learn_one(f"u{number}", "sock" if number % 20 else "hat")
    >>> model.rank("ann", {"hat", "sock"})
    ['sock', 'hat']
    """

    def __init__(
        self,
        index: ItemIndex | None = None,
        *,
        river: base.Estimator,
        name: str = "river",
        half_life: float = 86_400.0,
        pool: int = 100,
        negatives: float = 2.0,
        seed: int = 7,
    ) -> None:
        super().__init__(index, river, name=name, pool=pool, negatives=negatives, seed=seed)
        self.half_life = half_life
        self._classifies = isinstance(river, base.Classifier)
        self._check_predictions()
        self._reset()

    def _check_predictions(self) -> None:
        """Raise a ValueError for an estimator that does not learn one target and predict one number of features."""
        probe = self.river.clone()
        for target in (True, False) if self._classifies else (1.0, 0.0):
            x = dict.fromkeys(FEATURES, 0.5 + target)
            try:
                probe.learn_one(x, target)
                self._predict(probe, x)
            except Exception as error:
                raise ValueError(
                    f"{type(self.river).__name__} cannot learn from features and predict a number: "
                    f"{type(error).__name__}: {error}"
                ) from error

    def _reset(self) -> None:
        super()._reset()
        self._decay = ForwardDecay(self.half_life, self._index.decay_clock)
        self._counts: Floats = np.zeros(64)
        self._last: Floats = np.full(64, _NEVER)
        self._newest = _NEVER

    def _get_params(self) -> dict[str, Any]:
        names = ("river", "name", "half_life", "pool", "negatives", "seed")
        return {name: getattr(self, name) for name in names}

    def _learn(self, observation: Observation) -> None:
        """Learn the chosen item and samples of others, with their features before the choice."""
        item, ts = observation.item, observation.ts
        self._counts, self._last = grow(self._counts, item + 1), grow(self._last, item + 1, _NEVER)
        self._newest = max(self._newest, ts)
        factor = self._decay.advance(ts)
        if factor != 1.0:
            self._counts *= factor
        examples = self._examples(observation)
        rows = self._features(observation.previous_items, ts, [each.item for each in examples])
        for x, (_, target) in zip(rows, examples, strict=True):
            self._learned.learn_one(x, target > 0 if self._classifies else target)
        if observation.weight > 0:
            self._counts[item] += self._decay.weight(ts)
            self._last[item] = max(self._last[item], ts)

    def _features(self, session: Items, now: float, items: Sequence[int]) -> list[dict[str, float]]:
        numbers = np.array(items, np.int32)
        # a context may be older than the newest choice
        counts = self._counts[numbers] * self._decay.at(max(now, self._newest))
        matrix = item_features(self._index, session, now, numbers, counts, self._last[numbers])
        return [dict(zip(FEATURES, row, strict=True)) for row in matrix.tolist()]

    def _predictions(self, context: Context, items: Sequence[int]) -> Sequence[float] | None:
        session = context.items[context.session_index :]
        rows = self._features(session, context.now, items)
        return [self._predict(self._learned, x) for x in rows]

    def _predict(self, estimator: Any, x: Mapping[str, float]) -> float:
        if not self._classifies:
            return float(estimator.predict_one(x) or 0.0)
        try:
            return float(estimator.predict_proba_one(x).get(True, 0.0))
        except NotImplementedError:
            return float(bool(estimator.predict_one(x)))

    def _scores_of(self, predictions: Floats) -> Floats:
        """Probabilities as they are."""
        return predictions if self._classifies else super()._scores_of(predictions)

    def forget_items(self, items: Items) -> None:
        """Drop the counts of items."""
        super().forget_items(items)
        in_range = items[items < len(self._counts)]
        self._counts[in_range] = 0.0
        self._last[in_range] = _NEVER

    def _get_state(self) -> State:
        size = self._index.size
        return {
            **super()._get_state(),
            "landmark": self._decay.landmark,
            "newest": self._newest,
            "counts": grow(self._counts, size)[:size].copy(),
            "last": grow(self._last, size, _NEVER)[:size].copy(),
        }

    def _set_tables(self, state: Mapping[str, Any]) -> None:
        super()._set_tables(state)
        self._decay.landmark = float(state["landmark"])
        self._newest = float(state["newest"])
        self._counts = grow(np.array(state["counts"]), 64)
        self._last = grow(np.array(state["last"]), 64, _NEVER)
