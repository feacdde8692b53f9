"""The order of a feature."""

from typing import Any, ClassVar

import numpy as np

from stream_app.bandit.policy import Features, Keys, Policy, PolicyConfig, Slate


class PopularityConfig(PolicyConfig, frozen=True, kw_only=True):
    """Settings of `PopularityOrder`."""

    column: int = 0
    """Index of the feature to sort by."""


class PopularityOrder(Policy):
    """Sorts the candidates by one feature in descending order, usually popularity.

    Examples
    --------
    >>> options = np.array([[0.9, 0.1], [0.5, np.nan], [0.1, 0.7]], np.float32)
    >>> PopularityOrder(features=2, column=1).decide(options, k=3, seed=1).order.tolist()
    [2, 0, 1]
    """

    name: ClassVar[str] = "popularity"
    learns: ClassVar[bool] = False
    config_class: ClassVar[type[PolicyConfig]] = PopularityConfig
    config: PopularityConfig

    def __init__(self, features: int, **parameters: Any) -> None:
        super().__init__(features, **parameters)
        if not 0 <= self.config.column < features:
            raise ValueError(f"column must be one of the {features} features, not {self.config.column!r}")

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose the `k` largest values; NaN comes last, ties keep the order of the candidates."""
        values = self._validated(features)[:, self.config.column]
        order = np.argsort(np.where(np.isnan(values), np.inf, -values), kind="stable")[:k].astype(np.int32)
        return Slate(order, np.ones(len(order)), 0)
