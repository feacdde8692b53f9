"""Groups of near item vectors, so that the nearest ones of a user vector are found without reading all."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items

Matrix = NDArray[np.float32]

MIN_CLUSTERED: Final = 4_096
"""Vectors from which on they are grouped."""

_PART: Final = 8_192
"""Vectors that are compared with the centroids at once."""


class Grouping(NamedTuple):
    """The order of vectors by group.

    Attributes
    ----------
    order : ndarray of int32, shape (n,)
        The vectors, group by group.
    starts : ndarray of int32, shape (groups + 1,)
        Position in `order` at which each group begins.
    centroids : ndarray of float32, shape (groups, factors)
    """

    order: Items
    starts: Items
    centroids: Matrix


def group_vectors(
    vectors: Matrix, earlier: Matrix | None = None, *, n_iterations: int = 8, seed: int = 7
) -> Grouping:
    """Group vectors of length 1 by spherical k-means, into about as many groups as the root of their number.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, factors)
    earlier : ndarray of float32, shape (groups, factors)
        Centroids of a similar set of vectors, to begin with; two iterations are enough then.

    References
    ----------
    Jegou, Douze, Schmid: Product quantization for nearest neighbor search, PAMI 2011 (inverted file: only the groups
    nearest to the query are searched).

    Examples
    --------
    >>> vectors = np.eye(4, dtype=np.float32)
    >>> group_vectors(vectors).starts.tolist()
    [0, 4]
    """
    n = len(vectors)
    if n < MIN_CLUSTERED:
        centroids = vectors.mean(axis=0, keepdims=True) if n else np.zeros((1, vectors.shape[1]), np.float32)
        return Grouping(np.arange(n, dtype=np.int32), np.array([0, n], np.int32), centroids)
    n_groups = round(n**0.5)
    if (
        earlier is not None
        and 0.5 * n_groups < len(earlier) < 2 * n_groups
        and earlier.shape[1] == vectors.shape[1]
    ):
        centroids, n_iterations = earlier.copy(), 2
    else:
        chosen = np.random.default_rng(seed).choice(n, n_groups, replace=False)
        centroids = vectors[chosen].copy()
    for _ in range(n_iterations):
        nearest = _nearest(vectors, centroids)
        order = np.argsort(nearest, kind="stable")
        groups, starts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(vectors[order], starts, axis=0)
        norms = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        centroids[groups] = sums / norms
    sizes = np.bincount(nearest, minlength=len(centroids))
    return Grouping(
        order.astype(np.int32), np.concatenate(([0], np.cumsum(sizes))).astype(np.int32), centroids
    )


def _nearest(vectors: Matrix, centroids: Matrix) -> NDArray[np.int64]:
    parts = np.array_split(vectors, max(1, len(vectors) // _PART))
    return np.concatenate([np.argmax(part @ centroids.T, axis=1) for part in parts])
