"""Weights of the two-tower model in the form in which they are served, made outside of the event loop."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Hashes, Items, Scores
from stream_app.models.item_clusters import group_vectors
from stream_app.models.kernels.two_tower import Clusters, EncoderScratch, Weights
from stream_app.models.resident import resident_bytes
from stream_app.models.two_tower_network import Head, NetworkShape, TrainedWeights, check_parameters
from stream_app.models.vector_rows import VectorRows, hash_ids

LARGEST_SHAPE: Final = NetworkShape(
    n_factors=512, context_length=1_000, hidden=2_048, n_gaps=64, n_segments=65_536
)
"""Largest dimensions that are served."""

LARGEST_PARAMETER: Final = 100.0
"""Largest absolute value of a parameter: no product of parameters of the largest shape is infinite then."""


class PreparedWeights(NamedTuple):
    """Weights without the items of an index.

    Attributes
    ----------
    vectors : ndarray of float32, shape (rows, factors)
        Of length 1, group by group.
    row_hashes : ndarray of uint64, shape (rows,)
        Hash of the id of each row.
    starts : ndarray of int32, shape (groups + 1,)
        First row of each group.
    centroids : ndarray of float32, shape (groups, factors)
    """

    shape: NetworkShape
    version: str
    weights: Weights
    vectors: NDArray[np.float32]
    row_hashes: Hashes
    starts: Items
    centroids: NDArray[np.float32]


class ServedWeights(NamedTuple):
    """Weights with the items of an index; replaced as a whole."""

    shape: NetworkShape
    version: str
    weights: Weights
    clusters: Clusters
    rows: VectorRows
    scratch: EncoderScratch
    users: NDArray[np.float32]  # shape (heads, factors): the vectors of the user that was encoded last
    scales: NDArray[
        np.float32
    ]  # shape (heads,): factors of the cosines; 0 for a head that learned nothing yet
    order: Items  # shape (clusters,)
    found_scores: Scores  # shape (rows,)
    found_items: Items  # shape (rows,)

    def memory(self) -> int:
        """Bytes held."""
        scratch = (*self.scratch, self.users, self.scales, self.order, self.found_scores, self.found_items)
        arrays = (*self.weights, *self.clusters, *scratch)
        return resident_bytes(arrays) + self.rows.memory()


def check_servable(trained: TrainedWeights) -> None:
    """Check that weights can be served: whatever is computed from them is finite.

    Raises
    ------
    ValueError
        If a dimension is out of range, a parameter does not fit its shape or is too large, or vectors are missing.

    Examples
    --------
    >>> from stream_app.models.two_tower_network import first_parameters
    >>> shape = NetworkShape(n_factors=4, hidden=2, context_length=0)
    >>> check_servable(TrainedWeights(shape, first_parameters(shape, 7), [], np.zeros((0, 4), np.float32)))
    Traceback (most recent call last):
    ValueError: context_length is 0; this worker serves 1 to 1000
    """
    shape = trained.shape
    for name in shape.__struct_fields__:
        value, largest = getattr(shape, name), getattr(LARGEST_SHAPE, name)
        if name == "encoder":
            continue  # one of two, or it would not have been decoded
        smallest = 0 if name == "n_segments" else 1
        if not smallest <= value <= largest:
            raise ValueError(f"{name} is {value}; this worker serves {smallest} to {largest}")
    check_parameters(trained.parameters, shape)
    for name, array in trained.parameters.items():
        if np.abs(array).max(initial=0.0) > LARGEST_PARAMETER:
            raise ValueError(f"{name} has values beyond {LARGEST_PARAMETER:g}")
    if trained.parameters["scale"].min() <= 0.0:
        raise ValueError("scale has values that are not positive")
    if trained.vectors.shape != (len(trained.item_ids), shape.n_factors):
        raise ValueError(f"there are no vectors of {len(trained.item_ids)} items")


def prepare_weights(
    trained: TrainedWeights,
    version: str,
    earlier_centroids: NDArray[np.float32] | None = None,
    pause: Callable[[], None] = lambda: None,
) -> PreparedWeights:
    """Group the vectors, hash the ids, and copy everything as kernels read it: seconds of work for many items.

    Parameters
    ----------
    earlier_centroids : ndarray of float32, shape (groups, factors)
        Of the weights before, from which the grouping begins.
    pause
        Called after every few milliseconds in which no other thread can run.

    Raises
    ------
    ValueError
        If the weights cannot be served.
    """
    check_servable(trained)
    grouping = group_vectors(trained.vectors, earlier_centroids)
    pause()
    return PreparedWeights(
        trained.shape,
        version,
        Weights(
            **{name: np.ascontiguousarray(value, np.float32) for name, value in trained.parameters.items()}
        ),
        np.ascontiguousarray(trained.vectors[grouping.order]),
        hash_ids(trained.item_ids, pause)[grouping.order],
        grouping.starts,
        grouping.centroids,
    )


def serve_weights(prepared: PreparedWeights, index_hashes: Hashes) -> ServedWeights:
    """Find the items of an index, and allocate the memory of the kernels: some 50 ms for many items.

    Parameters
    ----------
    index_hashes : ndarray of uint64, shape (n,)
        Hashes of the ids of the index; a copy.
    """
    shape, d, n = prepared.shape, prepared.shape.n_factors, len(prepared.vectors)
    rows = VectorRows(prepared.row_hashes, index_hashes)
    return ServedWeights(
        shape,
        prepared.version,
        prepared.weights,
        Clusters(prepared.vectors, rows.items, prepared.starts, prepared.centroids),
        rows,
        EncoderScratch(
            np.zeros((shape.context_length, d), np.float32),
            np.zeros(shape.context_length, np.float32),
            np.zeros(shape.context_length, np.float32),
            np.zeros(d, np.float32),
            np.zeros(d, np.float32),
            np.zeros(d, np.float32),
            np.zeros(shape.hidden, np.float32),
        ),
        np.zeros((len(Head), d), np.float32),
        _scales(prepared.weights),
        np.arange(len(prepared.centroids), dtype=np.int32),
        np.zeros(n, np.float32),
        np.zeros(n, np.int32),
    )


def _scales(weights: Weights) -> NDArray[np.float32]:
    # a head is zeros until its first target
    has_learned = np.abs(weights.heads).max(axis=(1, 2)) > 0.0
    has_learned[Head.VIEW] = True
    scales: NDArray[np.float32] = np.where(has_learned, weights.scale, 0.0).astype(np.float32)
    return scales
