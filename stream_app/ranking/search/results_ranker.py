"""The order of search results for one user, learned online from choices from displayed lists."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Items
from stream_app.models.id_index import IdIndex
from stream_app.models.model_state import MIGRATIONS, VERSIONS, Restorable, State
from stream_app.models.repeated_choices import MAX_CHOICES
from stream_app.models.resident import resident_bytes
from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES
from stream_app.ranking.fusion.listwise import Matrix
from stream_app.ranking.kernels.feature_table import ResultFeature
from stream_app.ranking.kernels.results_features import write_features
from stream_app.ranking.kernels.results_memory import (
    MAX_RANKED,
    PAGE_LENGTH,
    InteractionColumn,
    ItemColumn,
    SearchAction,
    UserColumn,
    count_list,
    record_interaction,
    record_list,
)
from stream_app.ranking.search.displayed_results import distinct_items, known_prices
from stream_app.ranking.search.results_arrays import (
    drop_items,
    drop_users,
    empty_memory,
    grow_memory,
    memory_state,
    restore_memory,
)
from stream_app.ranking.search.results_factorization import build_ranker
from stream_app.ranking.search.typed_ids import TypedIds
from topics.records import Interaction, Kind

MAX_USERS: Final = 20_000
"""Maximum number of users remembered: choices from a list follow within days."""

_ACTION_BY_KIND: Final = {
    Kind.VIEW: SearchAction.VIEWED,
    Kind.DETAIL: SearchAction.VIEWED_DETAIL,
    Kind.CART: SearchAction.ADDED_TO_CART,
    Kind.WISHLIST: SearchAction.LIKED,
    Kind.SHARE: SearchAction.LIKED,
    Kind.LIKE: SearchAction.LIKED,
    Kind.PURCHASE: SearchAction.BOUGHT,
    Kind.SEARCH: SearchAction.SEARCHED,
}
_NO_ACTION: Final = -1
_ACTION_CODES: Final = [int(_ACTION_BY_KIND.get(kind, _NO_ACTION)) for kind in Kind]
"""Action of each interaction kind, by its number; plain integers, because each event reads it."""

_BOUGHT: Final = int(SearchAction.BOUGHT)
_SEARCHED: Final = int(SearchAction.SEARCHED)
_SEARCHED_ITEM: Final = int(SearchAction.SEARCHED_ITEM)


class ResultsRanker(Restorable):
    """Orders the results of a search for a user by the probability that each is chosen.

    It is a learner of the fold. Per user it remembers the items of recent interactions (viewed, bought, searched for
    by id) with their times, the last lists with a choice, and the first `PAGE_LENGTH` results of the newest search.
    An interaction with displayed items is a choice from these. An interaction without is a choice from the results of
    the user's search in the same session, if its item is among them and it is the first interaction since, or a
    purchase. Each choice is learned with the features of the list just before it (ranks, interactions, prices,
    habits, popularity with others) by `stream_app.ranking.fusion.factorization.FactorizationRanker`. The initial
    order is items of interactions first, the newest first unless it ranks low, then the displayed order: it is never
    random.

    A user may type a name or a number that looks like an id. A searched id that was never displayed or interacted
    with is remembered with the one user who searched for it, until a second one does, and dropped with that user.

    Nothing is remembered before the first list, so a shop that sends neither displayed items nor results has no cost.
    Learning is not additive: another order of choices gives slightly different weights.

    Parameters
    ----------
    session_gap
        Seconds of inactivity that close a session.
    max_users, max_items
        Maximum numbers remembered; the least recent by event time are evicted. A user takes 3.1 kB, an item about 250
        bytes.
    seed
        Seed of the learner's initial factors.

    Attributes
    ----------
    ranker
        The learner.

    References
    ----------
    Knees et al.: RecSys Challenge 2019: session-based hotel recommendations, RecSys 2019 (the task).
    Ludewig, Jannach: Learning to rank hotels for search and recommendation from session-based interaction logs and
    meta data, RecSys Challenge 2019 (features of the session, of ranks and of prices).

    Examples
    --------
    >>> from topics.records import Line, Source
    >>> results = ResultsRanker()
    >>> displayed, prices = ("inn", "spa", "ritz"), (60.0, 90.0, 300.0)
    >>> booked = Interaction(Source.PURCHASE, 0, 0, 0.0, "ann", Kind.PURCHASE, (Line("inn"),),
    ...                      shown=displayed, shown_prices=prices)
    >>> results.on_interaction(booked)
    >>> results.on_interaction(Interaction(Source.CLICK, 0, 0, 60.0, "bob", Kind.VIEW, (Line("ritz"),)))
    >>> results.order("bob", displayed, prices, 90.0).tolist()
    [2, 0, 1]
    """

    name: ClassVar[str] = "results"

    def __init__(
        self,
        *,
        session_gap: float = 1800.0,
        max_users: int = MAX_USERS,
        max_items: int = 200_000,
        seed: int = 7,
    ) -> None:
        self._parameters = {
            "session_gap": session_gap,
            "max_users": max_users,
            "max_items": max_items,
            "seed": seed,
        }
        self._session_gap = session_gap
        self._out: Matrix = np.zeros((MAX_RANKED, len(ResultFeature)), np.float32)
        self._reset()

    def _reset(self) -> None:
        self.ranker = build_ranker(int(self._parameters["seed"]))
        self._users = IdIndex(int(self._parameters["max_users"]), self._drop_users)
        self._items = IdIndex(int(self._parameters["max_items"]), self._drop_items)
        self._typed_ids = TypedIds()
        self._active = False
        self._memory = empty_memory()

    @property
    def ready(self) -> bool:
        """Whether enough has been learned for the order to be relied on."""
        return self.ranker.choices >= MIN_CHOICES

    def on_interaction(self, interaction: Interaction) -> None:
        """Learn the choice of an interaction, if it is one, and record the interaction."""
        action = _ACTION_CODES[interaction.kind]
        displayed = interaction.shown
        if action == _NO_ACTION or not (self._active or displayed):
            return
        ts = interaction.ts
        user_row = self._users.index(interaction.user_id, ts) + 1
        if user_row >= len(self._memory.users):
            self._grow(user_row + 1, 0)
        if displayed:
            self._active = True
        if action == _SEARCHED:
            item = self._searched_item(interaction)
            self._record_interaction(user_row, item, _SEARCHED_ITEM if item else action, ts, True, False)
            self._remember_search(user_row, interaction)
            return
        chosen = (
            self._learn_from_list(user_row, interaction)
            if displayed
            else self._learn_from_search(user_row, interaction, action)
        )
        first = True
        for line in interaction.lines:
            item = self._row(line.item_id, ts)
            self._record_interaction(user_row, item, action, ts, first, item in chosen)
            first = False

    def _record_interaction(
        self, user_row: int, item: int, action: int, ts: float, first: bool, chosen: bool
    ) -> None:
        users, interactions, times, _, _, _, items, _ = self._memory
        record_interaction(
            users, interactions, times, items, user_row, item, action, ts, self._session_gap, first, chosen
        )

    def _row(self, item_id: str, ts: float) -> int:
        """Return the row of an item of the shop, added if needed."""
        row = self._reserved_row(item_id, ts)
        if self._typed_ids:
            self._typed_ids.drop((row,))
        return row

    def _reserved_row(self, item_id: str, ts: float) -> int:
        row = self._items.index(item_id, ts) + 1
        if row >= len(self._memory.items):
            self._grow(0, row + 1)
        return row

    def _searched_item(self, search: Interaction) -> int:
        """Return the row of the item whose id is the query; 0 where it is none.

        A single word with a digit counts as an id, known or not: most ids are such words, and a user may search for
        an item before it is displayed.
        """
        query = search.query
        is_new = self._items.find(query) < 0
        if is_new and (len(query.split()) != 1 or query.isalpha()):
            return 0
        row = self._reserved_row(query, search.ts)
        self._typed_ids.on_search(row, search.user_id, is_new=is_new)
        return row

    def _grow(self, users: int, items: int) -> None:
        self._memory = grow_memory(self._memory, users, items)

    def _remember_search(self, user_row: int, search: Interaction) -> None:
        """Record the results of a search; they replace those of an earlier one."""
        if search.ts < self._memory.users[user_row, UserColumn.FOUND_TS]:
            return
        names, prices = distinct_items(search.shown[:PAGE_LENGTH], search.shown_prices[:PAGE_LENGTH])
        for name in names:
            self._row(name, search.ts)
        # looked up when all are added: in a small memory the last may have evicted the first
        rows = [number + 1 for number in self._items.find_all(names)]
        memory = self._memory
        profile = memory.users[user_row]
        profile[UserColumn.FOUND_SESSION] = profile[UserColumn.SESSION]
        profile[UserColumn.FOUND_TS] = search.ts
        memory.found_items[user_row, 0] = len(rows)
        memory.found_items[user_row, 1 : 1 + len(rows)] = rows
        memory.found_prices[user_row, : len(rows)] = prices

    def _learn_from_search(self, user_row: int, interaction: Interaction, action: int) -> Sequence[int]:
        """Learn choices from the results of the user's search; return the rows of the items chosen.

        The first interaction after the search is a choice, and each purchase. Later interactions are with the items
        not viewed yet, not with the most wanted: they would teach that items of interactions are not chosen.
        """
        memory, ts = self._memory, interaction.ts
        length = int(memory.found_items[user_row, 0])
        if not length:
            return ()
        profile = memory.users[user_row]
        if action != _BOUGHT and profile[UserColumn.LAST_ACTION] < _SEARCHED_ITEM:
            return ()
        if (
            profile[UserColumn.FOUND_SESSION] != profile[UserColumn.SESSION]
            or not profile[UserColumn.FOUND_TS] <= ts <= profile[UserColumn.LAST_TS] + self._session_gap
        ):
            return ()
        rows = memory.found_items[user_row, 1 : 1 + length]
        is_known = rows > 0  # items evicted since cannot be learned
        rows, prices = rows[is_known], memory.found_prices[user_row, :length][is_known]
        found_rows = set(rows.tolist())
        numbers = self._items.find_all([line.item_id for line in interaction.lines])
        chosen = [number + 1 for number in numbers if number + 1 in found_rows]
        if chosen:
            self._learn_choices(user_row, rows, prices, chosen, ts)
        return chosen

    def _learn_from_list(self, user_row: int, interaction: Interaction) -> Sequence[int]:
        """Learn choices from displayed items; return the rows of the items chosen."""
        names, prices = distinct_items(interaction.shown, interaction.shown_prices)
        rows = [self._row(name, interaction.ts) for name in names]
        chosen = [rows[names.index(line.item_id)] for line in interaction.lines if line.item_id in names]
        self._learn_choices(user_row, np.array(rows, np.int32), prices, chosen, interaction.ts)
        return chosen

    def _learn_choices(
        self, user_row: int, rows: NDArray[np.int32], prices: Matrix, chosen: Sequence[int], ts: float
    ) -> None:
        """Learn that items were chosen from a list, and record the list; all by their rows."""
        ranks = [int(np.flatnonzero(rows == item)[0]) for item in chosen]
        memory, out, first = self._memory, self._out[: len(rows)], ranks[0] if ranks else -1
        items = memory.interactions[user_row, :, InteractionColumn.ITEM]
        of_chosen = items == chosen[0] if len(chosen) == 1 else np.isin(items, chosen)
        times_chosen = memory.interactions[user_row, of_chosen, InteractionColumn.TIMES_CHOSEN]
        if len(rows) > 1 and ranks:
            write_features(memory, user_row, rows, prices, ts, self._session_gap, out)
            for rank in ranks:
                self.ranker.learn(out, rank)
        # for others a user's repeated choices of an item count twice at most
        if times_chosen.max(initial=0) < MAX_CHOICES:
            count_list(memory.items, memory.rank_counts, rows, first)
        record_list(memory, user_row, rows, prices, first)

    def features(self, user: str, results: Sequence[str], prices: Sequence[float], now: float) -> Matrix:
        """Compute the features of a list, one row a result; see `order`.

        Returns
        -------
        ndarray of float32, shape (n, len(ResultFeature))
            The first `MAX_RANKED` results, each by `ResultFeature`. Valid until the next call.
        """
        find = self._items.find
        rows = np.array([find(name) + 1 for name in results[:MAX_RANKED]], np.int32)
        clean_prices = known_prices(prices, len(results))[: len(rows)]
        out = self._out[: len(rows)]
        write_features(
            self._memory, self._users.find(user) + 1, rows, clean_prices, now, self._session_gap, out
        )
        return out

    def order(
        self, user: str, results: Sequence[str], prices: Sequence[float], now: float
    ) -> NDArray[np.int64]:
        """Order a list for a user; changes no state.

        Parameters
        ----------
        user
            Id of the user; may be unknown.
        results
            Ids of the results, in the shop's order; items may be unknown, none twice.
        prices
            Prices of the results, in their order; NaN or 0 where unknown, empty where none is known. An unknown price
            is replaced by the price that the item was last displayed with.
        now
            Event time, seconds since the epoch.

        Returns
        -------
        ndarray of int64, shape (n,)
            Indices of `results`, best first. Beyond the first `MAX_RANKED` results the shop's order stays.
        """
        order = np.arange(len(results))
        if len(results) > 1:
            scores = self.ranker.score(self.features(user, results, prices, now))
            order[: len(scores)] = np.argsort(-scores, kind="stable")
        return order

    def forget_user(self, user: str) -> None:
        """Drop the memory of a user, and the ids that this user, or erased ones besides, alone searched for."""
        self._users.forget(user)
        self._items.forget_numbers(np.array(self._typed_ids.forget(user), np.int64) - 1)

    def forget_private_texts(self) -> None:
        """Drop the ids that fewer than two users searched for, and that no list and no interaction had."""
        self._items.forget_numbers(np.array(self._typed_ids.forget_private(), np.int64) - 1)

    def forget_items(self, items: Items) -> None:
        """Do nothing: the items have an index of their own, with items that were only displayed."""

    def _drop_users(self, numbers: Items) -> None:
        drop_users(self._memory, numbers + 1)

    def _drop_items(self, numbers: Items) -> None:
        self._typed_ids.drop((numbers + 1).tolist())
        drop_items(self._memory, numbers + 1)

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.name, self._parameters

    def _get_state(self) -> State:
        return {
            "ranker": self.ranker.state(),
            "active": self._active,
            "users": self._users.state(),
            "items": self._items.state(),
            "typed_ids": self._typed_ids.state(),
            "memory": memory_state(self._memory, self._users.size + 1, self._items.size + 1),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.ranker.restore(state["ranker"])
        self._active = bool(state["active"])
        self._users.restore(state["users"])
        self._items.restore(state["items"])
        self._grow(self._users.size + 1, self._items.size + 1)
        restore_memory(self._memory, state["memory"])
        self._typed_ids.restore(state["typed_ids"], self._possibly_typed())

    def _possibly_typed(self) -> list[int]:
        """Return the rows of ids that were never displayed, and that at most one user interacted with or typed."""
        items = self._memory.items[1 : self._items.size + 1]
        is_known = (items[:, ItemColumn.IMPRESSIONS] > 0) | (items[:, ItemColumn.USERS] > 1)
        return [int(number) + 1 for number in np.flatnonzero(self._items.used & ~is_known)]

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        profile = resident_bytes((*self._memory, self._out))
        indices = self._users.memory() + self._items.memory()
        return profile + self.ranker.memory() + indices + self._typed_ids.memory()


VERSIONS[ResultsRanker.name] = 4
MIGRATIONS[ResultsRanker.name, 2] = lambda state: {**state, "typed_ids": None}
# Version 3 had no users of an id that two had typed.
MIGRATIONS[ResultsRanker.name, 3] = lambda state: {**state, "typed_ids": None}
