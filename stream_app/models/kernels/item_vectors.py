"""Learning steps and cosines of item vectors."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Scores
from stream_app.models.kernels.factors import dot
from stream_app.models.kernels.jit import FUNCTIONS, jit
from stream_app.models.kernels.random import fill_uniform, randint

MIN_POOL = 16
"""Recent clicks that must be there before a step is taken."""


class Vectors(NamedTuple):
    """Learned vectors and the state of learning."""

    items: Scores  # shape (n_items, n_factors): unit vectors; 0 for an item without one
    sums: Scores  # shape (n_items,): Adagrad's sums of squared gradients
    # shape (steps back, n_factors): weight of each dimension of a session's item, by the clicks since
    gates: Scores
    gate_sums: Scores  # shape (steps back,): Adagrad's sums of the gates
    ring: Items  # shape (recent_clicks,): newest clicks, which negatives are sampled from
    counters: NDArray[np.int64]  # shape (2,): number of clicks learned, and the state of the random generator


class VectorScratch(NamedTuple):
    """Working memory of a learning step."""

    # session, gradient, shape (n_factors,): unit vector of the session, and the gradient of the loss with
    # respect to it
    session: Scores
    gradient: Scores
    samples: Items  # shape (negatives + 1,): the clicked item, then the negatives
    probabilities: Scores  # shape (negatives + 1,): softmax over the samples, not normalized


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _scale_to_unit(vector: Scores) -> None:
    shrink = np.float32(1.0) / np.sqrt(dot(vector, vector) + np.float32(1e-12))
    for d in range(len(vector)):
        vector[d] *= shrink


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _session_vector(vectors: Vectors, clicks: Items, session: Scores) -> np.float32:
    """Write the unit vector of a session; return its length before scaling, 0 if no item has a vector."""
    n_factors = len(session)
    for d in range(n_factors):
        session[d] = 0.0
    for back in range(min(len(clicks), len(vectors.gates))):
        item = clicks[len(clicks) - 1 - back]
        if 0 <= item < len(vectors.items):
            vector, gate = vectors.items[item], vectors.gates[back]
            for d in range(n_factors):
                session[d] += gate[d] * vector[d]
    length: np.float32 = np.sqrt(dot(session, session))
    if length > 0:
        shrink = np.float32(1.0) / length
        for d in range(n_factors):
            session[d] *= shrink
    return length


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _sample(vectors: Vectors, item: int, pool: int, samples: Items) -> int:
    """Write the item and sampled recent clicks of other items; return the number of samples."""
    samples[0] = item
    n = 1
    for _ in range(len(samples) - 1):
        other = vectors.ring[randint(vectors.counters[1:], pool)]
        if other != item and other >= 0:
            samples[n] = other
            n += 1
    return n


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _update_samples(
    vectors: Vectors, n: int, scale: np.float32, learning_rate: np.float32, scratch: VectorScratch
) -> None:
    """Move the vectors of the samples, and add up the gradient of the session vector."""
    session, gradient, samples, probabilities = scratch
    n_factors = len(session)
    largest = np.float32(-1e9)
    for at in range(n):
        probabilities[at] = scale * dot(session, vectors.items[samples[at]])
        largest = max(largest, probabilities[at])
    total = np.float32(0.0)
    for at in range(n):
        probabilities[at] = np.exp(probabilities[at] - largest)
        total += probabilities[at]
    for d in range(n_factors):
        gradient[d] = 0.0
    for at in range(n):
        error = probabilities[at] / total
        if at == 0:
            error -= np.float32(1.0)
        if abs(error) < 1e-3:
            continue
        other = samples[at]
        vector = vectors.items[other]
        for d in range(n_factors):
            gradient[d] += error * vector[d]
        vectors.sums[other] += error * error
        step = learning_rate * error / np.sqrt(vectors.sums[other])
        for d in range(n_factors):
            vector[d] -= step * session[d]
        _scale_to_unit(vector)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _update_session_items(
    vectors: Vectors, clicks: Items, length: np.float32, learning_rate: np.float32, scratch: VectorScratch
) -> None:
    """Move the vectors and gates of the session's items against the gradient."""
    session, gradient = scratch.session, scratch.gradient
    n_factors = len(session)
    # gradient through the scaling to length 1
    projection = dot(gradient, session)
    for d in range(n_factors):
        gradient[d] -= projection * session[d]
    size = dot(gradient, gradient)
    for back in range(min(len(clicks), len(vectors.gates))):
        item = clicks[len(clicks) - 1 - back]
        if 0 <= item < len(vectors.items):
            vector, gate = vectors.items[item], vectors.gates[back]
            mean = np.float32(0.0)
            for d in range(n_factors):
                mean += gate[d]
            share = mean / np.float32(n_factors) / length
            vectors.sums[item] += share * share * size
            step = learning_rate / np.sqrt(vectors.sums[item]) / length
            vectors.gate_sums[back] += size / (length * length)
            gate_step = learning_rate * np.float32(0.1) / np.sqrt(vectors.gate_sums[back]) / length
            for d in range(n_factors):
                previous_value = vector[d]
                vector[d] -= step * gate[d] * gradient[d]
                gate[d] -= gate_step * previous_value * gradient[d]
            _scale_to_unit(vector)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _initialize(vectors: Vectors, item: int, item_hash: np.uint64, clicks: Items, session: Scores) -> None:
    """Give an item its first vector: noise by the hash of its id, near the session if that has a vector."""
    vector = vectors.items[item]
    has_session = _session_vector(vectors, clicks, session) > 0
    fill_uniform(np.uint64(item_hash) | np.uint64(1), 1.0, vector)
    _scale_to_unit(vector)
    if has_session:
        for d in range(len(vector)):
            vector[d] = vector[d] * np.float32(0.7) + session[d]
        _scale_to_unit(vector)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def learn_click(
    vectors: Vectors,
    item: int,
    item_hash: np.uint64,
    clicks: Items,
    scale: np.float32,
    learning_rate: np.float32,
    scratch: VectorScratch,
) -> None:
    """Learn a click by one step of the sampled softmax.

    Parameters
    ----------
    item, item_hash
        The clicked item, and the hash of its id (uint64), which seeds its first vector.
    clicks : ndarray of int32, shape (n,)
        Earlier items of the session, oldest first.
    scale, learning_rate : float32
        See `stream_app.models.item_vectors.ItemVectors`.
    """
    vectors = Vectors(*vectors)
    scratch = VectorScratch(*scratch)
    vector = vectors.items[item]
    if dot(vector, vector) == 0.0:
        _initialize(vectors, item, item_hash, clicks, scratch.session)
    vectors.ring[vectors.counters[0] % len(vectors.ring)] = item
    vectors.counters[0] += 1
    pool = min(vectors.counters[0], len(vectors.ring))
    if len(clicks) == 0 or clicks[len(clicks) - 1] == item or pool < MIN_POOL:
        return
    length = _session_vector(vectors, clicks, scratch.session)
    if length <= 0:
        return
    n = _sample(vectors, item, pool, scratch.samples)
    _update_samples(vectors, n, scale, learning_rate, scratch)
    _update_session_items(vectors, clicks, length, learning_rate, scratch)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def cosines(vectors: Vectors, clicks: Items, items: Items, session: Scores, out: Scores) -> None:
    """Write 1 + cosine of each item with a session; `out` is left as it is where either has no vector.

    Parameters
    ----------
    clicks : ndarray of int32, shape (m,)
        Items of the session, oldest first.
    items : ndarray of int32, shape (n,)
    session : ndarray of float32, shape (n_factors,)
        Scratch.
    out : ndarray of float32, shape (n,)
        Receives the values; zeros before the call.
    """
    vectors = Vectors(*vectors)
    if _session_vector(vectors, clicks, session) <= 0:
        return
    for at in range(len(items)):
        item = items[at]
        if 0 <= item < len(vectors.items):
            vector = vectors.items[item]
            if dot(vector, vector) > 0:
                out[at] = np.float32(1.0) + dot(session, vector)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def pairwise_cosines(vectors: Vectors, others: Items, items: Items, out: Scores) -> None:
    """Write 1 + cosine of each pair, 2 for an item with itself; `out` is left as it is where one has no vector.

    Parameters
    ----------
    others : ndarray of int32, shape (m,)
    items : ndarray of int32, shape (n,)
    out : ndarray of float32, shape (m, n)
        Receives the values; zeros before the call.
    """
    vectors = Vectors(*vectors)
    for left in range(len(others)):
        other = others[left]
        if not 0 <= other < len(vectors.items):
            continue
        for right in range(len(items)):
            item = items[right]
            if item == other:
                out[left, right] = np.float32(2.0)
            elif 0 <= item < len(vectors.items):
                cosine = dot(vectors.items[other], vectors.items[item])
                # Learned vectors are practically never orthogonal, so 0 means that one has no vector.
                if cosine != 0:
                    out[left, right] = np.float32(1.0) + cosine
