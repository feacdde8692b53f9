"""The data that models exchange: observations in, contexts and candidates."""

from typing import NamedTuple

import numpy as np

from stream_app.models.array_types import EMPTY_ITEMS, EMPTY_TIMES, NO_SESSION, Items, Scores, Times
from topics.records import Kind


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
    # whether no view of the user is known before this one; purchases may be folded before or after views
    is_first: bool = False


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
    # shape (n,): what the user did with each item, see `stream_app.models.two_tower_network.Head`; empty if unknown
    heads: Items = EMPTY_ITEMS

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
