"""Base of the matrix factorizations: bounded vectors of users and items, and scoring."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats
from stream_app.models.base import EMPTY_CANDIDATES, NO_ITEM, Candidates, Context, Items, Model, Scores
from stream_app.models.columns import MIN_ROWS, grow
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.item_pool import ItemPool
from stream_app.models.kernels.factors import Factors, affinities, top_k_by_affinity, user_vector
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.random import fill_uniform, splitmix64
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes
from topics.records import Reason

POOL_SIZE = 1000
"""Recently and repeatedly used items from which candidates and samples are taken."""

CONTEXT_DECAY = 0.8
"""Factor from a context item to the next older one."""


def initial_latents(tie: int, seed: int, n_factors: int, scale: float) -> NDArray[np.float32]:
    """Small uniform noise that depends on the hash of the id and on the seed only.

    Returns
    -------
    ndarray of float32, shape (n_factors,)
        Of mean 0 and standard deviation `scale`.

    Examples
    --------
    >>> bool((initial_latents(5, 7, 4, 0.1) == initial_latents(5, 7, 4, 0.1)).all())
    True
    """
    noise = np.empty(n_factors, np.float32)
    state = splitmix64(np.uint64(tie ^ splitmix64(np.uint64(seed))))
    fill_uniform(np.uint64(state), scale * 12**0.5, noise)
    return noise


class FactorModel(Model):
    """A model with a vector and a bias for each user and item; a subclass implements the learning step.

    Rows are indexed by the item index and by a bounded index of users, so that a snapshot is a copy of four arrays.

    The score is ``(1 + x / (1 + |x|)) / 2`` of bias plus dot product x: increasing and between 0 and 1, so that the
    0 of an unknown item is the lowest. A user is represented by their vector plus the decayed vectors of the
    context's items (as in FISM and SVD++), since most users have few interactions. Candidates come from a pool of
    recently and repeatedly used items.

    Parameters
    ----------
    index
        The items.
    max_users
        Users with a vector; a full index evicts about 1%, the longest inactive first.
    n_factors
        Length of the vectors.
    seed
        Of the initial vectors.
    """

    def __init__(self, index: ItemIndex | None, *, max_users: int, n_factors: int, seed: int) -> None:
        self._index = self._shared_or_own(index)
        self.max_users = max_users
        self.n_factors = n_factors
        self.seed = seed

    def _reset(self) -> None:
        self._users = IdIndex(self.max_users, self._drop_users)
        latents = np.zeros((MIN_ROWS, self.n_factors), np.float32)
        self._factors = Factors(latents, latents.copy(), np.zeros(MIN_ROWS), np.zeros(MIN_ROWS, np.bool_))
        self._user_biases: Floats = np.zeros(MIN_ROWS)
        self._pool = ItemPool(POOL_SIZE)
        self._pool_scores: Scores = np.zeros(POOL_SIZE, np.float32)
        self._n_learned = 0

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items of the pool with the highest affinity."""
        vector = self._context_vector(context)
        if vector is None:
            return EMPTY_CANDIDATES
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = top_k_by_affinity(
            vector,
            self._pool.items[: self._pool.size],
            plain(self._factors),
            self._index.hashes,
            self._pool_scores,
            items,
            scores,
        )
        return Candidates(items[:n], scores[:n], np.full(n, NO_ITEM, np.int32))

    def score(self, context: Context, items: Items) -> Scores:
        """Affinity of each item with the user."""
        out = np.zeros(len(items), np.float32)
        vector = self._context_vector(context)
        if vector is not None:
            affinities(vector, items, plain(self._factors), out)
        return out

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Factors have no evidence to name."""
        return Reason("factors")

    def forget_user(self, user: str) -> None:
        """Drop a user's vector and bias."""
        super().forget_user(user)
        self._users.forget(user)

    def forget_items(self, items: Items) -> None:
        """Drop the items' vectors and biases, and remove them from the pool."""
        factors = self._factors
        in_range = items[items < len(factors.has_vector)]
        factors.has_vector[in_range] = False
        factors.item_latents[in_range] = 0.0
        factors.item_biases[in_range] = 0.0
        self._pool.forget_items(items)

    def _get_state(self) -> State:
        users, size, factors = self._users.size, self._index.size, self._factors
        return {
            "users": self._users.state(),
            "user_latents": factors.user_latents[:users].copy(),
            "user_biases": self._user_biases[:users].copy(),
            "has_vector": grow(factors.has_vector, size)[:size].copy(),
            "item_latents": grow(factors.item_latents, size)[:size].copy(),
            "item_biases": grow(factors.item_biases, size)[:size].copy(),
            "pool": self._pool.state(),
            "learned": self._n_learned,
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._users.restore(state["users"])
        users, size = len(state["user_biases"]), len(state["item_biases"])
        self._reserve_users(users)
        self._reserve_items(size)
        factors = self._factors
        factors.user_latents[:users] = state["user_latents"]
        self._user_biases[:users] = state["user_biases"]
        factors.has_vector[:size] = state["has_vector"]
        factors.item_latents[:size] = state["item_latents"]
        factors.item_biases[:size] = state["item_biases"]
        self._pool.restore(state["pool"])
        self._n_learned = int(state["learned"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        factors = resident_bytes(self._factors)
        return super().memory() + factors + self._users.memory() + self._pool.memory()

    def _reserve_users(self, rows: int) -> None:
        if rows > len(self._user_biases):
            self._factors = self._factors._replace(user_latents=grow(self._factors.user_latents, rows))
            self._user_biases = grow(self._user_biases, rows)

    def _reserve_items(self, rows: int) -> None:
        factors = self._factors
        if rows > len(factors.has_vector):
            self._factors = factors._replace(
                item_latents=grow(factors.item_latents, rows),
                item_biases=grow(factors.item_biases, rows),
                has_vector=grow(factors.has_vector, rows),
            )

    def _user_row(self, user: str, ts: float) -> int:
        """Row of a user, initialized if needed."""
        row = self._users.find(user)
        if row != NO_ITEM:
            return self._users.index(user, ts)
        row = self._users.index(user, ts)
        self._reserve_users(row + 1)
        tie = int(self._users.hashes[row])
        self._factors.user_latents[row] = initial_latents(tie, self.seed, self.n_factors, 0.1)
        return row

    def _ensure_item_vector(self, item: int) -> None:
        """Initialize the vector of an item, if it has none."""
        has_vector = self._factors.has_vector
        if item < len(has_vector) and has_vector[item]:
            return
        self._reserve_items(item + 1)
        tie = int(self._index.hashes[item])
        self._factors.item_latents[item] = initial_latents(tie, self.seed + 1, self.n_factors, 0.1)
        self._factors.has_vector[item] = True

    def _drop_users(self, rows: Items) -> None:
        self._factors.user_latents[rows] = 0.0
        self._user_biases[rows] = 0.0

    def _context_vector(self, context: Context) -> NDArray[np.float32] | None:
        """Vector of the user plus the decayed vectors of the context; None if there is neither."""
        row = self._users.find(context.user) if context.user else NO_ITEM
        vector = np.zeros(self.n_factors, np.float32)
        found = user_vector(row, context.items, CONTEXT_DECAY, plain(self._factors), vector)
        return vector if found else None
