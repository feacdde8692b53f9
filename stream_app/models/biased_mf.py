"""Matrix factorisation: River's BiasedMF does the learning, bounded and scored in one sweep."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from river import optim, reco

from stream_app.models import kernels
from stream_app.models.arrays import State, grown
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
from stream_app.models.ids import IdIndex
from stream_app.models.items import ItemIndex
from topics.records import Reason

POOL = 1000
"""Items, the recently and repeatedly touched, that candidates are chosen from."""

_FADE = 0.8
"""What an item of the context counts relative to the next newer one."""

_MASK = (1 << 64) - 1


class RowSGD(optim.SGD):  # type: ignore[misc]
    """River's SGD without what a constant learning rate does not need: half of the cost of a step."""

    def __init__(self, lr: float) -> None:
        super().__init__(lr)
        self._rate = lr

    def step(self, w: Any, g: Any) -> Any:
        """Move the named rows against their gradients, in place."""
        for key, gradient in g.items():
            w[key] -= self._rate * gradient
        return w


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


class BiasedMF(Model):
    """River's `reco.BiasedMF` on implicit feedback.

    What is in a shopper's reach is a yes or a no: an interaction is learned with a target that rises with
    its kind (a dislike is 0), and each is followed by seeded samples of popular items with target 0.

    River's model grows a vector for every id it is asked about. Here its tables are arrays of our own, rows
    numbered by the item index and by a bounded index of shoppers: an unknown id has no row and is never
    asked about, scoring reads the same memory that River writes, and a snapshot is a copy of four arrays.

    Scores are ``(1 + x / (1 + |x|)) / 2`` of bias plus dot product x: between 0 and 1 and rising, so that an
    unknown item's 0 is the lowest. The vector that stands for the shopper is theirs plus those of the
    context's items, fading with age (as in FISM and SVD++), since most shoppers are known by a few clicks.

    Parameters
    ----------
    index
        The items.
    max_users
        Shoppers with a vector; about 1% are forgotten, the longest inactive first, when one more comes.
    factors
        Length of the vectors.
    learning_rate, l2
        Step size, and how strongly vectors are pulled to 0.
    clip
        Largest gradient of the loss, which keeps a large step size from diverging.
    negatives
        Sampled items with target 0 for each interaction; .5 is one for every second.
    seed
        Of the initial vectors and of the samples.

    References
    ----------
    Koren, Bell, Volinsky: Matrix factorization techniques for recommender systems, Computer 42 (8), 2009.
    Kabbur, Ning, Karypis: FISM, KDD 2013 (a shopper as the sum of their items).

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = BiasedMF(index)
    >>> def observed(item, kind, weight):
    ...     return Observation("ann", item, 0.0, kind, weight, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES)
    >>> for _ in range(20):
    ...     model.learn_one(observed(shoe, Kind.LIKE, 2.0))
    ...     model.learn_one(observed(sock, Kind.DISLIKE, -1.0))
    >>> context = Context("ann", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)
    >>> liked, disliked = model.score(context, np.array([shoe, sock], np.int32))
    >>> bool(liked > 0.6 > 0.4 > disliked)
    True
    """

    name: ClassVar[str] = "biased_mf"
    additive: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex,
        *,
        max_users: int = 200_000,
        factors: int = 16,
        learning_rate: float = 0.15,
        l2: float = 0.002,
        clip: float = 2.0,
        negatives: float = 0.5,
        seed: int = 7,
    ) -> None:
        self._index = index
        self.max_users = max_users
        self.factors = factors
        self.learning_rate = learning_rate
        self.l2 = l2
        self.clip = clip
        self.negatives = negatives
        self.seed = seed
        self._clear()

    def _clear(self) -> None:
        self.river = reco.BiasedMF(
            n_factors=self.factors,
            bias_optimizer=RowSGD(self.learning_rate),
            latent_optimizer=RowSGD(self.learning_rate),
            l2_bias=self.l2,
            l2_latent=self.l2,
            clip_gradient=self.clip,
            seed=self.seed,
        )
        self._users = IdIndex(self.max_users, self._drop_users)
        self._hold_users(np.zeros((64, self.factors), np.float32), np.zeros(64))
        self._hold_items(np.zeros((64, self.factors), np.float32), np.zeros(64))
        self._known: NDArray[np.bool_] = np.zeros(64, np.bool_)
        self._places: NDArray[np.int32] = np.zeros(64, np.int32)
        self._pool: Items = np.zeros(POOL, np.int32)
        self._recent: NDArray[np.bool_] = np.zeros(POOL, np.bool_)
        self._pool_scores: Scores = np.zeros(POOL, np.float32)
        self._hand = 0
        self._pooled = 0
        self._learned = 0

    def learn_one(self, observation: Observation) -> None:
        """Let River learn an observation that is no repeat, and samples with target 0 to go with it."""
        if observation.repeat:
            return
        item, weight = observation.item, observation.weight
        user = self._user_row(observation.user, observation.ts)
        if item >= len(self._known) or not self._known[item]:
            self._meet(item)
        self._learned += 1
        self.river.learn_one(user, item, _target(weight))
        if weight <= 0:
            return
        self._hand, self._pooled = kernels.remember(
            item, self._hand, self._pooled, self._pool, self._places, self._recent
        )
        before = int((self._learned - 1) * self.negatives)
        for sample in range(before, int(self._learned * self.negatives)):
            drawn = scramble((self.seed << 40) + sample) % self._pooled
            other = int(self._pool[drawn])
            if other != item:
                self.river.learn_one(user, other, 0.0)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items of the pool with the highest affinity."""
        vector = self._vector(context)
        if vector is None:
            return EMPTY_CANDIDATES
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = kernels.best_by_factors(
            vector,
            self._pool,
            self._pooled,
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
        kept = self._known[self._pool[: self._pooled]]
        pool, recent = self._pool[: self._pooled][kept], self._recent[: self._pooled][kept]
        # the hand stays on the item it pointed at, or goes on to the next that is left
        hand = int(np.count_nonzero(kept[: self._hand]))
        self._places[held] = 0
        self._fill_pool(pool, recent, hand)

    def _parts(self) -> State:
        users, size = self._users.size, self._index.size
        known = grown(self._known, size)[:size].copy()
        return {
            "users": self._users.state(),
            "user_latents": self._user_latents[:users].copy(),
            "user_biases": self._user_biases[:users].copy(),
            "known": known,
            "item_latents": grown(self._item_latents, size)[:size].copy(),
            "item_biases": grown(self._item_biases, size)[:size].copy(),
            "pool": self._pool[: self._pooled].copy(),
            "recent": self._recent[: self._pooled].copy(),
            "hand": self._hand,
            "learned": self._learned,
            "mean": [float(self.river.global_mean.n), float(self.river.global_mean.get())],
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
        self._fill_pool(state["pool"], state["recent"], int(state["hand"]))
        self._learned = int(state["learned"])
        self.river.global_mean.n, self.river.global_mean._mean = state["mean"]  # noqa: SLF001

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._users.memory()

    def _hold_users(self, latents: NDArray[np.float32], biases: NDArray[np.float64]) -> None:
        self._user_latents = self.river.u_latents = latents
        self._user_biases = self.river.u_biases = biases

    def _hold_items(self, latents: NDArray[np.float32], biases: NDArray[np.float64]) -> None:
        self._item_latents = self.river.i_latents = latents
        self._item_biases = self.river.i_biases = biases

    def _fit_users(self, rows: int) -> None:
        if rows > len(self._user_biases):
            self._hold_users(grown(self._user_latents, rows), grown(self._user_biases, rows))

    def _fit_items(self, rows: int) -> None:
        if rows > len(self._known):
            self._hold_items(grown(self._item_latents, rows), grown(self._item_biases, rows))
            self._known = grown(self._known, rows)
            self._places = grown(self._places, rows)

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
        self._fit_items(item + 1)
        self._item_latents[item] = initial_latents(
            int(self._index.hashes[item]), self.seed + 1, self.factors, 0.1
        )
        self._known[item] = True

    def _drop_users(self, rows: Items) -> None:
        self._user_latents[rows] = 0.0
        self._user_biases[rows] = 0.0

    def _fill_pool(self, pool: Items, recent: NDArray[np.bool_], hand: int) -> None:
        self._pooled = len(pool)
        self._pool[: self._pooled] = pool
        self._recent[:] = False
        self._recent[: self._pooled] = recent
        self._places[self._pool[: self._pooled]] = np.arange(1, self._pooled + 1)
        self._hand = hand if hand < self._pooled else 0

    def _vector(self, context: Context) -> NDArray[np.float32] | None:
        """Shopper's vector plus the fading sum of the context's; None if there is neither."""
        row = self._users.find(context.user) if context.user else NO_ITEM
        vector = np.zeros(self.factors, np.float32)
        found = kernels.gather(
            row, context.items, _FADE, self._known, self._user_latents, self._item_latents, vector
        )
        return vector if found else None


def _target(weight: float) -> float:
    """Target of an interaction: 0 for a dislike, 1 for a view, rising slowly to 2."""
    return 0.0 if weight <= 0 else min(2.0, 0.75 + 0.25 * weight)
