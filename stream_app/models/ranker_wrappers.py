"""Rankers as regressors and classifiers, for those of River's tools that hand over one dictionary of features."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

from river import base, reco


class _RankerWrapper(base.Wrapper):  # type: ignore[misc]  # River has no types
    """Takes user and item out of the features, and leaves the others to the ranker."""

    def __init__(self, ranker: reco.base.Ranker, user: str = "user", item: str = "item") -> None:
        self.ranker = ranker
        self.user = user
        self.item = item

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {"ranker": reco.Baseline()}

    @property
    def _wrapped_model(self) -> reco.base.Ranker:
        return self.ranker

    @property
    def _supervised(self) -> bool:
        return True

    def learn_one(self, x: Mapping[str, Hashable], y: float) -> None:
        """Learn the target of the user and the item in `x`."""
        self.ranker.learn_one(x[self.user], x[self.item], y, self._others(x))

    def _score(self, x: Mapping[str, Hashable]) -> float:
        return float(self.ranker.predict_one(x[self.user], x[self.item], self._others(x)))

    def _others(self, x: Mapping[str, Hashable]) -> dict[str, Hashable]:
        return {name: value for name, value in x.items() if name not in (self.user, self.item)}


class RankerRegressor(_RankerWrapper, base.Regressor):  # type: ignore[misc]  # River has no types
    """A ranker as a regressor of its scores.

    With it, `river.evaluate.progressive_val_score`, `river.compose` and the metrics of regression run on the models
    of Headrace, and on River's rankers.

    Parameters
    ----------
    ranker
        A model, or a ranker of River.
    user, item
        Names of the features with the ids.

    Examples
    --------
    >>> from river import evaluate, metrics
    >>> from stream_app.models.biased_mf import BiasedMF
    >>> ratings = [({"user": f"u{n % 5}", "item": f"i{n % 3}"}, float(n % 3 == 0)) for n in range(300)]
    >>> evaluate.progressive_val_score(ratings, RankerRegressor(BiasedMF()), metrics.MAE()).get() < 0.6
    True
    """

    def predict_one(self, x: Mapping[str, Hashable]) -> float:
        """Predict the target of the user and the item in `x`."""
        return self._score(x)


class RankerClassifier(_RankerWrapper, base.Classifier):  # type: ignore[misc]  # River has no types
    """A ranker as a classifier of choices, for metrics such as the area under the ROC curve.

    The probability is a logistic function of the score less `threshold`: it orders as the score does, and is not
    calibrated.

    Parameters
    ----------
    ranker
        A model, or a ranker of River.
    user, item
        Names of the features with the ids.
    threshold
        Score with the probability one half.

    Examples
    --------
    >>> from river import evaluate, metrics
    >>> from stream_app.models.popularity import Popularity
    >>> clicks = [({"user": f"u{n}", "item": f"i{n % 3}"}, n % 3 == 0) for n in range(300)]
    >>> metric = evaluate.progressive_val_score(clicks, RankerClassifier(Popularity()), metrics.ROCAUC())
    >>> bool(metric.get() > 0.9)
    True
    """

    def __init__(
        self, ranker: reco.base.Ranker, user: str = "user", item: str = "item", threshold: float = 0.5
    ) -> None:
        super().__init__(ranker, user, item)
        self.threshold = threshold

    @property
    def _multiclass(self) -> bool:
        return False

    def predict_proba_one(self, x: Mapping[str, Hashable]) -> dict[bool, float]:
        """Probabilities that the user in `x` chooses the item, and that not."""
        distance = max(-700.0, min(700.0, self._score(x) - self.threshold))
        chosen = 1.0 / (1.0 + math.exp(-distance))
        return {True: chosen, False: 1.0 - chosen}
