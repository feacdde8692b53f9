"""Matrix factorisation that learns to rank: what was chosen above what was not."""

from typing import ClassVar

from stream_app.models.base import Observation
from stream_app.models.factor_model import CONTEXT_DECAY, FactorModel
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.bpr import PairSettings, learn_pairs
from stream_app.models.kernels.jit import plain


class BPR(FactorModel):
    """Bayesian personalised ranking, learned online from implicit feedback.

    Each interaction is taken as pairs: the item should score above another, drawn from the pool of items
    touched lately and again. One step of gradient ascent on the log-likelihood of each pair, and it is
    forgotten; a stronger interaction (by the root of its weight) makes a larger step, and a disliked item is
    the loser of its pairs.

    The shopper is at learning what they are at scoring (see `FactorModel`): their own vector plus those of
    their last items, fading; so items seen after one another are drawn together, and a shopper's second click
    is served already.

    Parameters
    ----------
    index
        The items.
    max_users
        Shoppers with a vector; about 1% are forgotten, the longest inactive first, when one more comes.
    n_factors
        Length of the vectors.
    learning_rate, l2
        Step size, and how strongly vectors and biases are pulled to 0.
    clip
        Largest component of a vector, which keeps a large step size from diverging.
    negatives
        Pairs for each interaction.
    depth
        Last items of the shopper that a step goes to.
    seed
        Of the initial vectors and of the samples.

    References
    ----------
    Rendle, Freudenthaler, Gantner, Schmidt-Thieme: BPR, UAI 2009.
    Kabbur, Ning, Karypis: FISM, KDD 2013 (a shopper as the sum of their items).

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = BPR(index)
    >>> for user, item in [("ann", shoe), ("bob", sock)] * 50:
    ...     model.learn_one(Observation(
    ...         user, item, 0.0, Kind.VIEW, 1.0, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES))
    >>> context = Context("ann", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)
    >>> index.id_of(model.candidates(context, 1).items[0])
    'shoe'
    """

    name: ClassVar[str] = "bpr"
    additive: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex,
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

    def learn_one(self, observation: Observation) -> None:
        """Set an item that is no repeat against samples of the pool."""
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
