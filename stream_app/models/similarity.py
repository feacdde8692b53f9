"""Measures of similarity: of vectors, of sets, and of sets known by their counts alone."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

SIMILARITIES: Final = ("cosine", "jaccard", "pearson", "lift")
"""What two sets can be compared by; the compiled loops know each by its place here."""

Count = TypeVar("Count", float, NDArray[np.float64])


def similarity_code(name: str, choices: Sequence[str] = SIMILARITIES) -> int:
    """Place of a similarity in `SIMILARITIES`.

    Raises
    ------
    ValueError
        If it is not one of those to choose among.

    Examples
    --------
    >>> similarity_code("pearson")
    2
    >>> similarity_code("cosinus")
    Traceback (most recent call last):
    ValueError: similarity must be one of cosine, jaccard, pearson, lift, not 'cosinus'
    """
    if name not in choices:
        raise ValueError(f"similarity must be one of {', '.join(choices)}, not {name!r}")
    return SIMILARITIES.index(name)


# --- vectors and sets ------------------------------------------------------------------------------------


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Cosine of the angle between two vectors of one length; 0 where one of them is all zeros.

    Examples
    --------
    >>> round(cosine((1, 2, 3), (4, 5, 6)), 6)
    0.974632
    """
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths > 0 else 0.0


def pearson(left: Sequence[float], right: Sequence[float]) -> float:
    """Pearson's correlation of two vectors of one length; 0 where one of them does not vary.

    Examples
    --------
    >>> round(pearson((3, 4, 5), (1, 2, 3)), 6)
    1.0
    """
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    return cosine((a - a.mean()).tolist(), (b - b.mean()).tolist())


def jaccard(left: AbstractSet[object], right: AbstractSet[object]) -> float:
    """Share of what is in either set that is in both; 0 for two empty sets.

    Examples
    --------
    >>> jaccard({1, 2, 3, 4}, {2, 3, 5, 6}) == 1 / 3
    True
    """
    union = len(left | right)
    return len(left & right) / union if union else 0.0


def knn_prediction(ratings: Sequence[float], similarities: Sequence[float]) -> float:
    """Rating to expect from those of neighbors: their mean, each counting by its similarity.

    Negative similarities pull the other way, as is usual; 0 where all similarities are 0.

    References
    ----------
    Resnick, Iacovou, Suchak, Bergstrom, Riedl: GroupLens, CSCW 1994.

    Examples
    --------
    >>> round(knn_prediction(ratings=(4, 5, 3), similarities=(0.7, 0.6, 0.5)), 4)
    4.0556
    """
    r, s = np.asarray(ratings, np.float64), np.asarray(similarities, np.float64)
    total = float(np.abs(s).sum())
    return float(r @ s) / total if total > 0 else 0.0


# --- sets by their counts: `both` members in common, of `left` and `right` members, out of `total` ---------


def count_cosine(both: Count, left: Count, right: Count) -> Count:
    """Cosine of two sets as vectors of zeros and ones.

    Parameters
    ----------
    both
        Members in common. All counts may be decayed sums, and arrays of one shape.
    left, right
        Members of each; above 0.

    Examples
    --------
    >>> count_cosine(2.0, 4.0, 4.0)
    0.5
    """
    result: Count = both / (left * right) ** 0.5
    return result


def count_jaccard(both: Count, left: Count, right: Count) -> Count:
    """Jaccard similarity of two sets; parameters as for `count_cosine`.

    Examples
    --------
    >>> count_jaccard(2.0, 4.0, 4.0) == jaccard({1, 2, 3, 4}, {2, 3, 5, 6})
    True
    """
    result: Count = both / (left + right - both)
    return result


def count_pearson(both: Count, left: Count, right: Count, total: Count) -> Count:
    """Pearson's correlation of two sets as vectors of zeros and ones (the phi coefficient).

    Parameters
    ----------
    both, left, right
        As for `count_cosine`.
    total
        Length of the vectors; above `left` and `right`.

    Examples
    --------
    >>> round(count_pearson(2.0, 3.0, 2.0, 6.0), 6) == round(pearson([1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]), 6)
    True
    """
    variances = left * (total - left) * right * (total - right)
    result: Count = (total * both - left * right) / variances**0.5
    return result


def count_lift(both: Count, left: Count, right: Count, total: Count) -> Count:
    """How many times as often two sets meet as they would by chance.

    Parameters
    ----------
    both, left, right
        As for `count_cosine`.
    total
        Of how many the sets are drawn.

    Examples
    --------
    >>> count_lift(2.0, 4.0, 5.0, 100.0)
    10.0
    """
    result: Count = total * both / (left * right)
    return result
