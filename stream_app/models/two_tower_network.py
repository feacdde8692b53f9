"""The network of the two-tower model: its dimensions, its parameters, and their first values."""

import math
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.models.id_index import stable_hash
from topics.records import Kind

Array = NDArray[np.float32]


class Head(IntEnum):
    """What the user does next with the item: each has an output of its own."""

    VIEW = 0
    CART = 1
    PURCHASE = 2


HEAD_OF_KIND: Final[Mapping[Kind, Head]] = {
    Kind.VIEW: Head.VIEW,
    Kind.DETAIL: Head.VIEW,
    Kind.WISHLIST: Head.CART,
    Kind.SHARE: Head.VIEW,
    Kind.LIKE: Head.VIEW,
    Kind.CART: Head.CART,
    Kind.PURCHASE: Head.PURCHASE,
}
"""The head that predicts an interaction; kinds without one are not predicted."""

GAP_UNIT_SECONDS: Final = 30.0
"""Gaps below this share the first bucket; each further bucket is twice as wide."""

MAX_SEGMENTS: Final = 4
"""Segments of a user that are read, the first ones."""

LATER_PARAMETERS: Final = ("segment", "segment_gate")
"""Parameters that checkpoints of the first versions do not have; empty in a shape without segments."""

FIRST_SCALE: Final = 14.0
"""Factor of the cosines in the softmax before anything is learned."""


class NetworkShape(msgspec.Struct, frozen=True, kw_only=True):
    """Dimensions of the network; two checkpoints with equal shapes are interchangeable."""

    n_factors: int = 64
    """Length of the vectors of users and items."""
    context_length: int = 20
    """Newest interactions of the user that the encoder reads."""
    hidden: int = 128
    """Units of the hidden layer."""
    n_gaps: int = 12
    """Buckets of the time between two interactions."""
    encoder: Literal["attention", "gru"] = "attention"
    """What mixes the interactions: causal attention, or a gated recurrent unit."""
    n_segments: int = 0
    """Slots of the vectors of users' segments (country, channel), which are hashed; 0 for no such vectors."""


def parameter_shapes(shape: NetworkShape) -> dict[str, tuple[int, ...]]:
    """The name and the dimensions of each parameter but the item vectors.

    Examples
    --------
    >>> parameter_shapes(NetworkShape())["query"]
    (64, 64)
    """
    d, hidden = shape.n_factors, shape.hidden
    is_gru = shape.encoder == "gru"
    # the parameters of the other encoder have no rows
    attended, recurrent = (0, d) if is_gru else (d, 0)
    return {
        "position": (shape.context_length, d),
        "kind": (len(Head), d),
        "gap": (shape.n_gaps, d),
        "query": (attended, d),
        "key": (attended, d),
        "distance": (0 if is_gru else shape.context_length,),
        "gates_of_token": (recurrent, 3 * d),
        "gates_of_state": (recurrent, 3 * d),
        "gate_bias": (3 * d if is_gru else 0,),
        "last": (1,),
        "hidden": (d, hidden),
        "hidden_bias": (hidden,),
        "output": (hidden, d),
        "output_bias": (d,),
        "heads": (len(Head), d, d),
        "scale": (len(Head),),
        "segment": (shape.n_segments, d),
        # by the number of interactions that are read
        "segment_gate": (shape.context_length + 1 if shape.n_segments else 0,),
    }


def first_parameters(shape: NetworkShape, seed: int) -> dict[str, Array]:
    """Parameters before anything is learned.

    Attention is uniform, the heads are equal, and the additions to the sum of the item vectors are small: the user
    vector begins as the mean of the items.

    Examples
    --------
    >>> parameters = first_parameters(NetworkShape(), seed=7)
    >>> parameters["scale"].tolist()
    [14.0, 14.0, 14.0]
    """
    rng = np.random.default_rng(seed)
    parameters = {name: np.zeros(size, np.float32) for name, size in parameter_shapes(shape).items()}
    for name in ("query", "key", "gates_of_token", "gates_of_state", "hidden", "output"):
        array = parameters[name]
        array[...] = rng.normal(0.0, 1.0 / math.sqrt(max(1, array.shape[0])), array.shape)
    parameters["output"] *= 0.1
    for name in ("position", "kind", "gap", "segment"):
        parameters[name][...] = rng.normal(0.0, 0.01, parameters[name].shape)
    parameters["last"][...] = 0.5
    parameters["scale"][...] = FIRST_SCALE
    # the more interactions, the less the segments say
    parameters["segment_gate"][...] = 1.0 / (1.0 + np.arange(len(parameters["segment_gate"])))
    return parameters


def gap_buckets(times: NDArray[np.float64], n_gaps: int) -> NDArray[np.int32]:
    """The bucket of the time between each interaction and the one before; 0 for the first.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        Event times in seconds, ascending.

    Examples
    --------
    >>> gap_buckets(np.array([0.0, 10.0, 100.0, 86_500.0]), 12).tolist()
    [0, 0, 2, 11]
    """
    buckets = np.zeros(len(times), np.int32)
    gaps = times[1:] - times[:-1]
    # a worker does this for each list: operations in place, without those of `numpy.diff`
    np.maximum(gaps, 0.0, out=gaps)
    gaps /= GAP_UNIT_SECONDS
    gaps += 1.0
    np.log2(gaps, out=gaps)
    np.minimum(gaps, n_gaps - 1, out=gaps)
    buckets[1:] = gaps
    return buckets


def segment_slots(segments: Sequence[str], n_slots: int) -> NDArray[np.int32]:
    """The slots of a user's first segments, shape (at most `MAX_SEGMENTS`,); none if there are no slots.

    Examples
    --------
    >>> slots = segment_slots(("country:FR", "channel:web"), 64)
    >>> len(slots), slots[:1].tolist() == segment_slots(("country:FR",), 64).tolist()
    (2, True)
    >>> segment_slots(("country:FR",), 0).tolist()
    []
    """
    read = segments[:MAX_SEGMENTS] if n_slots else ()
    return np.array([stable_hash(name) % n_slots for name in read], np.int32)


def with_later_parameters(parameters: Mapping[str, Any], shape: NetworkShape) -> dict[str, Any]:
    """The parameters of a shape, with empty ones where an earlier version had none.

    Examples
    --------
    >>> with_later_parameters({}, NetworkShape())["segment"].shape
    (0, 64)
    """
    sizes = parameter_shapes(shape)
    missing = [name for name in LATER_PARAMETERS if name not in parameters and 0 in sizes[name]]
    return {**parameters, **{name: np.zeros(sizes[name], np.float32) for name in missing}}


def served_parameters(parameters: Mapping[str, Any], shape: NetworkShape) -> dict[str, Array]:
    """Copies of the parameters that a worker needs, of all those of a training."""
    found = with_later_parameters(parameters, shape)
    return {name: np.array(found[name]) for name in parameter_shapes(shape)}


def check_parameters(parameters: Mapping[str, Any], shape: NetworkShape) -> None:
    """Check that parameters have the dimensions of a shape.

    Raises
    ------
    ValueError
        If one is missing, superfluous, of another size, or not finite.
    """
    expected = parameter_shapes(shape)
    if parameters.keys() != expected.keys():
        raise ValueError(f"the parameters are {sorted(parameters)}, not {sorted(expected)}")
    for name, size in expected.items():
        array = parameters[name]
        if array.shape != size:
            raise ValueError(f"{name} has the dimensions {array.shape}, not {size}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has values that are not finite")


class TrainedWeights(NamedTuple):
    """Everything that a worker needs of a trained model.

    Attributes
    ----------
    parameters
        By name, see `parameter_shapes`.
    item_ids
        The items with a vector.
    vectors : ndarray of float32, shape (n, factors)
        Of length 1, in the order of `item_ids`.
    """

    shape: NetworkShape
    parameters: dict[str, Array]
    item_ids: list[str]
    vectors: Array
