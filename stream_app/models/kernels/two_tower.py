"""The forward pass of the two-tower model, and the search for the items nearest to a user vector."""

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Scores
from stream_app.models.kernels.jit import FUNCTIONS, SUMS, jit

Array = NDArray[np.float32]


class Weights(NamedTuple):
    """Parameters of the encoder; see `stream_app.models.two_tower_network.parameter_shapes`."""

    position: Array
    kind: Array
    gap: Array
    query: Array
    key: Array
    distance: Array
    gates_of_token: Array  # without rows if the encoder is attention
    gates_of_state: Array
    gate_bias: Array
    last: Array
    hidden: Array
    hidden_bias: Array
    output: Array
    output_bias: Array
    heads: Array
    scale: Array
    segment: Array  # without rows if the model reads no segments
    segment_gate: Array


class EncoderScratch(NamedTuple):
    """Memory of one forward pass."""

    tokens: Array  # shape (context length, factors); a recurrent unit leaves what each adds to its state
    attention: Array  # shape (context length,)
    shares: Array  # shape (context length,): receives the share of each interaction in the user vector, sum 1
    query: Array  # shape (factors,)
    folded: Array  # shape (factors,)
    mixed: Array  # shape (factors,)
    hidden: Array  # shape (hidden,)


class Clusters(NamedTuple):
    """Item vectors in groups of near ones, for an approximate search."""

    vectors: Array  # shape (rows, factors): of length 1, cluster by cluster
    items: Items  # shape (rows,): index of each row's item; below 0 for none
    starts: Items  # shape (clusters + 1,): first row of each cluster
    centroids: Array  # shape (clusters, factors)


@jit(fastmath=FUNCTIONS)
def _multiply(vector: Array, matrix: Array, out: Array) -> None:
    """Add the product of a vector and a matrix to `out`."""
    for j in range(len(vector)):
        value = vector[j]
        if value != 0.0:
            for i in range(len(out)):
                out[i] += value * matrix[j, i]


@jit(fastmath=FUNCTIONS)
def _attend(n: int, weights: tuple[Array, ...], scratch: tuple[Array, ...]) -> None:
    """Compute how much the last of `n` tokens attends to each of them."""
    w, s = Weights(*weights), EncoderScratch(*scratch)
    d = s.tokens.shape[1]
    # the query of the last token, folded with the key matrix: no key is computed per token
    s.query[:] = 0.0
    _multiply(s.tokens[n - 1], w.query, s.query)
    for j in range(d):
        total = np.float32(0.0)
        for i in range(d):
            total += w.key[j, i] * s.query[i]
        s.folded[j] = total
    largest = np.float32(-np.inf)
    factor = np.float32(1.0 / math.sqrt(d))
    for at in range(n):
        total = np.float32(0.0)
        for i in range(d):
            total += s.tokens[at, i] * s.folded[i]
        s.attention[at] = total * factor + w.distance[n - 1 - at]
        largest = max(largest, s.attention[at])
    total = np.float32(0.0)
    for at in range(n):
        s.attention[at] = math.exp(s.attention[at] - largest)
        total += s.attention[at]
    for at in range(n):
        s.attention[at] /= total


@jit(fastmath=FUNCTIONS)
def _recur(n: int, weights: tuple[Array, ...], scratch: tuple[Array, ...]) -> None:
    """Compute the state of a gated recurrent unit after `n` tokens in `scratch.mixed`.

    The state is the sum of what each token added and the later ones kept; these replace the tokens.

    References
    ----------
    Cho et al.: Learning phrase representations using RNN encoder-decoder, EMNLP 2014.
    """
    w, s = Weights(*weights), EncoderScratch(*scratch)
    d = s.tokens.shape[1]
    of_token, of_state = np.empty(3 * d, np.float32), np.empty(3 * d, np.float32)
    one = np.float32(1.0)
    s.mixed[:] = 0.0
    for at in range(n):
        of_token[:] = w.gate_bias
        _multiply(s.tokens[at], w.gates_of_token, of_token)
        of_state[:] = 0.0
        _multiply(s.mixed, w.gates_of_state, of_state)
        for i in range(d):
            kept = one / (one + math.exp(-(of_token[i] + of_state[i])))
            reset = one / (one + math.exp(-(of_token[d + i] + of_state[d + i])))
            proposed = math.tanh(of_token[2 * d + i] + reset * of_state[2 * d + i])
            added = (one - kept) * proposed
            s.mixed[i] = kept * s.mixed[i] + added
            for earlier in range(at):
                s.tokens[earlier, i] *= kept
            s.tokens[at, i] = added


@jit(fastmath=FUNCTIONS)
def _write_shares(
    newest: Array, weights: tuple[Array, ...], scratch: tuple[Array, ...], shares: Array
) -> None:
    """Compute the share of each interaction: the length of what it adds to the sum, of which `newest` is a part."""
    w, s = Weights(*weights), EncoderScratch(*scratch)
    n = len(shares)
    is_recurrent = len(w.gate_bias) > 0
    sum_of_all = np.float32(1e-12)
    for at in range(n):
        last = w.last[0] if at == n - 1 else np.float32(0.0)
        if is_recurrent:
            total = np.float32(0.0)
            for i in range(len(newest)):
                total += (s.tokens[at, i] + last * newest[i]) ** 2
            shares[at] = math.sqrt(total)
        else:
            # item vectors have the length 1
            shares[at] = abs(s.attention[at] + last)
        sum_of_all += shares[at]
    for at in range(n):
        shares[at] /= sum_of_all


@jit(fastmath=FUNCTIONS)
def _write_heads(state: Array, heads: Array, out: Array) -> None:
    """Compute the user vector of each head from the state."""
    for head in range(len(out)):
        out[head] = state
        _multiply(state, heads[head], out[head])
        total = np.float32(1e-12)
        for value in out[head]:
            total += value * value
        norm = np.float32(1.0 / math.sqrt(total))
        for i in range(out.shape[1]):
            out[head, i] *= norm


@jit(fastmath=FUNCTIONS)
def _mix(
    vectors: Array,
    rows: Items,
    kinds: Items,
    gaps: Items,
    weights: tuple[Array, ...],
    scratch: tuple[Array, ...],
) -> None:
    """Compute the sum of what was interacted with in `scratch.mixed`; one interaction or more."""
    w, s = Weights(*weights), EncoderScratch(*scratch)
    n, d = len(rows), vectors.shape[1]
    for at in range(n):
        for i in range(d):
            s.tokens[at, i] = (
                vectors[rows[at], i] + w.position[at, i] + w.kind[kinds[at], i] + w.gap[gaps[at], i]
            )
    if len(w.gate_bias):
        _recur(n, weights, scratch)
    else:
        _attend(n, weights, scratch)
        s.mixed[:] = 0.0
        for at in range(n):
            for i in range(d):
                s.mixed[i] += s.attention[at] * vectors[rows[at], i]
    for i in range(d):
        s.mixed[i] += w.last[0] * vectors[rows[n - 1], i]
    _write_shares(vectors[rows[n - 1]], weights, scratch, s.shares[:n])


@jit(fastmath=FUNCTIONS)
def encode(
    vectors: Array,
    rows: Items,
    kinds: Items,
    gaps: Items,
    segments: Items,
    weights: tuple[Array, ...],
    scratch: tuple[Array, ...],
    out: Array,
) -> None:
    """Compute the user vector of each head after some interactions.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, factors)
        Item vectors.
    rows, kinds, gaps : ndarray of int32, shape (m,)
        Vector, head and time bucket of each interaction, oldest first; at most the context length, and none only of
        a user with segments.
    segments : ndarray of int32, shape (s,)
        Slots of the user's segments.
    out : ndarray of float32, shape (heads, factors)
        Receives vectors of length 1.
    """
    w, s = Weights(*weights), EncoderScratch(*scratch)
    n, d = len(rows), vectors.shape[1]
    s.mixed[:] = 0.0
    if n > 0:
        _mix(vectors, rows, kinds, gaps, weights, scratch)
    for slot in segments:
        for i in range(d):
            s.mixed[i] += w.segment_gate[n] * w.segment[slot, i]
    s.hidden[:] = w.hidden_bias
    _multiply(s.mixed, w.hidden, s.hidden)
    for i in range(len(s.hidden)):
        s.hidden[i] = max(s.hidden[i], np.float32(0.0))
    for i in range(d):
        s.mixed[i] += w.output_bias[i]
    _multiply(s.hidden, w.output, s.mixed)
    _write_heads(s.mixed, w.heads, out)


@jit(fastmath=SUMS)
def dot_products(vectors: Array, rows: Items, user: Array, out: Scores) -> None:
    """Compute the product of a user vector with the vectors of some rows; 0 for a row below 0.

    Parameters
    ----------
    rows : ndarray of int32, shape (n,)
    user : ndarray of float32, shape (factors,)
    out : ndarray of float32, shape (n,)
    """
    for at in range(len(rows)):
        total = np.float32(0.0)
        if rows[at] >= 0:
            for i in range(len(user)):
                total += vectors[rows[at], i] * user[i]
        out[at] = total


_MAX_EXPLAINING: Final = 8
"""Items of the history that may explain a candidate: those with the largest shares."""


@jit(fastmath=SUMS)
def _shares_of_items(history: Items, shares: Array) -> Array:
    """Sum the shares of each item at its last position; shape (m,)."""
    of_items = np.zeros(len(history), np.float32)
    for at in range(len(history)):
        last = at
        for later in range(at + 1, len(history)):
            if history[later] == history[at]:
                last = later
        of_items[last] += shares[at]
    return of_items


@jit(fastmath=SUMS)
def explain(vectors: Array, rows: Items, history: Items, shares: Array, out: Items) -> None:
    """Find the item of a history without which each candidate would score lowest.

    The user vector is approximated by the mean m of the item vectors, weighted by their shares. Without an item x of
    share w the mean moves by w / (1 - w) (m - x), so that its product with a candidate c falls by
    w / (1 - w) (x - m) c.

    Parameters
    ----------
    rows : ndarray of int32, shape (n,)
        Vectors of the candidates.
    history : ndarray of int32, shape (m,)
        Vectors of the interactions, oldest first; 1 or more.
    shares : ndarray of float32, shape (m,)
        Of the interactions, sum 1.
    out : ndarray of int32, shape (n,)
        Receives positions in the history: the last one of an item that is there several times.
    """
    d = vectors.shape[1]
    mean = np.zeros(d, np.float32)
    for at in range(len(history)):
        for i in range(d):
            mean[i] += shares[at] * vectors[history[at], i]
    of_items = _shares_of_items(history, shares)
    explaining = np.argsort(-of_items)[:_MAX_EXPLAINING]
    for n in range(len(rows)):
        with_mean = np.float32(0.0)
        for i in range(d):
            with_mean += mean[i] * vectors[rows[n], i]
        largest = np.float32(-np.inf)
        for at in explaining:
            share = of_items[at]
            if share <= 0.0:
                continue
            product = np.float32(0.0)
            for i in range(d):
                product += vectors[history[at], i] * vectors[rows[n], i]
            fall = share / max(np.float32(1.0) - share, np.float32(1e-6)) * (product - with_mean)
            if fall > largest:
                largest = fall
                out[n] = at


@jit(fastmath=FUNCTIONS)
def search_clusters(
    clusters: tuple[Any, ...],
    user: Array,
    scale: np.float32,
    order: Items,
    out_items: Items,
    out_scores: Scores,
) -> tuple[int, float]:
    """Score the items of some clusters by exp(scale * (cosine - 1)); return how many there are, and their sum.

    Parameters
    ----------
    order : ndarray of int32, shape (m,)
        The clusters that are searched.
    out_items, out_scores : ndarray, shape (n,)
        Receive items and scores; at least as long as the searched clusters are large.
    """
    c = Clusters(*clusters)
    n, sum_of_scores = 0, 0.0
    for cluster in order:
        for row in range(c.starts[cluster], c.starts[cluster + 1]):
            if c.items[row] < 0:
                continue
            total = np.float32(0.0)
            for i in range(len(user)):
                total += c.vectors[row, i] * user[i]
            out_items[n] = c.items[row]
            score = math.exp((total - np.float32(1.0)) * scale)
            out_scores[n] = score
            sum_of_scores += score
            n += 1
    return n, sum_of_scores
