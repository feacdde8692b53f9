"""The base class of the models: a River ranker that learns observations one by one.

Items are small integers of the one `stream_app.models.item_index.ItemIndex` that all models of a set share, so that
an id is hashed once per interaction and not once per model.
"""

from collections.abc import Hashable, Iterable, Mapping
from inspect import signature
from typing import Any, ClassVar, Final, TypeVar

import numpy as np
from river import reco

from stream_app.models import array_types
from stream_app.models.array_types import EMPTY_ITEMS, EMPTY_TIMES, NO_ITEM, NO_SESSION
from stream_app.models.estimator import Estimator
from stream_app.models.id_entrance import Features, IdEntrance
from stream_app.models.id_index import stable_hash
from stream_app.models.item_index import ItemIndex
from stream_app.models.model_state import Restorable
from stream_app.models.observation import EMPTY_CANDIDATES, Candidates, Context, Observation
from stream_app.models.repeated_choices import MAX_CHOICES
from stream_app.models.resident import resident_bytes
from topics.events import CatalogItem
from topics.records import Reason

__all__ = [
    "EMPTY_CANDIDATES",
    "EMPTY_ITEMS",
    "EMPTY_TIMES",
    "NO_ITEM",
    "NO_SESSION",
    "Candidates",
    "Context",
    "Items",
    "Model",
    "Observation",
    "Scores",
    "Times",
]

Items = array_types.Items
Times = array_types.Times
Scores = array_types.Scores

ITEMS_ALONE: Final = 200_000
"""Largest number of items of a model without a shared index."""

H = TypeVar("H", bound=Hashable)


class Model(Estimator, Restorable, reco.base.Ranker):  # type: ignore[misc]  # River has no types
    """One algorithm that learns one interaction at a time.

    The first argument of the constructor is the index of the items; without one, the model makes its own. Keyword
    arguments are the hyperparameters, each with a default and an attribute of the same name. Scoring does not change
    the model. Memory is bounded.

    There are two entrances. A set of models calls `learn` and `score` with integers of the index it shares. River's
    tools call `learn_one`, `predict_one` and `rank` with ids; the model then follows sessions itself.

    A subclass implements `learn`, `candidates`, `score`, `explain`, and for its state `_reset`, `_get_state` and
    `_set_state`.

    Examples
    --------
    >>> from stream_app.models.item_to_item import ItemToItem
    >>> model = ItemToItem(neighbors=50)
    >>> for user, item in [("ann", "shoe"), ("ann", "sock"), ("bob", "hat"), ("bob", "shoe")]:
    ...     model.learn_one(user, item)
    >>> model.rank("bob", {"tie", "sock"}), model.predict_one("bob", "tie")
    (['sock', 'tie'], 0.0)
    >>> model.clone().predict_one("bob", "sock")
    0.0
    """

    name: ClassVar[str]
    """Name in settings, metrics and reports."""

    additive: ClassVar[bool]
    """Whether the same interactions in any order give the same model."""

    proposes_new_items: ClassVar[bool] = True
    """Whether it proposes items that are not in the context."""

    only_orders: ClassVar[bool] = False
    """Whether fusions use its scores of what other models propose, and not its own candidates."""

    weighs_novelty: ClassVar[bool] = False
    """Whether it learns repeated choices too, by `Observation.novelty`; other models do not get them."""

    learns_sample_under_load: ClassVar[bool] = False
    """Whether it learns one interaction in four while the worker is overloaded: learning one costs much."""

    is_trained_apart: ClassVar[bool] = False
    """Whether a trainer learns it from the same log: it has no state here, and no replay of the log learns it."""

    _index: ItemIndex
    _entrance: IdEntrance | None = None  # made when ids are learned first

    @property
    def index(self) -> ItemIndex:
        """The items."""
        return self._index

    def _shared_or_own(self, index: ItemIndex | None) -> ItemIndex:
        """The given index, or one that this model owns."""
        return ItemIndex(ITEMS_ALONE, self.forget_items) if index is None else index

    def learn(self, observation: Observation) -> None:
        """Learn one observation."""
        raise NotImplementedError

    def learn_catalog(self, item: int, entry: CatalogItem) -> None:
        """Learn the catalog entry of an item; ignored by default."""

    def learn_query(self, user: str, query: str, ts: float) -> None:
        """Learn that a user searched; ignored by default."""

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose at most `k` items for a context, best first."""
        raise NotImplementedError

    def score(self, context: Context, items: Items) -> Scores:
        """Score items for a context; an unknown item (or `NO_ITEM`) scores 0, the lowest score.

        Parameters
        ----------
        items : ndarray of int32, shape (n,)

        Returns
        -------
        ndarray of float32, shape (n,)
        """
        raise NotImplementedError

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Reason why `item` was proposed; `evidence` is that of `Candidates`."""
        raise NotImplementedError

    @property
    def is_contextual(self) -> bool:
        """Whether features besides user and item are read: see `learn_one`."""
        return True

    def learn_one(
        self, user: Hashable, item: Hashable, y: float | None = None, x: Features | None = None
    ) -> None:
        """Learn that a user chose an item, by their ids.

        See `IdEntrance.observe` for `y` (the weight, or whether the item was chosen) and `x` (event time ``ts``,
        ``kind``, ``segments``, ``query``). As in a set of models, the third and further choices of an item by a user
        are left to the models that weigh them.

        Raises
        ------
        ValueError
            If the kind does not exist or carries no item, or `y` is not finite.
        """
        entrance = self._ids()
        observed = entrance.observe(user, item, y, x)
        if observed is None:
            return
        observation, choices_before = observed
        if observation.query:
            self.learn_query(observation.user, observation.query, observation.ts)
        if choices_before < MAX_CHOICES or self.weighs_novelty:
            self.learn(observation)

    def predict_one(self, user: Hashable, item: Hashable, x: Features | None = None) -> float:
        """Score of an item for a user, by their ids; 0 for an unknown item. `x` as for `learn_one`."""
        return float(self._scores_by_ids(user, [item], x)[0])

    def rank(self, user: Hashable, items: Iterable[H], x: Features | None = None) -> list[H]:
        """Order items for a user, best first; the smaller hash of the id first in a tie.

        Parameters
        ----------
        user
            An id, known or not.
        items
            Ids, in any order, as which they are returned.
        x
            As for `learn_one`.
        """
        listed = list(items)
        scores = self._scores_by_ids(user, listed, x)
        ties = np.array([stable_hash(str(item)) for item in listed], np.uint64)
        return [listed[position] for position in np.lexsort((ties, -scores)).tolist()]

    def _scores_by_ids(self, user: Hashable, items: Iterable[Hashable], x: Features | None) -> Scores:
        context = self._ids().context(user, x)
        return self.score(context, np.array(self._index.find_all(map(str, items)), np.int32))

    def _ids(self) -> IdEntrance:
        if self._entrance is None:
            self._entrance = IdEntrance(self._index)
        return self._entrance

    def forget_user(self, user: str) -> None:
        """Drop the data of a user; a subclass with such data drops it, too."""
        if self._entrance is not None:
            self._entrance.forget_user(user)

    def forget_items(self, items: Items) -> None:
        """Drop the data of items, whose indices may be given to other items.

        A full index evicts many items at once, so that each model scans its tables once.

        Parameters
        ----------
        items : ndarray of int32, shape (n,)
            Distinct items.
        """

    @classmethod
    def hyper_parameters(cls) -> dict[str, Any]:
        """Names of the hyperparameters and their defaults.

        Examples
        --------
        >>> from stream_app.models.biased_mf import BiasedMF
        >>> BiasedMF.hyper_parameters()["negatives"]
        0.5
        """
        arguments = signature(cls).parameters.values()
        return {each.name: each.default for each in arguments if each.kind is each.KEYWORD_ONLY}

    def parameters(self) -> dict[str, Any]:
        """Names and values of the hyperparameters."""
        return {name: getattr(self, name) for name in self.hyper_parameters()}

    def _get_params(self) -> dict[str, Any]:
        return self.parameters()

    def _unit_test_skips(self) -> set[str]:
        # the index and the store are places that a set shares, and no parameters: a clone has its own
        return {*super()._unit_test_skips(), "check_get_params_matches_signature"}

    def memory(self) -> int:
        """Bytes held, to within a few percent: the array attributes, unless a model adds others."""
        return resident_bytes(value for value in vars(self).values() if isinstance(value, np.ndarray))

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.name, self.parameters()
