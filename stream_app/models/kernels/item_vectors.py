"""The compiled inner loops of `stream_app.models.item_vectors`."""

# ruff: noqa: C901, PLR0912 - one loop, one kernel: arrays are costly to pass on

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import FUNCTIONS, jit
from stream_app.models.kernels.sessions import Memory


class Vectors(NamedTuple):
    """What is learned.

    Attributes
    ----------
    items : ndarray of float32, shape (items, factors)
        Unit vectors; 0 for an item not met yet.
    sums : ndarray of float32, shape (items,)
        Adagrad's sums of squared slopes.
    gates : ndarray of float32, shape (steps back, factors)
        What each dimension of an item counts for the session, by clicks since.
    gate_sums : ndarray of float32, shape (steps back,)
        Adagrad's, of the gates.
    ring : ndarray of int32, shape (recent,)
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
def _draw(vectors: Vectors, n: int) -> int:
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
def _point(vectors: Vectors, clicks: Any, session: Any) -> Any:
    """Make the session's unit vector; return its length before, 0 where no item of it is known."""
    factors = len(session)
    for d in range(factors):
        session[d] = 0.0
    for back in range(min(len(clicks), len(vectors.gates))):
        item = clicks[len(clicks) - 1 - back]
        if 0 <= item < len(vectors.items):
            vector, gate = vectors.items[item], vectors.gates[back]
            for d in range(factors):
                session[d] += gate[d] * vector[d]
    length = np.sqrt(_dot(session, session))
    if length > 0:
        shrink = np.float32(1.0) / length
        for d in range(factors):
            session[d] *= shrink
    return length


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _step(
    vectors: Vectors,
    clicks: Any,
    item: int,
    scale: Any,
    rate: Any,
    session: Any,
    slope: Any,
    samples: Any,
    chances: Any,
) -> None:
    """One step of the sampled softmax for a click after others."""
    factors = len(session)
    pool = min(vectors.counters[0], len(vectors.ring))
    if len(clicks) == 0 or clicks[len(clicks) - 1] == item or pool < 16:
        return
    length = _point(vectors, clicks, session)
    if length <= 0:
        return
    samples[0] = item
    n = 1
    for _ in range(len(samples) - 1):
        other = vectors.ring[_draw(vectors, pool)]
        if other != item and other >= 0:
            samples[n] = other
            n += 1
    largest = np.float32(-1e9)
    for at in range(n):
        chances[at] = scale * _dot(session, vectors.items[samples[at]])
        largest = max(largest, chances[at])
    total = np.float32(0.0)
    for at in range(n):
        chances[at] = np.exp(chances[at] - largest)
        total += chances[at]
    for d in range(factors):
        slope[d] = 0.0
    for at in range(n):
        error = chances[at] / total
        if at == 0:
            error -= np.float32(1.0)
        if abs(error) < 1e-3:
            continue
        other = samples[at]
        vector = vectors.items[other]
        for d in range(factors):
            slope[d] += error * vector[d]
        vectors.sums[other] += error * error
        step = rate * error / np.sqrt(vectors.sums[other])
        for d in range(factors):
            vector[d] -= step * session[d]
        _scale_to_unit(vector)
    # back through the scaling to length 1
    along = _dot(slope, session)
    for d in range(factors):
        slope[d] -= along * session[d]
    size = _dot(slope, slope)
    for back in range(min(len(clicks), len(vectors.gates))):
        item_back = clicks[len(clicks) - 1 - back]
        if 0 <= item_back < len(vectors.items):
            vector, gate = vectors.items[item_back], vectors.gates[back]
            mean = np.float32(0.0)
            for d in range(factors):
                mean += gate[d]
            share = mean / np.float32(factors) / length
            vectors.sums[item_back] += share * share * size
            step = rate / np.sqrt(vectors.sums[item_back]) / length
            vectors.gate_sums[back] += size / (length * length)
            gate_step = rate * np.float32(0.1) / np.sqrt(vectors.gate_sums[back]) / length
            for d in range(factors):
                before = vector[d]
                vector[d] -= step * gate[d] * slope[d]
                gate[d] -= gate_step * before * slope[d]
            _scale_to_unit(vector)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def learn(
    vectors: Vectors,
    memory: Memory,
    item: int,
    tie: Any,
    clicks: Any,
    newest: int,
    replays: int,
    scale: Any,
    rate: Any,
    session: Any,
    slope: Any,
    samples: Any,
    chances: Any,
) -> None:
    """Learn a click after the earlier clicks of its session, and replay some from memory.

    Parameters
    ----------
    vectors
        What is learned.
    memory
        Remembered sessions.
    item, tie
        The item clicked, and the stable hash of its id, which its first vector is drawn by.
    clicks : ndarray of int32
        Earlier items of the session, oldest first.
    newest
        Serial of the newest session.
    replays, scale, rate
        See `ItemVectors`.
    session, slope, samples, chances
        Scratch.
    """
    vector = vectors.items[item]
    if _dot(vector, vector) == 0.0:
        known = _point(vectors, clicks, session) > 0
        state = np.uint64(tie) | np.uint64(1)
        for d in range(len(vector)):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            vector[d] = np.float32(float(state >> np.uint64(11)) / 9007199254740992.0 - 0.5)
        _scale_to_unit(vector)
        if known:
            for d in range(len(vector)):
                vector[d] = vector[d] * np.float32(0.7) + session[d]
            _scale_to_unit(vector)
    vectors.ring[vectors.counters[0] % len(vectors.ring)] = item
    vectors.counters[0] += 1
    _step(vectors, clicks, item, scale, rate, session, slope, samples, chances)
    if len(clicks) == 0:
        return
    rows = len(memory.sizes)
    for _ in range(replays):
        serial = newest - _draw(vectors, min(newest, rows - 1) + 1)
        row = serial % rows
        size = memory.sizes[row]
        if memory.serials[row] != serial or size < 2:
            continue
        at = 1 + _draw(vectors, size - 1)
        again = memory.items[row, at]
        if again >= 0:
            _step(vectors, memory.items[row, :at], again, scale, rate, session, slope, samples, chances)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def cosines(vectors: Vectors, clicks: Any, items: Any, session: Any, out: Any) -> None:
    """Write 1 + cosine of each item with the session; 0 where either is unknown."""
    if _point(vectors, clicks, session) <= 0:
        return
    for at in range(len(items)):
        item = items[at]
        if 0 <= item < len(vectors.items):
            vector = vectors.items[item]
            if _dot(vector, vector) > 0:
                out[at] = np.float32(1.0) + _dot(session, vector)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def cosines_beside(vectors: Vectors, others: Any, items: Any, out: Any) -> None:
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
