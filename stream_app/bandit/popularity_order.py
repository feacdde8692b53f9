"""The order of one feature."""

from typing import ClassVar

import numpy as np

from stream_app.bandit.policy import Features, Keys, Policy, Slate


class PopularityOrder(Policy):
    """Shows the candidates by one feature, the largest first; as a rule how popular each is.

    Parameters
    ----------
    features
        Their number.
    column
        The feature to go by.

    Examples
    --------
    >>> options = np.array([[0.9, 0.1], [0.5, np.nan], [0.1, 0.7]], np.float32)
    >>> PopularityOrder(features=2, column=1).decide(options, k=3, seed=1).order.tolist()
    [2, 0, 1]
    """

    name: ClassVar[str] = "popularity"
    learns: ClassVar[bool] = False

    def __init__(self, features: int, *, column: int = 0) -> None:
        if not 0 <= column < features:
            raise ValueError(f"column must be one of the {features} features, not {column!r}")
        super().__init__(features, column=column)
        self.column = column

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:  # noqa: ARG002
        """Choose the `k` with the most; a value that is no number comes last, ties go by the order given."""
        values = self._validated(features)[:, self.column]
        order = np.argsort(np.where(np.isnan(values), np.inf, -values), kind="stable")[:k].astype(np.int32)
        return Slate(order, np.ones(len(order)), 0)
