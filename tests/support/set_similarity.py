"""Similarities of vectors and sets by their definitions, to compare the models with."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Cosine of two vectors of equal length; 0 if one of them is all zeros."""
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths > 0 else 0.0


def pearson(left: Sequence[float], right: Sequence[float]) -> float:
    """Pearson's correlation of two vectors of equal length; 0 if one of them is constant."""
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    return cosine((a - a.mean()).tolist(), (b - b.mean()).tolist())


def jaccard(left: AbstractSet[object], right: AbstractSet[object]) -> float:
    """Number of members in both sets per member in either; 0 for two empty sets."""
    union = len(left | right)
    return len(left & right) / union if union else 0.0
