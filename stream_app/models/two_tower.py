"""The two-tower model: user and item vectors that a trainer learned, whose product says what comes next."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Hashes
from stream_app.models.base import (
    EMPTY_CANDIDATES,
    NO_ITEM,
    Candidates,
    Context,
    Items,
    Model,
    Observation,
    Scores,
)
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import two_tower as kernels
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.topk import top_k
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes
from stream_app.models.served_weights import ServedWeights, prepare_weights, serve_weights
from stream_app.models.two_tower_network import Head, TrainedWeights, gap_buckets, segment_slots
from topics.records import Reason

SIMILAR_TASTE: Final = "similar_taste"
"""Source of the items that the model proposes."""

_MIN_SCORE: Final = 1e-30

_MAX_CACHED_SEGMENTS: Final = 4_096


class EncodedUser(NamedTuple):
    """A user whose vector is in memory; valid until the next one is encoded.

    Attributes
    ----------
    items, rows : ndarray of int32, shape (n,)
        The items of the interactions that were read, oldest first, and the rows of their vectors.
    n_found
        Number of items near the user.
    log_partition
        Logarithm of the sum of exp(logit) over the items near the user; the others add next to nothing.
    """

    context: Context
    items: Items
    rows: Items
    n_found: int
    log_partition: float


class FeatureInputs(NamedTuple):
    """What the features of items are computed from.

    Attributes
    ----------
    vectors : ndarray of float32, shape (m, factors)
    rows : ndarray of int32, shape (n,)
        Vector of each item; below 0 for none.
    users : ndarray of float32, shape (heads, factors)
    newest
        Row of the newest interaction; below 0 for none.
    scales : ndarray of float32, shape (heads,)
        Factors of the cosines; 0 for a head that learned nothing yet.
    log_partition
        As in `EncodedUser`.
    """

    vectors: NDArray[np.float32]
    rows: Items
    users: NDArray[np.float32]
    newest: int
    scales: NDArray[np.float32]
    log_partition: np.float32


class TwoTower(Model):
    r"""Scores items by the cosine of a user vector and an item vector.

    The user vector :math:`u` is computed from the newest interactions with items :math:`x_1 \ldots x_n`, vectors of
    length 1: tokens :math:`t_j = x_j + p_j + k_j + g_j` add the position, the kind of interaction and the time since
    the one before; one causal attention mixes the item vectors themselves, so that the result stays in their space:
    :math:`s = \sum_j a_j x_j + \lambda x_n`, :math:`h = s + W_2 \max(0, W_1 s + b_1) + b_2`, and for each kind of
    next interaction :math:`u_c = h + H_c h`, scaled to length 1. The probability that item i is next is proportional
    to :math:`\exp(\sigma_c \, u_c \cdot x_i)`. Where the trainer learns vectors :math:`e` of segments, their sum is
    added to :math:`s`, times a number that depends on how many interactions there are; a new user has these alone.

    A worker learns nothing: a trainer learns from the same log (`stream_app.training`), and `swap` replaces the
    weights between two batches. Without weights the model proposes nothing. An item of the weights that the index
    does not have is found when it enters the index.

    Parameters
    ----------
    n_probes
        Groups of item vectors that are searched for candidates.

    References
    ----------
    Hou et al.: CORE, SIGIR 2022 (states in the space of items). Kang, McAuley: Self-attentive sequential
    recommendation, ICDM 2018. Yi et al.: Sampling-bias-corrected neural modeling for large corpus item
    recommendations, RecSys 2019 (two towers).
    """

    name: ClassVar[str] = "two_tower"
    additive: ClassVar[bool] = True
    is_trained_apart: ClassVar[bool] = True

    def __init__(self, index: ItemIndex | None = None, *, n_probes: int = 24) -> None:
        self._index = self._shared_or_own(index)
        self._index.subscribe_additions(self._on_item_added)
        self.n_probes = n_probes
        self._reset()

    def _reset(self) -> None:
        self._serving: ServedWeights | None = None
        self._encoded: EncodedUser | None = None
        self._slots: dict[tuple[str, ...], Items] = {}

    @property
    def version(self) -> str:
        """Version of the weights; empty before there are any."""
        return "" if self._serving is None else self._serving.version

    @property
    def centroids(self) -> NDArray[np.float32] | None:
        """Centroids of the groups of item vectors, shape (groups, factors); None without weights."""
        return None if self._serving is None else self._serving.clusters.centroids

    def adopt(self, trained: TrainedWeights, version: str) -> None:
        """Replace the weights, and do all the work for it at once.

        Raises
        ------
        ValueError
            If they do not fit their shape, or cannot be served.
        """
        prepared = prepare_weights(trained, version, self.centroids)
        self.swap(serve_weights(prepared, self.index_hashes()))

    def index_hashes(self) -> Hashes:
        """A copy of the hashes of the items' ids, for `serve_weights`."""
        return self._index.hashes[: self._index.size].copy()

    def swap(self, served: ServedWeights) -> None:
        """Replace the weights by those that were made from `index_hashes`; takes a millisecond.

        Items that the index has got or lost since that copy are followed.
        """
        served.rows.follow(self._index.hashes[: self._index.size])
        self._serving = served
        self._encoded = None
        self._slots = {}

    def _on_item_added(self, item: int) -> None:
        if self._serving is not None:
            self._serving.rows.add(item, int(self._index.hashes[item]))

    def learn(self, observation: Observation) -> None:
        """Do nothing: the trainer learns."""

    def encode(self, context: Context) -> EncodedUser | None:
        """Compute the vectors of a user; None without weights, or without anything that they know of the user."""
        encoded, s = self._encoded, self._serving
        if encoded is not None and encoded.context is context:
            return encoded
        if s is None:
            return None
        length = s.shape.context_length
        items, times, heads = context.items[-length:], context.times[-length:], context.heads[-length:]
        rows = s.rows.rows_of(items)
        if len(heads) < len(rows):
            heads = np.zeros(len(rows), np.int32)
        is_known = rows >= 0
        if not is_known.all():
            items, times, rows, heads = items[is_known], times[is_known], rows[is_known], heads[is_known]
        slots = self._segment_slots(context.segments, s.shape.n_segments)
        if not len(rows) and not len(slots):
            return None
        gaps = gap_buckets(times, s.shape.n_gaps)
        kernels.encode(
            s.clusters.vectors, rows, heads, gaps, slots, plain(s.weights), plain(s.scratch), s.users
        )
        n_found, sum_of_scores = self._search(s)
        scale = float(s.weights.scale[Head.VIEW])
        # scores are exp(logit - scale)
        log_partition = math.log(max(sum_of_scores, _MIN_SCORE)) + scale
        self._encoded = EncodedUser(context, items, rows, n_found, log_partition)
        return self._encoded

    def _segment_slots(self, segments: tuple[str, ...], n_segments: int) -> Items:
        slots = self._slots.get(segments)
        if slots is None:
            if len(self._slots) >= _MAX_CACHED_SEGMENTS:
                self._slots.clear()
            slots = self._slots[segments] = segment_slots(segments, n_segments)
        return slots

    def _search(self, s: ServedWeights) -> tuple[int, float]:
        """Score the items of the nearest groups; return how many there are, and the sum of their scores."""
        user, clusters = s.users[Head.VIEW], s.clusters
        n_clusters = len(clusters.centroids)
        n_probes = min(self.n_probes, n_clusters)
        order = s.order
        if n_probes < n_clusters:
            order = np.argpartition(-(clusters.centroids @ user), n_probes)[:n_probes].astype(np.int32)
        return kernels.search_clusters(
            plain(clusters),
            user,
            s.weights.scale[Head.VIEW],
            order,
            s.found_items,
            s.found_scores,
        )

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items nearest to the user; the evidence of each is the one that it would miss most.

        That is the item of the history without which the proposed item would have the lowest cosine, estimated for
        those with the largest shares in the user vector.
        A user of whom segments alone are known has none.
        """
        encoded, s = self.encode(context), self._serving
        if encoded is None or s is None:
            return EMPTY_CANDIDATES
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        size = top_k(s.found_items, s.found_scores, encoded.n_found, self._index.hashes, k, items, scores)
        items = items[:size]
        if not len(encoded.rows):
            return Candidates(items, scores[:size], np.full(size, NO_ITEM, np.int32))
        positions = np.zeros(size, np.int32)
        shares = s.scratch.shares[: len(encoded.rows)]
        kernels.explain(s.clusters.vectors, s.rows.rows_of(items), encoded.rows, shares, positions)
        return Candidates(items, scores[:size], encoded.items[positions])

    def cosines(self, context: Context, items: Items, head: Head = Head.VIEW) -> Scores:
        """Cosine of the user with each item, shape (n,); 0 for an item without a vector, or an unknown user."""
        out = np.zeros(len(items), np.float32)
        if self.encode(context) is not None and (s := self._serving) is not None:
            kernels.dot_products(s.clusters.vectors, s.rows.rows_of(items), s.users[head], out)
        return out

    def score(self, context: Context, items: Items) -> Scores:
        """Score items by exp(logit - largest possible logit); 0 for an item without a vector."""
        out = self.cosines(context, items)
        if (s := self._serving) is None:
            return out
        scores = np.exp((out - 1.0) * s.weights.scale[Head.VIEW])
        # a vector of length 1 has no cosine of exactly 0 with another
        return np.where(out != 0.0, scores, np.float32(0.0)).astype(np.float32)

    def feature_inputs(self, context: Context, items: Items) -> FeatureInputs | None:
        """What the features of items, shape (n,), are computed from; None for an unknown user, or without weights."""
        encoded, s = self.encode(context), self._serving
        if encoded is None or s is None:
            return None
        return FeatureInputs(
            s.clusters.vectors,
            s.rows.rows_of(items),
            s.users,
            int(encoded.rows[-1]) if len(encoded.rows) else NO_ITEM,
            s.scales,
            np.float32(encoded.log_partition),
        )

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Name the item of the history that weighed most for the item, or the user's first segment."""
        if evidence < 0:
            return Reason(SIMILAR_TASTE, segment=context.segments[0] if context.segments else None)
        return Reason(SIMILAR_TASTE, item_id=self._index.id_of(evidence))

    def forget_items(self, items: Items) -> None:
        """Drop the vectors of items."""
        self._encoded = None
        if self._serving is not None:
            self._serving.rows.forget(items)

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        of_user = [] if self._encoded is None else [*self._encoded, *self._encoded.context]
        arrays = resident_bytes(each for each in of_user if isinstance(each, np.ndarray))
        return arrays + (0 if self._serving is None else self._serving.memory())

    def _get_state(self) -> State:
        # The weights are in the store of the trainer; a worker loads the announced ones.
        return {}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""
