"""Matrix factorization by River's BiasedMF, with bounded memory."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from river import optim, reco

from stream_app.models.base import Observation
from stream_app.models.factor_model import FactorModel
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.random import splitmix64
from stream_app.models.model_state import State


class RowSGD(optim.SGD):  # type: ignore[misc]
    """River's SGD for a constant learning rate, at half the cost per step."""

    def __init__(self, lr: float) -> None:
        super().__init__(lr)
        self._rate = lr

    def step(self, w: Any, g: Any) -> Any:
        """Move the given rows against their gradients, in place."""
        for key, gradient in g.items():
            w[key] -= self._rate * gradient
        return w


class BiasedMF(FactorModel):
    """River's `reco.BiasedMF` on implicit feedback.

    The target of an interaction rises with its weight (0 for a dislike); after each, samples of popular items are
    learned with target 0.

    River's model allocates a vector for every id that it scores. Here its tables are the arrays of `FactorModel`: an
    unknown id has no row and is not passed to River, and scoring reads the memory that River writes.

    Parameters
    ----------
    max_users, n_factors
        See `FactorModel`.
    learning_rate, l2
        Step size, and strength of the pull of vectors to 0.
    clip
        Largest gradient of the loss, so that a large step size does not diverge.
    negatives
        Samples with target 0 per interaction; 0.5 is one per two interactions.
    seed
        Of the initial vectors and of the samples.

    References
    ----------
    Koren, Bell, Volinsky: Matrix factorization techniques for recommender systems, Computer 42 (8), 2009.
    Kabbur, Ning, Karypis: FISM, KDD 2013 (a user as the sum of their items).

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = BiasedMF(index)
    >>> def observed(item, kind, weight):
    ...     return Observation("ann", item, 0.0, kind, weight)
    >>> for _ in range(20):
    ...     model.learn(observed(shoe, Kind.LIKE, 2.0))
    ...     model.learn(observed(sock, Kind.DISLIKE, -1.0))
    >>> context = Context("ann", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)
    >>> liked, disliked = model.score(context, np.array([shoe, sock], np.int32))
    >>> bool(liked > 0.6 > 0.4 > disliked)
    True
    """

    name: ClassVar[str] = "biased_mf"
    additive: ClassVar[bool] = False
    learns_sample_under_load: ClassVar[bool] = True

    def __init__(
        self,
        index: ItemIndex | None = None,
        *,
        max_users: int = 200_000,
        n_factors: int = 16,
        learning_rate: float = 0.15,
        l2: float = 0.002,
        clip: float = 2.0,
        negatives: float = 0.5,
        seed: int = 7,
    ) -> None:
        super().__init__(index, max_users=max_users, n_factors=n_factors, seed=seed)
        self.learning_rate = learning_rate
        self.l2 = l2
        self.clip = clip
        self.negatives = negatives
        self._reset()

    def _reset(self) -> None:
        self.river = reco.BiasedMF(
            n_factors=self.n_factors,
            bias_optimizer=RowSGD(self.learning_rate),
            latent_optimizer=RowSGD(self.learning_rate),
            l2_bias=self.l2,
            l2_latent=self.l2,
            clip_gradient=self.clip,
            seed=self.seed,
        )
        super()._reset()
        self._share_arrays()

    def learn(self, observation: Observation) -> None:
        """Learn an observation, and samples with target 0; repeats are skipped."""
        if observation.repeat:
            return
        item, weight = observation.item, observation.weight
        user = self._user_row(observation.user, observation.ts)
        self._ensure_item_vector(item)
        self._n_learned += 1
        self.river.learn_one(user, item, _target(weight))
        if weight <= 0:
            return
        pool = self._pool
        pool.add(item)
        first_sample = int((self._n_learned - 1) * self.negatives)
        for sample in range(first_sample, int(self._n_learned * self.negatives)):
            slot = splitmix64(np.uint64((self.seed << 40) + sample)) % pool.size
            other = int(pool.items[slot])
            if other != item:
                self.river.learn_one(user, other, 0.0)

    def _get_state(self) -> State:
        mean = [float(self.river.global_mean.n), float(self.river.global_mean.get())]
        return {**super()._get_state(), "mean": mean}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        self.river.global_mean.n, self.river.global_mean._mean = state["mean"]  # noqa: SLF001  # River has no setter

    def _reserve_users(self, rows: int) -> None:
        super()._reserve_users(rows)
        self._share_arrays()

    def _reserve_items(self, rows: int) -> None:
        super()._reserve_items(rows)
        self._share_arrays()

    def _share_arrays(self) -> None:
        """Give River's model the arrays of this model."""
        self.river.u_latents, self.river.u_biases = self._factors.user_latents, self._user_biases
        self.river.i_latents, self.river.i_biases = self._factors.item_latents, self._factors.item_biases


def _target(weight: float) -> float:
    """Target of an interaction: 0 for a dislike, 1 for a view, rising slowly to 2."""
    return 0.0 if weight <= 0 else min(2.0, 0.75 + 0.25 * weight)
