"""The item space as a picture: principal components, colored by category."""

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.tools.embedding.vector_files import ItemVectors
from stream_app.tools.evaluation.plots import figure_file

N_COLORS: Final = 10
"""Categories with a color of their own, those with the most items; the others are gray."""

_OTHER: Final = "other"


def principal_plane(vectors: Matrix) -> tuple[NDArray[np.float64], float]:
    """Project vectors onto their two main directions.

    Parameters
    ----------
    vectors : ndarray, shape (n, dimensions)
        At least one row.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        The sign of each direction is such that its largest coefficient is positive, so that equal vectors give
        equal plots.
    float
        Share of the variance in the plane.

    Examples
    --------
    >>> plane, share = principal_plane(np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0]], np.float32))
    >>> plane.shape, round(share, 6)
    ((3, 2), 1.0)
    """
    centered = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centered.T @ centered)
    main = directions[:, ::-1][:, :2]
    if main.shape[1] < 2:
        main = np.pad(main, ((0, 0), (0, 2 - main.shape[1])))
    main = main * np.where(main[np.abs(main).argmax(axis=0), range(2)] < 0, -1.0, 1.0)
    total = float(variances.sum())
    return centered @ main, float(variances[::-1][:2].sum()) / total if total > 0 else 1.0


def plot_items(items: ItemVectors, path: Path) -> float:
    """Draw the items; returns the share of the variance that the plane has.

    Raises
    ------
    UserError
        If a vector is not finite, matplotlib is not installed, or the file cannot be written.
    """
    if not np.isfinite(items.vectors).all():
        raise UserError("A vector has a value that is not finite; the items cannot be plotted.")
    plane, share = principal_plane(items.vectors)
    counts = Counter(category for category in items.categories if category)
    named = [category for category, _ in counts.most_common(N_COLORS)]
    labels = np.array([category if category in named else _OTHER for category in items.categories])
    size = min(40.0, max(3.0, 30_000 / len(plane)))
    with figure_file(path, 10, 8, option="--output") as figure:
        axes = figure.subplots()
        for label, color in [(_OTHER, "0.8"), *((name, f"C{number}") for number, name in enumerate(named))]:
            points = plane[labels == label]
            if len(points):
                axes.scatter(points[:, 0], points[:, 1], s=size, color=color, label=label, linewidths=0)
        axes.set_aspect("equal", "datalim")
        axes.set_title(f"{len(plane):,} items; {share:.0%} of the variance")
        if counts:
            figure.legend(loc="outside right upper", markerscale=(40.0 / size) ** 0.5)
    return share
