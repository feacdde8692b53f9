"""The protocol of every model, in River's manners, and the plain data that goes in and comes out.

Items are small integers here, given out by the one `stream_app.models.item_index.ItemIndex` that all models of a
set share, so that an id is hashed once an interaction and not once a model.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar, NamedTuple

import numpy as np

from stream_app.models import array_types
from stream_app.models.model_state import State, verify_state, versioned_state
from topics.events import CatalogItem
from topics.records import Kind, Reason

Items = array_types.Items
Times = array_types.Times
Scores = array_types.Scores

NO_ITEM = -1
"""Stands for an item the index does not know, or for no evidence."""

NO_SESSION = -1
"""Stands for no session."""

EMPTY_ITEMS: Items = np.zeros(0, np.int32)
EMPTY_TIMES: Times = np.zeros(0, np.float64)


class Observation(NamedTuple):
    """One item of an interaction, as the models learn it.

    Attributes
    ----------
    user
        The shopper's id.
    item
        Index of the item.
    ts
        Event time, seconds since the epoch.
    kind
        What the shopper did.
    weight
        How much it says: 1 for a view, more for a cart or a purchase, below 0 for a dislike.
    segments
        Audiences the interaction counts for besides ``all``, as ``name:value``.
    session
        Serial number of the shopper's session; grows by one with each session opened anywhere.
    repeat
        Whether `previous_items` holds the item already.
    previous_items : ndarray of int32, shape (n,)
        The shopper's earlier items of the same stream (views apart from purchases) within the session gap of
        `ts`, oldest first, without this one. A view on a buffer: read it during the call, copy to keep.
    previous_times : ndarray of float64, shape (n,)
        Their event times.
    query
        The search words that led to it: its own, or the shopper's last in the session; empty where there are
        none.
    """

    user: str
    item: int
    ts: float
    kind: Kind
    weight: float
    segments: tuple[str, ...]
    session: int
    repeat: bool
    previous_items: Items
    previous_times: Times
    query: str = ""


class Context(NamedTuple):
    """What a list is asked for.

    Attributes
    ----------
    user
        The shopper, or the empty string where the list is for nobody in particular (an item's list).
    items : ndarray of int32, shape (n,)
        The shopper's recent items, oldest first; may hold repeats and `NO_ITEM`.
    times : ndarray of float64, shape (n,)
        Their event times.
    session_start
        Place in `items` where the current session begins.
    segments
        The shopper's audiences besides ``all``.
    now
        Event time of the shopper's last event, seconds since the epoch.
    session
        Serial number of the shopper's open session, `NO_SESSION` where there is none or it is unknown: a session
        is not its own neighbor.
    query
        The shopper's last search of the session, or the search a list is asked for; empty where there is none.
    """

    user: str
    items: Items
    times: Times
    session_start: int
    segments: tuple[str, ...]
    now: float
    session: int = NO_SESSION
    query: str = ""

    @property
    def session_index(self) -> int:
        """Index of the first item of the current session; 0, all items, if no item is in it."""
        return self.session_start if self.session_start < len(self.items) else 0


class Candidates(NamedTuple):
    """What a model proposes, best first; ties in the order of `ItemIndex.hashes`.

    Attributes
    ----------
    items : ndarray of int32, shape (n,)
        Distinct items.
    scores : ndarray of float32, shape (n,)
        Falling.
    evidence : ndarray of int32, shape (n,)
        What `Model.explain` turns into a reason, most often the item of the context that spoke most for each;
        `NO_ITEM` where nothing of the context did.
    """

    items: Items
    scores: Scores
    evidence: Items


EMPTY_CANDIDATES = Candidates(EMPTY_ITEMS, np.zeros(0, np.float32), EMPTY_ITEMS)


class Model:
    """One algorithm that learns an interaction at a time.

    Constructor arguments are the hyper-parameters, each with a default that works and each kept as an attribute
    of its name. Scoring never changes the model. Everything held in memory has a bound.

    A model writes `learn_one`, `candidates`, `score`, `explain`, and for its state `_reset`, `_get_state` and
    `_set_state`; what goes round these is here.
    """

    name: ClassVar[str]
    """In settings, metrics and reports."""

    additive: ClassVar[bool]
    """Whether the statistics add up: the same interactions in any order give the same model."""

    proposes_new_items: ClassVar[bool] = True
    """Whether it proposes more than the context's own items."""

    def learn_one(self, observation: Observation) -> None:
        """Learn one observation."""
        raise NotImplementedError

    def learn_catalog(self, item: int, entry: CatalogItem) -> None:
        """Take the catalog's word on an item; most models have no use for it."""

    def learn_query(self, user: str, query: str, ts: float) -> None:
        """Take note that a shopper searched; most models have no use for it."""

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose at most `k` items for a context, best first."""
        raise NotImplementedError

    def score(self, context: Context, items: Items) -> Scores:
        """Score items for a context; an unknown item (or `NO_ITEM`) has the lowest score, 0.

        Parameters
        ----------
        context
            What the list is for.
        items : ndarray of int32, shape (n,)
            The items to score.

        Returns
        -------
        ndarray of float32, shape (n,)
        """
        raise NotImplementedError

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Say why `item` was proposed, from the `evidence` that came with it."""
        raise NotImplementedError

    def forget_user(self, user: str) -> None:
        """Drop what is held of one shopper."""

    def forget_items(self, items: Items) -> None:
        """Drop what is held of several items at once: a full index gives up many, and a model scans but once.

        Parameters
        ----------
        items : ndarray of int32, shape (n,)
            Distinct items.
        """

    @classmethod
    def hyper_parameters(cls) -> dict[str, Any]:
        """Names of the hyper-parameters and their defaults.

        Examples
        --------
        >>> from stream_app.models.biased_mf import BiasedMF
        >>> BiasedMF.hyper_parameters()["negatives"]
        0.5
        """
        arguments = signature(cls).parameters.values()
        return {each.name: each.default for each in arguments if each.kind is each.KEYWORD_ONLY}

    def parameters(self) -> dict[str, Any]:
        """The hyper-parameters this model was made with."""
        return {name: getattr(self, name) for name in self.hyper_parameters()}

    def state(self) -> State:
        """Everything learned, as plain data that shares no memory with the model."""
        return versioned_state(self.name, self.parameters(), **self._get_state())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the model that `state` was taken from.

        Raises
        ------
        ValueError
            If the state is of another format or of other hyper-parameters.
        """
        verify_state(state, self.name, self.parameters())
        self._reset()
        self._set_state(state)

    def memory(self) -> int:
        """Bytes held, to within a few percent: here the arrays of the model, for most all there is."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def _reset(self) -> None:
        """Become a model that has learned nothing."""
        raise NotImplementedError

    def _get_state(self) -> State:
        """What was learned, copied."""
        raise NotImplementedError

    def _set_state(self, state: Mapping[str, Any]) -> None:
        """Take what `_get_state` gave into a cleared model."""
        raise NotImplementedError
