"""A ranker as a regressor, for those of River's tools that hand over one dictionary of features."""

from collections.abc import Hashable, Mapping
from typing import Any

from river import base, reco


class RankerRegressor(base.Wrapper, base.Regressor):  # type: ignore[misc]  # River has no types
    """Takes user and item out of the features, and leaves the others to the ranker.

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
    >>> evaluate.progressive_val_score(ratings, RankerRegressor(BiasedMF()), metrics.ROCAUC())
    Traceback (most recent call last):
    ValueError: ROCAUC metric is not compatible with RankerRegressor(BiasedMF)
    >>> evaluate.progressive_val_score(ratings, RankerRegressor(BiasedMF()), metrics.MAE()).get() < 0.6
    True
    """

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

    def predict_one(self, x: Mapping[str, Hashable]) -> float:
        """Predict the target of the user and the item in `x`."""
        return float(self.ranker.predict_one(x[self.user], x[self.item], self._others(x)))

    def _others(self, x: Mapping[str, Hashable]) -> dict[str, Hashable]:
        return {name: value for name, value in x.items() if name not in (self.user, self.item)}
