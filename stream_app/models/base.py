"""The base class of the models, in the style of River, and the data they exchange.

Items are small integers of the one `stream_app.models.item_index.ItemIndex` that all models of a set share, so that
an id is hashed once per interaction and not once per model.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar, NamedTuple

import numpy as np

from stream_app.models import array_types
from stream_app.models.model_state import Restorable
from topics.events import CatalogItem
from topics.records import Kind, Reason

Items = array_types.Items
Times = array_types.Times
Scores = array_types.Scores

NO_ITEM = -1
"""An unknown item, or no evidence."""

NO_SESSION = -1
"""No session."""

EMPTY_ITEMS: Items = np.zeros(0, np.int32)
EMPTY_TIMES: Times = np.zeros(0, np.float64)


class Observation(NamedTuple):
    """One item of an interaction."""

    user: str  # id of the user
    item: int  # index of the item
    ts: float  # event time, seconds since the epoch
    kind: Kind
    weight: float = 1.0  # 1 for a view, more for a cart or a purchase, below 0 for a dislike
    segments: tuple[str, ...] = ()  # segments of the interaction besides ``all``, as ``name:value``
    session: int = 1  # serial number of the session; each new session of any user gets the next number
    repeat: bool = False  # whether `previous_items` holds the item
    # shape (n,): the user's earlier items of the same stream (views apart from purchases) within the session
    # gap of `ts`, oldest first, without this one. A view of a buffer: copy it to keep it
    previous_items: Items = EMPTY_ITEMS
    previous_times: Times = EMPTY_TIMES  # shape (n,): their event times
    # query that led to the item: that of the interaction, or the last of the session; empty if there is none
    query: str = ""
    # share of the weight that earlier choices of the item by the user were not counted with, from 0 to 1, see
    # `stream_app.models.repeated_choices.RepeatedChoices.count`
    novelty: float = 1.0


class Context(NamedTuple):
    """The user, items and time for which items are ranked."""

    user: str  # id of the user; empty for a list without a user, such as that of an item's page
    items: Items  # shape (n,): recent items of the user, oldest first; may hold repeats and `NO_ITEM`
    times: Times  # shape (n,): their event times
    session_start: int  # position in `items` at which the current session begins
    segments: tuple[str, ...]  # segments of the user besides ``all``
    now: float  # event time of the user's last event, seconds since the epoch
    # serial number of the open session, which is not its own neighbor; `NO_SESSION` if there is none
    session: int = NO_SESSION
    query: str = ""  # last query of the session, or the query to rank for; empty if there is none

    @property
    def session_index(self) -> int:
        """Index of the first item of the current session; 0, all items, if no item is in it."""
        return self.session_start if self.session_start < len(self.items) else 0


class Candidates(NamedTuple):
    """Items that a model proposes, best first; the smaller hash (`ItemIndex.hashes`) first in a tie."""

    items: Items  # shape (n,): distinct items
    scores: Scores  # shape (n,): in descending order, above 0
    # shape (n,): input of `Model.explain`: usually the context item that contributes most to the score;
    # `NO_ITEM` if the score does not depend on the context
    evidence: Items


EMPTY_CANDIDATES = Candidates(EMPTY_ITEMS, np.zeros(0, np.float32), EMPTY_ITEMS)


class Model(Restorable):
    """One algorithm that learns one interaction at a time.

    The first argument of the constructor is the index of the items; keyword arguments are the hyperparameters, each
    with a default and an attribute of the same name. Scoring does not change the model. Memory is bounded.

    A subclass implements `learn`, `candidates`, `score`, `explain`, and for its state `_reset`, `_get_state` and
    `_set_state`.
    """

    name: ClassVar[str]
    """Name in settings, metrics and reports."""

    additive: ClassVar[bool]
    """Whether the same interactions in any order give the same model."""

    proposes_new_items: ClassVar[bool] = True
    """Whether it proposes items that are not in the context."""

    weighs_novelty: ClassVar[bool] = False
    """Whether it learns repeated choices too, by `Observation.novelty`; other models do not get them."""

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

    def forget_user(self, user: str) -> None:
        """Drop the data of a user."""

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

    def memory(self) -> int:
        """Bytes held, to within a few percent: the array attributes, unless a model adds others."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.name, self.parameters()
