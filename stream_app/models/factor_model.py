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
from stream_app.models.kernels import shared as kernels
from stream_app.models.model_state import State, grown
from topics.records import Reason

POOL = 1000
"""Items, the recently and repeatedly touched, that candidates and samples are chosen from."""

FADE = 0.8
"""What an item of the context counts relative to the next newer one."""

_MASK = (1 << 64) - 1


def scramble(number: int) -> int:
    """Turn a counter into 64 bits that look random (SplitMix64).

    Examples
    --------
    >>> hex(scramble(1)), hex(scramble(2))
    ('0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4')
    """
    number = (number * 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def initial_latents(tie: int, seed: int, factors: int, scale: float) -> NDArray[np.float32]:
    """Small uniform noise that depends on the id's hash and the seed alone, not on the order of arrival.

    Returns
    -------
    ndarray of float32, shape (factors,)
        Of mean 0 and standard deviation `scale`.

    Examples
    --------
    >>> bool((initial_latents(5, 7, 4, 0.1) == initial_latents(5, 7, 4, 0.1)).all())
    True
    """
    noise = np.empty(factors, np.float32)
    kernels.uniform(np.uint64(scramble(tie ^ scramble(seed))), scale * 12**0.5, noise)
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
    factors
        Length of the vectors.
    seed
        Of the initial vectors.
    """

    def __init__(self, index: ItemIndex, *, max_users: int, factors: int, seed: int) -> None:
        self._index = index
        self.max_users = max_users
        self.factors = factors
        self.seed = seed

    def _clear(self) -> None:
        self._users = IdIndex(self.max_users, self._drop_users)
        self._hold_users(np.zeros((64, self.factors), np.float32), np.zeros(64))
        self._hold_items(np.zeros((64, self.factors), np.float32), np.zeros(64))
        self._known: NDArray[np.bool_] = np.zeros(64, np.bool_)
        self._pool = ItemPool(POOL)
        self._pool_scores: Scores = np.zeros(POOL, np.float32)
        self._learned = 0

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items of the pool with the highest affinity."""
        vector = self._vector(context)
        if vector is None:
            return EMPTY_CANDIDATES
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = kernels.best_by_factors(
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
        vector = self._vector(context)
        if vector is not None:
            kernels.affinities(vector, items, self._known, self._item_latents, self._item_biases, out)
        return out

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """Factors have no evidence that could be named."""
        return Reason("factors")

    def forget_user(self, user: str) -> None:
        """Drop a shopper's vector and bias."""
        self._users.forget(user)

    def forget_items(self, items: Items) -> None:
        """Drop the items' vectors and biases, and take them out of the pool."""
        held = items[items < len(self._known)]
        self._known[held] = False
        self._item_latents[held] = 0.0
        self._item_biases[held] = 0.0
        self._pool.forget_items(items)

    def _parts(self) -> State:
        users, size = self._users.size, self._index.size
        return {
            "users": self._users.state(),
            "user_latents": self._user_latents[:users].copy(),
            "user_biases": self._user_biases[:users].copy(),
            "known": grown(self._known, size)[:size].copy(),
            "item_latents": grown(self._item_latents, size)[:size].copy(),
            "item_biases": grown(self._item_biases, size)[:size].copy(),
            "pool": self._pool.state(),
            "learned": self._learned,
        }

    def _fill(self, state: Mapping[str, Any]) -> None:
        self._users.restore(state["users"])
        users, size = len(state["user_biases"]), len(state["item_biases"])
        self._fit_users(users)
        self._fit_items(size)
        self._user_latents[:users] = state["user_latents"]
        self._user_biases[:users] = state["user_biases"]
        self._known[:size] = state["known"]
        self._item_latents[:size] = state["item_latents"]
        self._item_biases[:size] = state["item_biases"]
        self._pool.restore(state["pool"])
        self._learned = int(state["learned"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._users.memory() + self._pool.memory()

    def _hold_users(self, latents: NDArray[np.float32], biases: NDArray[np.float64]) -> None:
        self._user_latents, self._user_biases = latents, biases

    def _hold_items(self, latents: NDArray[np.float32], biases: NDArray[np.float64]) -> None:
        self._item_latents, self._item_biases = latents, biases

    def _fit_users(self, rows: int) -> None:
        if rows > len(self._user_biases):
            self._hold_users(grown(self._user_latents, rows), grown(self._user_biases, rows))

    def _fit_items(self, rows: int) -> None:
        if rows > len(self._known):
            self._hold_items(grown(self._item_latents, rows), grown(self._item_biases, rows))
            self._known = grown(self._known, rows)

    def _user_row(self, user: str, ts: float) -> int:
        """Row of a shopper, made now if need be."""
        row = self._users.find(user)
        if row != NO_ITEM:
            return self._users.index(user, ts)
        row = self._users.index(user, ts)
        self._fit_users(row + 1)
        self._user_latents[row] = initial_latents(int(self._users.hashes[row]), self.seed, self.factors, 0.1)
        return row

    def _meet(self, item: int) -> None:
        """Give an item its first vector, if it has none."""
        if item < len(self._known) and self._known[item]:
            return
        self._fit_items(item + 1)
        tie = int(self._index.hashes[item])
        self._item_latents[item] = initial_latents(tie, self.seed + 1, self.factors, 0.1)
        self._known[item] = True

    def _drop_users(self, rows: Items) -> None:
        self._user_latents[rows] = 0.0
        self._user_biases[rows] = 0.0

    def _vector(self, context: Context) -> NDArray[np.float32] | None:
        """Shopper's vector plus the fading sum of the context's; None if there is neither."""
        row = self._users.find(context.user) if context.user else NO_ITEM
        vector = np.zeros(self.factors, np.float32)
        found = kernels.gather(
            row, context.items, FADE, self._known, self._user_latents, self._item_latents, vector
        )
        return vector if found else None
