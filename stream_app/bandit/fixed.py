"""The fused order."""

from typing import ClassVar

import numpy as np

from stream_app.bandit.policy import Features, Keys, Policy, Slate


class Fixed(Policy):
    """Keeps the candidates in the fused order. The control policy of comparisons.

    Examples
    --------
    >>> Fixed(features=2).decide(np.zeros((5, 2), np.float32), k=3, seed=1).order.tolist()
    [0, 1, 2]
    """

    name: ClassVar[str] = "fixed"
    learns: ClassVar[bool] = False

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose the first `k`."""
        k = min(k, len(self._validated(features)))
        return Slate(np.arange(k, dtype=np.int32), np.ones(k), 0)
