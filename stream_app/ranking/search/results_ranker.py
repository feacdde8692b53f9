"""The order of a result list for one shopper, learned online from what shoppers chose of lists shown to them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Items
from stream_app.models.id_index import IdIndex
from stream_app.models.model_state import State, grown, stamped, verify
from stream_app.ranking.fusion.choice_fusion import ENOUGH
from stream_app.ranking.fusion.factorization import FactorizationRanker, Matrix
from stream_app.ranking.kernels.results_ranker import (
    FOUND_AT,
    FOUND_IN,
    ITEM,
    ITEM_COLUMNS,
    LAST_ACT,
    LAST_ITEM,
    LAST_TS,
    PAGE,
    PAGES,
    PLACES,
    SESSION,
    SHOPPER_COLUMNS,
    TOUCH_COLUMNS,
    TOUCHES,
    Act,
    Column,
    Memory,
    features,
    note_list,
    touch,
)
from topics.records import Interaction, Kind

MAX_SHOPPERS: Final = 20_000
"""Shoppers remembered, unless fewer are wanted: lists are chosen from within days."""

_ACTS: Final = {
    Kind.VIEW: Act.VIEWED,
    Kind.DETAIL: Act.LOOKED_CLOSER,
    Kind.CART: Act.PUT_IN_CART,
    Kind.WISHLIST: Act.LIKED,
    Kind.SHARE: Act.LIKED,
    Kind.LIKE: Act.LIKED,
    Kind.PURCHASE: Act.BOUGHT,
    Kind.SEARCH: Act.SEARCHED,
}
_NOTHING: Final = -1
_ACT_OF: Final = [int(_ACTS.get(kind, _NOTHING)) for kind in Kind]
"""What each kind, by its number, is remembered as; plain integers, because each event looks here."""

_BOUGHT: Final = int(Act.BOUGHT)
_SEARCHED: Final = int(Act.SEARCHED)
_SEARCHED_ITEM: Final = int(Act.SEARCHED_ITEM)

_FINE: Final = {Column.PLACE, Column.FROM_LAST, Column.FROM_BOUGHT, Column.PAGE_PLACE}
"""Places have a knot each, all else has six."""

_CROSSES: Final = (
    (Column.PLACE, 9, Column.CONTEXT_SECONDS, 8),
    (Column.FROM_LAST, 17, Column.CONTEXT_SECONDS, 8),
    (Column.PLACE, 9, Column.FROM_LAST, 13),
    (Column.SECONDS_SINCE, 9, Column.CONTEXT_SITUATION, 7),
    (Column.FROM_LAST, 17, Column.CONTEXT_SITUATION, 7),
    (Column.CHEAPEST_ABOVE, 2, Column.CONTEXT_SAME_PAGE, 4),
    (Column.TOUCH_RANK, 9, Column.CONTEXT_REPEATS, 4),
    (Column.TOUCH_RANK, 9, Column.CONTEXT_DIRECTION, 9),
)


def _learner(seed: int) -> FactorizationRanker:
    ranker = FactorizationRanker(
        # what is the same for a whole list tells nothing by itself
        [(each, 25 if each in _FINE else 6) for each in Column if each < Column.CONTEXT_SITUATION],
        _CROSSES,
        [(each, 5) for each in Column],
        seed=seed,
    )
    ranker.start_at(Column.PLACE, lambda places: np.float32(-0.5) * np.log1p(np.float32(24) * places))
    ranker.start_at(Column.TOUCH_RANK, lambda ranks: 3 - 2 * ranks)
    return ranker


class ResultsRanker:
    """Orders the results of a search for a shopper by the chance that each is chosen.

    It listens to the fold. Of every shopper it remembers what was touched lately (looked at, bought, searched for by
    its id), when, the last lists chosen from, and the first `PAGE` results of the newest search. An interaction that
    says what was shown is a choice from it. One that does not is a choice from what the shopper's search found
    earlier in the session, where its item is among that and nothing else was touched since, or it is bought. At a
    choice the features of the list as they were just before are written (place, touches, prices, habits, popularity
    with others), and `stream_app.ranking.fusion.factorization.FactorizationRanker` takes one step towards what was
    chosen. It starts with what was touched before what was not, the last first unless it stands far down, and as
    shown: it never shows an order made of chance.

    Nothing is remembered before the first list, so a shop that says neither what it showed nor what it found pays
    nothing. It is not additive: another order of choices gives slightly other weights.

    Parameters
    ----------
    session_gap
        Seconds of inactivity that close a session.
    max_shoppers, max_items
        Remembered; the longest untouched by event time go first. A shopper takes 3.1 kB, an item some 250 bytes.
    seed
        Of the learner's initial factors.

    Attributes
    ----------
    ranker
        The learner.

    References
    ----------
    Knees et al.: RecSys Challenge 2019: session-based hotel recommendations, RecSys 2019 (the task).
    Ludewig, Jannach: Learning to rank hotels for search and recommendation from session-based interaction logs and
    meta data, RecSys Challenge 2019 (features of the session, of places and of prices).

    Examples
    --------
    >>> from topics.records import Line, Source
    >>> results = ResultsRanker()
    >>> shown, prices = ("inn", "spa", "ritz"), (60.0, 90.0, 300.0)
    >>> booked = Interaction(Source.PURCHASE, 0, 0, 0.0, "ann", Kind.PURCHASE, (Line("inn"),),
    ...                      shown=shown, shown_prices=prices)
    >>> results.hear(booked)
    >>> results.hear(Interaction(Source.CLICK, 0, 0, 60.0, "bob", Kind.VIEW, (Line("ritz"),)))
    >>> results.order("bob", shown, prices, 90.0).tolist()
    [2, 0, 1]
    """

    name: ClassVar[str] = "results"

    def __init__(
        self,
        *,
        session_gap: float = 1800.0,
        max_shoppers: int = MAX_SHOPPERS,
        max_items: int = 200_000,
        seed: int = 7,
    ) -> None:
        self._parameters = {
            "session_gap": session_gap,
            "max_shoppers": max_shoppers,
            "max_items": max_items,
            "seed": seed,
        }
        self._gap = session_gap
        self._out: Matrix = np.zeros((PLACES, len(Column)), np.float32)
        self._clear()

    def _clear(self) -> None:
        self.ranker = _learner(int(self._parameters["seed"]))
        self._shoppers = IdIndex(int(self._parameters["max_shoppers"]), self._drop_shoppers)
        self._items = IdIndex(int(self._parameters["max_items"]), self._drop_items)
        self._awake = False
        self._memory = Memory(
            np.zeros((64, SHOPPER_COLUMNS)),
            np.zeros((64, TOUCHES, TOUCH_COLUMNS), np.int32),
            np.zeros((64, TOUCHES, 2)),
            np.zeros((64, PAGES, PAGE + 2), np.int32),
            np.zeros((64, PAGE + 1), np.int32),
            np.zeros((64, PAGE), np.float32),
            np.zeros((64, ITEM_COLUMNS)),
            np.zeros((PLACES, 2)),
        )

    @property
    def ready(self) -> bool:
        """Whether enough has been learned for the order to be relied on."""
        return self.ranker.choices >= ENOUGH

    def hear(self, interaction: Interaction) -> None:
        """Learn a choice, where it is one, and remember what was done."""
        act = _ACT_OF[interaction.kind]
        shown = interaction.shown
        if act == _NOTHING or not (self._awake or shown):
            return
        ts = interaction.ts
        shopper = self._shoppers.index(interaction.user_id, ts) + 1
        if shopper >= len(self._memory.shoppers):
            self._fit(shopper + 1, 0)
        if shown:
            self._awake = True
        if act == _SEARCHED:
            item = self._searched(interaction.query, ts)
            self._touch(shopper, item, _SEARCHED_ITEM if item else act, ts, True, False)
            self._keep(shopper, interaction)
            return
        chosen = self._learn(shopper, interaction) if shown else self._learn_found(shopper, interaction, act)
        first = True
        for line in interaction.lines:
            item = self._row(line.item_id, ts)
            self._touch(shopper, item, act, ts, first, item in chosen)
            first = False

    def _touch(self, shopper: int, item: int, act: int, ts: float, first: bool, chosen: bool) -> None:
        shoppers, touches, times, _, _, _, items, _ = self._memory
        touch(shoppers, touches, times, items, shopper, item, act, ts, self._gap, first, chosen)

    def _row(self, item_id: str, ts: float) -> int:
        row = self._items.index(item_id, ts) + 1
        if row >= len(self._memory.items):
            self._fit(0, row + 1)
        return row

    def _searched(self, query: str, ts: float) -> int:
        """Row of the item whose id was searched for; 0 where the query is none.

        A single word with a digit is taken for one, known or not: most ids are such words, and an item may be
        searched for before it is shown.
        """
        if self._items.find(query) < 0 and (len(query.split()) != 1 or query.isalpha()):
            return 0
        return self._row(query, ts)

    def _fit(self, shoppers: int, items: int) -> None:
        memory = self._memory
        self._memory = Memory(
            grown(memory.shoppers, shoppers),
            grown(memory.touches, shoppers),
            grown(memory.times, shoppers),
            grown(memory.pages, shoppers),
            grown(memory.found, shoppers),
            grown(memory.found_prices, shoppers),
            grown(memory.items, items),
            memory.places,
        )

    def _keep(self, shopper: int, search: Interaction) -> None:
        """Remember what a search found, in place of what an earlier one did."""
        if search.ts < self._memory.shoppers[shopper, FOUND_AT]:
            return
        names, prices = _distinct(search.shown[:PAGE], search.shown_prices[:PAGE])
        for name in names:
            self._row(name, search.ts)
        # looked up when all are in: where there is room for few, the last may have driven out the first
        rows = [number + 1 for number in self._items.find_all(names)]
        memory = self._memory
        own = memory.shoppers[shopper]
        own[FOUND_IN], own[FOUND_AT] = own[SESSION], search.ts
        memory.found[shopper, 0] = len(rows)
        memory.found[shopper, 1 : 1 + len(rows)] = rows
        memory.found_prices[shopper, : len(rows)] = prices

    def _learn_found(self, shopper: int, interaction: Interaction, act: int) -> Sequence[int]:
        """Learn choices from what the shopper's search found; return the rows of the items chosen.

        The first touch after the search is one, and each purchase. Later touches tell of what is left to look at, not
        of what is wanted most: learned from, they would teach that whatever was touched is not chosen.
        """
        memory, ts = self._memory, interaction.ts
        length = int(memory.found[shopper, 0])
        if not length:
            return ()
        own = memory.shoppers[shopper]
        if act != _BOUGHT and own[LAST_ACT] < _SEARCHED_ITEM:
            return ()
        if own[FOUND_IN] != own[SESSION] or not own[FOUND_AT] <= ts <= own[LAST_TS] + self._gap:
            return ()
        rows = memory.found[shopper, 1 : 1 + length]
        known = rows > 0  # what was given up since is none that could be learned of
        rows, prices = rows[known], memory.found_prices[shopper, :length][known]
        among = set(rows.tolist())
        numbers = self._items.find_all([line.item_id for line in interaction.lines])
        chosen = [number + 1 for number in numbers if number + 1 in among]
        if chosen:
            self._choose(shopper, rows, prices, chosen, ts)
        return chosen

    def _learn(self, shopper: int, interaction: Interaction) -> Sequence[int]:
        """Learn choices from what was shown; return the rows of the items chosen."""
        names, prices = _distinct(interaction.shown, interaction.shown_prices)
        ts = interaction.ts
        rows = [self._row(name, ts) for name in names]
        chosen = [rows[names.index(line.item_id)] for line in interaction.lines if line.item_id in names]
        self._choose(shopper, np.array(rows, np.int32), prices, chosen, ts)
        return chosen

    def _choose(
        self, shopper: int, rows: NDArray[np.int32], prices: Matrix, chosen: Sequence[int], ts: float
    ) -> None:
        """Learn that items were chosen from a list, and remember the list; all by their rows."""
        places = [int(np.flatnonzero(rows == item)[0]) for item in chosen]
        out = self._out[: len(rows)]
        if len(rows) > 1 and places:
            features(self._memory, shopper, rows, prices, ts, self._gap, out)
            for place in places:
                self.ranker.learn(out, place)
        note_list(self._memory, shopper, rows, prices, places[0] if places else -1)

    def features(self, user: str, results: Sequence[str], prices: Sequence[float], now: float) -> Matrix:
        """Write the features of a list, one row a result; see `order`.

        Returns
        -------
        ndarray of float32, shape (n, len(Column))
            The first `PLACES` results, each by `Column`. Valid until the next call.
        """
        find = self._items.find
        rows = np.array([find(name) + 1 for name in results[:PLACES]], np.int32)
        given = _known(prices, len(results))[: len(rows)]
        out = self._out[: len(rows)]
        features(self._memory, self._shoppers.find(user) + 1, rows, given, now, self._gap, out)
        return out

    def order(
        self, user: str, results: Sequence[str], prices: Sequence[float], now: float
    ) -> NDArray[np.int64]:
        """Order a list for a shopper; changes nothing.

        Parameters
        ----------
        user
            The shopper; may be unknown.
        results
            What was found, in the shop's order; items may be unknown, none twice.
        prices
            Of the results, in their order; NaN or 0 where unknown, empty where none is known. In place of an
            unknown price stands the one that the item was last shown with.
        now
            Event time, seconds since the epoch.

        Returns
        -------
        ndarray of int64, shape (n,)
            Places in `results`, best first. Beyond the first `PLACES` results the shop's order stays.
        """
        order = np.arange(len(results))
        if len(results) > 1:
            scores = self.ranker.score(self.features(user, results, prices, now))
            order[: len(scores)] = np.argsort(-scores, kind="stable")
        return order

    def forget_user(self, user: str) -> None:
        """Drop what is held of a shopper."""
        self._shoppers.forget(user)

    def forget_items(self, items: Items) -> None:
        """Nothing is held by the shared index: it knows items that were only shown, too."""

    def _drop_shoppers(self, numbers: Items) -> None:
        rows = numbers + 1
        memory = self._memory
        for part in (memory.shoppers, memory.touches, memory.times, memory.pages, memory.found):
            part[rows] = 0

    def _drop_items(self, numbers: Items) -> None:
        memory = self._memory
        gone = np.zeros(len(memory.items), np.bool_)
        gone[numbers + 1] = True
        memory.items[gone] = 0
        memory.touches[gone[memory.touches[:, :, ITEM]]] = 0
        listed = memory.pages[:, :, 2:]
        listed[gone[listed]] = 0
        found = memory.found[:, 1:]
        found[gone[found]] = 0
        last = memory.shoppers[:, LAST_ITEM]
        last[gone[last.astype(np.int64)]] = 0

    def state(self) -> State:
        """Everything learned, as plain data."""
        shoppers, items = self._shoppers.size + 1, self._items.size + 1
        memory = self._memory
        return stamped(
            self.name,
            self._parameters,
            ranker=self.ranker.state(),
            awake=self._awake,
            shoppers=self._shoppers.state(),
            items=self._items.state(),
            memory={
                "shoppers": memory.shoppers[:shoppers].copy(),
                "touches": memory.touches[:shoppers].copy(),
                "times": memory.times[:shoppers].copy(),
                "pages": memory.pages[:shoppers].copy(),
                "found": memory.found[:shoppers].copy(),
                "found_prices": memory.found_prices[:shoppers].copy(),
                "items": memory.items[:items].copy(),
                "places": memory.places.copy(),
            },
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the ranker that `state` was taken from.

        Raises
        ------
        ValueError
            If the state is of another format or of other parameters.
        """
        verify(state, self.name, self._parameters)
        self._clear()
        self.ranker.restore(state["ranker"])
        self._awake = bool(state["awake"])
        self._shoppers.restore(state["shoppers"])
        self._items.restore(state["items"])
        self._fit(self._shoppers.size + 1, self._items.size + 1)
        for name, part in self._memory._asdict().items():
            held = state["memory"][name]
            part[: len(held)] = held

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        own = sum(part.nbytes for part in self._memory) + self._out.nbytes
        return own + self.ranker.memory() + self._shoppers.memory() + self._items.memory()


def _known(prices: Sequence[float], count: int) -> Matrix:
    """Prices as features take them: 0 where unknown, all of them where there is not one for each result."""
    if len(prices) != count:
        return np.zeros(count, np.float32)
    given = np.array(prices, np.float32)
    given[~((given > 0) & np.isfinite(given))] = 0.0
    return given


def _distinct(shown: Sequence[str], prices: Sequence[float]) -> tuple[list[str], Matrix]:
    """The first `PLACES` different items of a list, and their prices."""
    given = _known(prices, len(shown))
    places: dict[str, int] = {}
    for place, name in enumerate(shown):
        places.setdefault(name, place)
    names = list(places)[:PLACES]
    return names, given[list(places.values())[:PLACES]]
