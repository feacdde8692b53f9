"""Negative samples: half of them uniform, half by popularity."""

import numpy as np
from numpy.typing import NDArray

POWER = 0.75
"""Exponent of the counts, as in word2vec (Mikolov et al., NIPS 2013)."""

_MAX_DRAWS = 100
"""Draws between two computations of the distribution, at most."""

_GROWTH = 10
"""The distribution is computed again after this part of the draws so far: a new trainer gets to know items fast."""


class NegativeSampler:
    """Draws items with interactions, and tells how often each is expected among them.

    An item without interactions is none: it would learn from its negatives alone that no one chooses it, and its
    content could not stand for it.

    Examples
    --------
    >>> sampler = NegativeSampler(4, seed=7)
    >>> rows, log_expected = sampler.draw(np.array([8.0, 1.0, 1.0, 0.0]), 3)
    >>> len(rows), bool(log_expected[rows == 0].size == 0 or log_expected.max() == log_expected[rows == 0][0])
    (4, True)
    """

    def __init__(self, n: int, seed: int) -> None:
        self._n = n
        self._rng = np.random.default_rng(seed)
        self._draws = self._next_refresh = 0
        self._candidates: NDArray[np.int64] = np.zeros(0, np.int64)
        self._cumulative: NDArray[np.float64] = np.zeros(0)
        self._log_expected: NDArray[np.float32] = np.zeros(0, np.float32)

    @property
    def n_candidates(self) -> int:
        """Number of items that were drawn from."""
        return len(self._candidates)

    def draw(
        self, counts: NDArray[np.float64], n_items: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Draw items.

        Parameters
        ----------
        counts : ndarray of float64, shape (at least n_items,)
            Interactions of each item.
        n_items
            Items that may be drawn: the first ones.

        Returns
        -------
        rows : ndarray of int32, shape (n,)
        log_expected : ndarray of float32, shape (n,)
            Logarithm of the expected number of times that each is drawn.
        """
        if self._draws >= self._next_refresh or len(self._cumulative) > n_items:
            self._next_refresh = self._draws + min(_MAX_DRAWS, 1 + self._draws // _GROWTH)
            powers = counts[:n_items] ** POWER
            total = powers.sum()
            shares = powers / total if total > 0 else np.full(n_items, 1.0 / n_items)
            self._cumulative = np.cumsum(shares)
            self._candidates = np.flatnonzero(shares)
            self._log_expected = np.log(self._n * (0.5 / self.n_candidates + 0.5 * shares)).astype(np.float32)
        self._draws += 1
        known = len(self._cumulative)
        half = self._n // 2
        uniform = self._candidates[self._rng.integers(self.n_candidates, size=self._n - half)]
        popular = np.searchsorted(self._cumulative, self._rng.random(half) * self._cumulative[-1])
        rows = np.concatenate((uniform, np.minimum(popular, known - 1))).astype(np.int32)
        return rows, self._log_expected[rows]

    def with_targets(
        self, rows: NDArray[np.int32], targets: NDArray[np.int32], counts: NDArray[np.float64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Drawn items, the second half replaced by targets of the same batch; the result is that of `draw`."""
        n = len(rows) // 2
        mixed = np.concatenate((rows[:-n], self._rng.choice(targets, n))).astype(np.int32)
        shares = counts[mixed] / max(counts.sum(), 1.0)
        return mixed, np.log((len(rows) - n) / self.n_candidates + n * shares).astype(np.float32)
