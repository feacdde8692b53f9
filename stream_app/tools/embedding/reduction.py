"""Vectors of an encoder centered and shortened for a catalog: the main directions in which its items differ."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from state.snapshots.files import FolderFiles
from stream_app.errors import UserError
from stream_app.models.array_types import Matrix

MAX_FITTED: Final = 20_000
"""Vectors that a reduction is fitted to; of more, evenly distributed ones."""

MIN_FITTED_PER_DIMENSION: Final = 2
"""Fewer vectors per dimension say too little about the directions."""

_ADDED_AT_ONCE: Final = 1_024


class Reduction:
    """Subtracts the mean of a catalog's vectors, projects onto principal components, and scales to length 1.

    Encoders place all texts (or pictures) of one shop into a small part of their space: a vector is mostly what all
    items have in common. Without that part similarities tell items apart better, and a few dimensions have it all.

    Parameters
    ----------
    mean : ndarray of float64, shape (n,)
        Mean of the vectors.
    directions : ndarray of float64, shape (n, dimensions)
        Orthonormal columns.
    fitted_to
        Number of vectors that it was fitted to.

    References
    ----------
    Mu, Viswanath: All-but-the-top: simple and effective postprocessing for word representations, ICLR 2018.

    Examples
    --------
    >>> vectors = np.array([[1.0, 0.1], [1.0, -0.1], [1.0, 0.2], [1.0, -0.2]], np.float32)
    >>> Reduction.fit(vectors, 1).apply(vectors).ravel().tolist()
    [1.0, -1.0, 1.0, -1.0]
    """

    def __init__(self, mean: NDArray[np.float64], directions: NDArray[np.float64], fitted_to: int) -> None:
        self.fitted_to: Final = fitted_to
        self.mean: Final = mean
        self.directions: Final = directions

    @property
    def dimensions(self) -> int:
        """Length of the shortened vectors."""
        return int(self.directions.shape[1])

    @classmethod
    def fit(cls, vectors: Matrix, dimensions: int) -> Self:
        """Fit to vectors, shape (items, n); the sign of each direction makes its largest coefficient positive."""
        mean = vectors.mean(axis=0, dtype=np.float64)
        covariance = np.zeros((len(mean), len(mean)))
        for start in range(0, len(vectors), _ADDED_AT_ONCE):
            centered = vectors[start : start + _ADDED_AT_ONCE] - mean
            covariance += centered.T @ centered
        directions = np.linalg.eigh(covariance)[1][:, ::-1][:, :dimensions]
        largest = directions[np.abs(directions).argmax(axis=0), range(directions.shape[1])]
        return cls(mean, directions * np.where(largest < 0, -1.0, 1.0), len(vectors))

    def apply(self, vectors: Matrix) -> Matrix:
        """Center, project and scale vectors to length 1; zeros for one without a direction, as before.

        Returns
        -------
        ndarray of float32, shape (len(vectors), dimensions)
        """
        projected = np.einsum("in,nd->id", vectors - self.mean, self.directions)
        lengths = np.linalg.norm(projected, axis=1, keepdims=True)
        known = vectors.any(axis=1, keepdims=True) & (lengths > 1e-9)
        scaled: Matrix = np.divide(projected, lengths, out=np.zeros_like(projected), where=known).astype(
            np.float32
        )
        return scaled

    def save(self, path: Path) -> None:
        """Write to a file, which is whole at any time.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        content = BytesIO()
        np.savez(content, mean=self.mean, directions=self.directions, fitted_to=self.fitted_to)
        try:
            FolderFiles(path.parent).write(path.name, content.getvalue())
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror or error}.") from None

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read from a file; None if there is none.

        Raises
        ------
        UserError
            If the file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(arrays["mean"], arrays["directions"], int(arrays["fitted_to"]))
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001  # damaged archives raise errors of many classes
            raise UserError(f"{path} is damaged ({error}); remove it and run the command again.") from None


def evenly_distributed(keys: Iterable[bytes], limit: int = MAX_FITTED) -> list[bytes]:
    """The distinct keys in order; of more than `limit` evenly distributed ones.

    Examples
    --------
    >>> evenly_distributed([b"a", b"b", b"a", b"c", b"d"], 2)
    [b'a', b'c']
    """
    distinct = list(dict.fromkeys(keys))
    return distinct[:: max(1, -(-len(distinct) // limit))]
