"""The compiled inner loops of `stream_app.models.item_vectors`."""

# ruff: noqa: C901, PLR0912 - one loop, one kernel: arrays are costly to pass on

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import FUNCTIONS, jit
from stream_app.models.kernels.sessions import SessionArrays


class Vectors(NamedTuple):
    """What is learned.

    Attributes
    ----------
    items : ndarray of float32, shape (items, n_factors)
        Unit vectors; 0 for an item not met yet.
    sums : ndarray of float32, shape (items,)
        Adagrad's sums of squared slopes.
    gates : ndarray of float32, shape (steps back, n_factors)
        What each dimension of an item counts for the session, by clicks since.
    gate_sums : ndarray of float32, shape (steps back,)
        Adagrad's, of the gates.
    ring : ndarray of int32, shape (recent_clicks,)
        The newest clicks, from which samples are drawn.
    counters : ndarray of int64, shape (2,)
        Clicks learned, and the state of the generator of samples.
    """

    items: NDArray[np.float32]
    sums: NDArray[np.float32]
    gates: NDArray[np.float32]
    gate_sums: NDArray[np.float32]
    ring: NDArray[np.int32]
    counters: NDArray[np.int64]


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _randint(vectors: Vectors, n: int) -> int:
    """A number below n (a linear congruential generator)."""
    state = (vectors.counters[1] * 6364136223846793005 + 1442695040888963407) & 0x7FFFFFFFFFFFFFFF
    vectors.counters[1] = state
    return int((state >> 20) % n)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _dot(left: Any, right: Any) -> Any:
    total = np.float32(0.0)
    for d in range(len(left)):
        total += left[d] * right[d]
    return total


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _scale_to_unit(vector: Any) -> None:
    shrink = np.float32(1.0) / np.sqrt(_dot(vector, vector) + np.float32(1e-12))
    for d in range(len(vector)):
        vector[d] *= shrink


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _session_vector(vectors: Vectors, clicks: Any, session: Any) -> Any:
    """Make the session's unit vector; return its length before, 0 where no item of it is known."""
    n_factors = len(session)
    for d in range(n_factors):
        session[d] = 0.0
    for back in range(min(len(clicks), len(vectors.gates))):
        item = clicks[len(clicks) - 1 - back]
        if 0 <= item < len(vectors.items):
            vector, gate = vectors.items[item], vectors.gates[back]
            for d in range(n_factors):
                session[d] += gate[d] * vector[d]
    length = np.sqrt(_dot(session, session))
    if length > 0:
        shrink = np.float32(1.0) / length
        for d in range(n_factors):
            session[d] *= shrink
    return length


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _step(
    vectors: Vectors,
    clicks: Any,
    item: int,
    scale: Any,
    learning_rate: Any,
    session: Any,
    gradient: Any,
    samples: Any,
    probabilities: Any,
) -> None:
    """One step of the sampled softmax for a click after others."""
    n_factors = len(session)
    pool = min(vectors.counters[0], len(vectors.ring))
    if len(clicks) == 0 or clicks[len(clicks) - 1] == item or pool < 16:
        return
    length = _session_vector(vectors, clicks, session)
    if length <= 0:
        return
    samples[0] = item
    n = 1
    for _ in range(len(samples) - 1):
        other = vectors.ring[_randint(vectors, pool)]
        if other != item and other >= 0:
            samples[n] = other
            n += 1
    largest = np.float32(-1e9)
    for at in range(n):
        probabilities[at] = scale * _dot(session, vectors.items[samples[at]])
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
    # back through the scaling to length 1
    projection = _dot(gradient, session)
    for d in range(n_factors):
        gradient[d] -= projection * session[d]
    size = _dot(gradient, gradient)
    for back in range(min(len(clicks), len(vectors.gates))):
        item_back = clicks[len(clicks) - 1 - back]
        if 0 <= item_back < len(vectors.items):
            vector, gate = vectors.items[item_back], vectors.gates[back]
            mean = np.float32(0.0)
            for d in range(n_factors):
                mean += gate[d]
            share = mean / np.float32(n_factors) / length
            vectors.sums[item_back] += share * share * size
            step = learning_rate / np.sqrt(vectors.sums[item_back]) / length
            vectors.gate_sums[back] += size / (length * length)
            gate_step = learning_rate * np.float32(0.1) / np.sqrt(vectors.gate_sums[back]) / length
            for d in range(n_factors):
                previous_value = vector[d]
                vector[d] -= step * gate[d] * gradient[d]
                gate[d] -= gate_step * previous_value * gradient[d]
            _scale_to_unit(vector)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def learn(
    vectors: Vectors,
    memory: SessionArrays,
    item: int,
    item_hash: Any,
    clicks: Any,
    newest: int,
    replays: int,
    scale: Any,
    learning_rate: Any,
    session: Any,
    gradient: Any,
    samples: Any,
    probabilities: Any,
) -> None:
    """Learn a click after the earlier clicks of its session, and replay some from memory.

    Parameters
    ----------
    vectors
        What is learned.
    memory
        Remembered sessions.
    item, item_hash
        The item clicked, and the stable hash of its id, which its first vector is drawn by.
    clicks : ndarray of int32
        Earlier items of the session, oldest first.
    newest
        Serial of the newest session.
    replays, scale, learning_rate
        See `ItemVectors`.
    session, gradient, samples, probabilities
        Scratch.
    """
    vector = vectors.items[item]
    if _dot(vector, vector) == 0.0:
        has_session = _session_vector(vectors, clicks, session) > 0
        state = np.uint64(item_hash) | np.uint64(1)
        for d in range(len(vector)):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            vector[d] = np.float32(float(state >> np.uint64(11)) / 9007199254740992.0 - 0.5)
        _scale_to_unit(vector)
        if has_session:
            for d in range(len(vector)):
                vector[d] = vector[d] * np.float32(0.7) + session[d]
            _scale_to_unit(vector)
    vectors.ring[vectors.counters[0] % len(vectors.ring)] = item
    vectors.counters[0] += 1
    _step(vectors, clicks, item, scale, learning_rate, session, gradient, samples, probabilities)
    if len(clicks) == 0:
        return
    rows = len(memory.sizes)
    for _ in range(replays):
        serial = newest - _randint(vectors, min(newest, rows - 1) + 1)
        row = serial % rows
        size = memory.sizes[row]
        if memory.serials[row] != serial or size < 2:
            continue
        at = 1 + _randint(vectors, size - 1)
        replayed = memory.items[row, at]
        if replayed >= 0:
            _step(
                vectors,
                memory.items[row, :at],
                replayed,
                scale,
                learning_rate,
                session,
                gradient,
                samples,
                probabilities,
            )


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def cosines(vectors: Vectors, clicks: Any, items: Any, session: Any, out: Any) -> None:
    """Write 1 + cosine of each item with the session; 0 where either is unknown."""
    if _session_vector(vectors, clicks, session) <= 0:
        return
    for at in range(len(items)):
        item = items[at]
        if 0 <= item < len(vectors.items):
            vector = vectors.items[item]
            if _dot(vector, vector) > 0:
                out[at] = np.float32(1.0) + _dot(session, vector)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def pairwise_cosines(vectors: Vectors, others: Any, items: Any, out: Any) -> None:
    """Write 1 + cosine of each item with each of some others, 2 for an item with itself; 0 where one is unknown."""
    for left in range(len(others)):
        other = others[left]
        if not 0 <= other < len(vectors.items):
            continue
        for right in range(len(items)):
            item = items[right]
            if item == other:
                out[left, right] = np.float32(2.0)
            elif 0 <= item < len(vectors.items):
                cosine = _dot(vectors.items[other], vectors.items[item])
                # vectors of length 1 are never quite at right angles; 0 means that one was not learned
                if cosine != 0:
                    out[left, right] = np.float32(1.0) + cosine
