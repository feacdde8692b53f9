"""Matrix factorization with a pairwise ranking loss."""

from typing import ClassVar

from stream_app.models.base import Observation
from stream_app.models.factor_model import CONTEXT_DECAY, FactorModel
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.bpr import PairSettings, learn_pairs
from stream_app.models.kernels.jit import plain


class BPR(FactorModel):
    """Bayesian personalized ranking, learned online from implicit feedback.

    Each interaction makes pairs: its item should rank above an item drawn from the pool of recently and repeatedly
    used items; a disliked item should rank below. Each pair is one step of gradient ascent on its log-likelihood,
    weighted by the root of the interaction's weight.

    Learning represents the user as scoring does (see `FactorModel`): by their vector plus the decayed vectors of
    their last items. So the vectors of consecutive items become similar, and a user has useful lists after one
    click.

    Parameters
    ----------
    max_users, n_factors
        See `FactorModel`.
    learning_rate, l2
        Step size, and strength of the pull of vectors and biases to 0.
    clip
        Largest absolute component of a vector, so that a large step size does not diverge.
    negatives
        Pairs for each interaction.
    depth
        Last items of the user that take part in a step.
    seed
        Of the initial vectors and of the samples.

    References
    ----------
    Rendle, Freudenthaler, Gantner, Schmidt-Thieme: BPR, UAI 2009.
    Kabbur, Ning, Karypis: FISM, KDD 2013 (a user as the sum of their items).

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = BPR(index)
    >>> for user, item in [("ann", shoe), ("bob", sock)] * 50:
    ...     model.learn(Observation(user, item, 0.0, Kind.VIEW))
    >>> context = Context("ann", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)
    >>> index.id_of(model.candidates(context, 1).items[0])
    'shoe'
    """

    name: ClassVar[str] = "bpr"
    additive: ClassVar[bool] = False
    learns_sample_under_load: ClassVar[bool] = True

    def __init__(
        self,
        index: ItemIndex | None = None,
        *,
        max_users: int = 200_000,
        n_factors: int = 16,
        learning_rate: float = 0.1,
        l2: float = 0.002,
        clip: float = 2.0,
        negatives: int = 2,
        depth: int = 5,
        seed: int = 7,
    ) -> None:
        super().__init__(index, max_users=max_users, n_factors=n_factors, seed=seed)
        self.learning_rate = learning_rate
        self.l2 = l2
        self.clip = clip
        self.negatives = negatives
        self.depth = depth
        self._settings = PairSettings(negatives, depth, CONTEXT_DECAY, learning_rate, l2, clip)
        self._reset()

    def learn(self, observation: Observation) -> None:
        """Learn pairs of the item and samples of the pool; repeats are skipped."""
        if observation.repeat:
            return
        item, weight, previous = observation.item, observation.weight, observation.previous_items
        user = self._user_row(observation.user, observation.ts)
        self._ensure_item_vector(item)
        pool = self._pool
        if weight > 0:
            pool.add(item)
        if pool.size == 0:
            return
        counter = (self.seed << 40) + self._n_learned
        self._n_learned += self.negatives
        strength = weight**0.5 if weight > 0 else -(abs(weight) ** 0.5)
        learn_pairs(
            user,
            item,
            strength,
            previous,
            pool.items[: pool.size],
            counter,
            plain(self._settings),
            plain(self._factors),
        )
