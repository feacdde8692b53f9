"""What matrix factorisations have in common: vectors of shoppers and items, their bounds, and scoring."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import (
    EMPTY_CANDIDATES,
    NO_ITEM,
    Candidates,
    Context,
    Items,
    Model,
    Scores,
)
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.item_pool import ItemPool
from stream_app.models.kernels.factors import affinities, top_k_by_factors, user_vector
from stream_app.models.kernels.random import uniform
from stream_app.models.model_state import State, grow
from topics.records import Reason

POOL_SIZE = 1000
"""Items, the recently and repeatedly touched, that candidates and samples are chosen from."""

CONTEXT_DECAY = 0.8
"""What an item of the context counts relative to the next newer one."""

_MASK = (1 << 64) - 1


def splitmix64(number: int) -> int:
    """Turn a counter into 64 bits that look random (SplitMix64).

    Examples
    --------
    >>> hex(splitmix64(1)), hex(splitmix64(2))
    ('0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4')
    """
    number = (number * 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def initial_latents(tie: int, seed: int, n_factors: int, scale: float) -> NDArray[np.float32]:
    """Small uniform noise that depends on the id's hash and the seed alone, not on the order of arrival.

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
    uniform(np.uint64(splitmix64(tie ^ splitmix64(seed))), scale * 12**0.5, noise)
    return noise


class FactorModel(Model):
    """A model with a vector and a bias for each shopper and item; a subclass adds how they are learned.

    Rows are numbered by the item index and by a bounded index of shoppers: an unknown id has no row and is
    never asked about, and a snapshot is a copy of four arrays.

    Scores are ``(1 + x / (1 + |x|)) / 2`` of bias plus dot product x: between 0 and 1 and rising, so that an
    unknown item's 0 is the lowest. The vector that stands for the shopper is theirs plus those of the
    context's items, fading with age (as in FISM and SVD++), since most shoppers are known by a few clicks.
    Candidates come from a pool of the items touched lately and again.

    Parameters
    ----------
    index
        The items.
    max_users
        Shoppers with a vector; about 1% are forgotten, the longest inactive first, when one more comes.
    n_factors
        Length of the vectors.
    seed
        Of the initial vectors.
    """

    def __init__(self, index: ItemIndex, *, max_users: int, n_factors: int, seed: int) -> None:
        self._index = index
        self.max_users = max_users
        self.n_factors = n_factors
        self.seed = seed

    def _reset(self) -> None:
        self._users = IdIndex(self.max_users, self._drop_users)
        self._set_user_arrays(np.zeros((64, self.n_factors), np.float32), np.zeros(64))
        self._set_item_arrays(np.zeros((64, self.n_factors), np.float32), np.zeros(64))
        self._has_vector: NDArray[np.bool_] = np.zeros(64, np.bool_)
        self._pool = ItemPool(POOL_SIZE)
        self._pool_scores: Scores = np.zeros(POOL_SIZE, np.float32)
        self._n_learned = 0

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items of the pool with the highest affinity."""
        vector = self._context_vector(context)
        if vector is None:
            return EMPTY_CANDIDATES
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = top_k_by_factors(
            vector,
            self._pool.items,
            self._pool.size,
            self._item_latents,
            self._item_biases,
            self._index.hashes,
            k,
            self._pool_scores,
            items,
            scores,
        )
        return Candidates(items[:n], scores[:n], np.full(n, NO_ITEM, np.int32))

    def score(self, context: Context, items: Items) -> Scores:
        """Affinity of each item with the shopper."""
        out = np.zeros(len(items), np.float32)
        vector = self._context_vector(context)
        if vector is not None:
            affinities(vector, items, self._has_vector, self._item_latents, self._item_biases, out)
        return out

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """Factors have no evidence that could be named."""
        return Reason("factors")

    def forget_user(self, user: str) -> None:
        """Drop a shopper's vector and bias."""
        self._users.forget(user)

    def forget_items(self, items: Items) -> None:
        """Drop the items' vectors and biases, and take them out of the pool."""
        in_range = items[items < len(self._has_vector)]
        self._has_vector[in_range] = False
        self._item_latents[in_range] = 0.0
        self._item_biases[in_range] = 0.0
        self._pool.forget_items(items)

    def _get_state(self) -> State:
        users, size = self._users.size, self._index.size
        return {
            "users": self._users.state(),
            "user_latents": self._user_latents[:users].copy(),
            "user_biases": self._user_biases[:users].copy(),
            "has_vector": grow(self._has_vector, size)[:size].copy(),
            "item_latents": grow(self._item_latents, size)[:size].copy(),
            "item_biases": grow(self._item_biases, size)[:size].copy(),
            "pool": self._pool.state(),
            "learned": self._n_learned,
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._users.restore(state["users"])
        users, size = len(state["user_biases"]), len(state["item_biases"])
        self._reserve_users(users)
        self._reserve_items(size)
        self._user_latents[:users] = state["user_latents"]
        self._user_biases[:users] = state["user_biases"]
        self._has_vector[:size] = state["has_vector"]
        self._item_latents[:size] = state["item_latents"]
        self._item_biases[:size] = state["item_biases"]
        self._pool.restore(state["pool"])
        self._n_learned = int(state["learned"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._users.memory() + self._pool.memory()

    def _set_user_arrays(self, latents: NDArray[np.float32], biases: NDArray[np.float64]) -> None:
        self._user_latents, self._user_biases = latents, biases

    def _set_item_arrays(self, latents: NDArray[np.float32], biases: NDArray[np.float64]) -> None:
        self._item_latents, self._item_biases = latents, biases

    def _reserve_users(self, rows: int) -> None:
        if rows > len(self._user_biases):
            self._set_user_arrays(grow(self._user_latents, rows), grow(self._user_biases, rows))

    def _reserve_items(self, rows: int) -> None:
        if rows > len(self._has_vector):
            self._set_item_arrays(grow(self._item_latents, rows), grow(self._item_biases, rows))
            self._has_vector = grow(self._has_vector, rows)

    def _user_row(self, user: str, ts: float) -> int:
        """Row of a shopper, made now if need be."""
        row = self._users.find(user)
        if row != NO_ITEM:
            return self._users.index(user, ts)
        row = self._users.index(user, ts)
        self._reserve_users(row + 1)
        self._user_latents[row] = initial_latents(
            int(self._users.hashes[row]), self.seed, self.n_factors, 0.1
        )
        return row

    def _ensure_item_vector(self, item: int) -> None:
        """Give an item its first vector, if it has none."""
        if item < len(self._has_vector) and self._has_vector[item]:
            return
        self._reserve_items(item + 1)
        tie = int(self._index.hashes[item])
        self._item_latents[item] = initial_latents(tie, self.seed + 1, self.n_factors, 0.1)
        self._has_vector[item] = True

    def _drop_users(self, rows: Items) -> None:
        self._user_latents[rows] = 0.0
        self._user_biases[rows] = 0.0

    def _context_vector(self, context: Context) -> NDArray[np.float32] | None:
        """Shopper's vector plus the fading sum of the context's; None if there is neither."""
        row = self._users.find(context.user) if context.user else NO_ITEM
        vector = np.zeros(self.n_factors, np.float32)
        found = user_vector(
            row,
            context.items,
            CONTEXT_DECAY,
            self._has_vector,
            self._user_latents,
            self._item_latents,
            vector,
        )
        return vector if found else None
