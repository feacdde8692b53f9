"""Similarities of two sets, computed from their counts."""

from collections.abc import Sequence
from typing import Final

from stream_app.models.array_types import Floats
from stream_app.models.kernels.item_to_item import Similarity

SIMILARITIES: Final = tuple(each.name.lower() for each in Similarity)
"""Names of the similarities in settings."""


def similarity_named(name: str, choices: Sequence[str] = SIMILARITIES) -> Similarity:
    """Look up a similarity.

    Raises
    ------
    ValueError
        If `name` is not one of `choices`.

    Examples
    --------
    >>> similarity_named("pearson").value
    2
    >>> similarity_named("cosinus")
    Traceback (most recent call last):
    ValueError: similarity must be one of cosine, jaccard, pearson, lift, not 'cosinus'
    """
    if name not in choices:
        raise ValueError(f"similarity must be one of {', '.join(choices)}, not {name!r}")
    return Similarity[name.upper()]


def count_cosine(both: Floats, left: Floats, right: Floats) -> Floats:
    """Cosine of two sets as vectors of zeros and ones.

    Parameters
    ----------
    both : ndarray of float64, shape (n,)
        Members in common; counts may be decayed sums.
    left, right : ndarray of float64, shape (n,)
        Members of each set; above 0.
    """
    return both / (left * right) ** 0.5


def count_jaccard(both: Floats, left: Floats, right: Floats) -> Floats:
    """Jaccard similarity of two sets: members in both per members in either; parameters as for `count_cosine`."""
    return both / (left + right - both)


def count_pearson(both: Floats, left: Floats, right: Floats, total: Floats) -> Floats:
    """Pearson's correlation of two sets as vectors of zeros and ones (the phi coefficient).

    Parameters
    ----------
    both, left, right : ndarray of float64, shape (n,)
        As for `count_cosine`.
    total : ndarray of float64, shape (n,)
        Length of the vectors; above `left` and `right`.
    """
    variances = left * (total - left) * right * (total - right)
    return (total * both - left * right) / variances**0.5
