"""A hash of the additive models, to compare replicas."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from stream_app.models.array_types import Floats, Hashes, Items
from stream_app.models.base import Model
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.popularity import Popularity
from stream_app.models.search import SearchModel

DIGITS: Final = 6
"""Significant digits of a value in the digest. Sums of floats differ in the last digits with the order of arrival;
the fewer digits, the less likely two replicas round a value to different sides."""

MIN_VALUE: Final = 1e-12
"""Smaller values are left out: two replicas may have decayed them to 0 at different times."""


def digest(models: Iterable[Model], hashes: Hashes, ts: float) -> str:
    """Hash the sums of the additive models, in hex: equal in replicas that folded the same interactions.

    Models that are not additive, and popularity by category (see `Popularity.statistics`), are left out.

    Parameters
    ----------
    models
        Models of a replica.
    hashes : ndarray of uint64, shape (n_items,)
        `ItemIndex.hashes`.
    ts
        Time that values are decayed to, seconds since the epoch.
    """
    tables = (model.statistics(ts) for model in models if isinstance(model, Popularity | ItemToItem))
    return _hash((table for each in tables for table in each), hashes)


def model_digest(model: Model, hashes: Hashes, ts: float) -> str | None:
    """Hash the sums of one model, in hex; None for a model that is not additive. Parameters as for `digest`."""
    if isinstance(model, Popularity | ItemToItem | SearchModel):
        return _hash(model.statistics(ts), hashes)
    return None


def _hash(tables: Iterable[tuple[str, Items, Items, Floats]], hashes: Hashes) -> str:
    rows = [
        f"{label} {a} {b} {value:.{DIGITS - 1}e}"
        for label, left, right, values in tables
        for a, b, value in zip(hashes[left].tolist(), hashes[right].tolist(), values.tolist(), strict=True)
        if value > MIN_VALUE
    ]
    return blake2b("\n".join(sorted(rows)).encode(), digest_size=16).hexdigest()
