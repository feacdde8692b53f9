"""The order of result lists, learned from choices, in small logs that can be followed by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.ranking.fusion import factorization
from stream_app.ranking.fusion.choice_fusion import ENOUGH
from stream_app.ranking.kernels.results_ranker import (
    PAGE,
    PLACES,
    TOUCHES,
    Column,
    features,
    note_list,
    touch,
)
from stream_app.ranking.search.results_ranker import ResultsRanker
from stream_app.settings import Settings
from stream_app.worker.warm_up import warm_up
from topics.records import Interaction, Kind, Line, Source

START = 1_700_000_000.0
LIST = tuple("abcdefgh")
PRICES = (80.0, 60.0, 120.0, 75.0, 200.0, 40.0, 90.0, 55.0)


class Log:
    """Tells a ranker what shoppers do, a minute apart unless said otherwise."""

    def __init__(self, **parameters: Any) -> None:
        self.results = ResultsRanker(**parameters)
        self.now = START

    def _tell(self, source: Source, user: str, kind: Kind, items: Sequence[str], **more: Any) -> None:
        self.now += 60.0
        lines = tuple(Line(item) for item in items)
        self.results.hear(Interaction(source, 0, 0, self.now, user, kind, lines, **more))

    def view(self, user: str, item: str, kind: Kind = Kind.VIEW) -> None:
        self._tell(Source.CLICK, user, kind, [item])

    def search(self, user: str, query: str) -> None:
        self._tell(Source.SEARCH, user, Kind.SEARCH, [], query=query)

    def find(
        self, user: str, results: Sequence[str] = LIST, prices: Sequence[float] = PRICES, query: str = "q"
    ) -> None:
        """A search that says what it found."""
        self._tell(
            Source.SEARCH,
            user,
            Kind.SEARCH,
            [],
            query=query,
            shown=tuple(results),
            shown_prices=tuple(prices),
        )

    def buy(self, user: str, *items: str) -> None:
        """A purchase that does not say what it was chosen from."""
        self._tell(Source.PURCHASE, user, Kind.PURCHASE, items)

    def choose(
        self, user: str, *items: str, shown: Sequence[str] = LIST, prices: Sequence[float] = PRICES
    ) -> None:
        self._tell(
            Source.PURCHASE, user, Kind.PURCHASE, items, shown=tuple(shown), shown_prices=tuple(prices)
        )

    def order(self, user: str, shown: Sequence[str] = LIST, prices: Sequence[float] = PRICES) -> str:
        return "".join(
            shown[place] for place in self.results.order(user, shown, prices, self.now + 60.0).tolist()
        )

    def column(self, column: Column, user: str, shown: Sequence[str] = LIST) -> list[float]:
        written = self.results.features(user, shown, PRICES[: len(shown)], self.now + 60.0)
        return [round(float(value), 4) for value in written[:, column]]


def shuffled(rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(LIST[at] for at in rng.permutation(len(LIST)))


def test_before_anything_is_learned_the_order_is_last_touched_first_then_as_shown() -> None:
    log = Log()
    log.choose("somebody", "not shown")
    assert log.order("ann") == "abcdefgh"
    log.view("ann", "g")
    log.view("ann", "e")
    assert log.order("ann") == "egabcdfh"


def test_it_learns_that_what_was_touched_last_is_chosen() -> None:
    log = Log()
    rng = np.random.default_rng(3)
    before = log.results.ranker.loss
    for n in range(300):
        shown = shuffled(rng)
        first, last = rng.choice(8, 2, replace=False)
        log.view(f"u{n}", LIST[first])
        log.view(f"u{n}", LIST[last])
        log.choose(f"u{n}", LIST[last], shown=shown)
    assert log.results.ranker.choices == 300
    assert before == 0.0 < log.results.ranker.loss < 0.3  # of log(8) = 2.1
    assert log.results.ready


def test_it_unlearns_what_it_began_with_where_shoppers_do_otherwise() -> None:
    log = Log()
    rng = np.random.default_rng(4)
    for n in range(400):
        shown = shuffled(rng)
        touched = LIST[rng.integers(8)]
        log.view(f"u{n}", touched)
        # the cheapest of the others
        rest = [item for item in LIST if item != touched]
        log.choose(
            f"u{n}",
            min(rest, key=lambda item: PRICES[LIST.index(item)]),
            shown=shown,
            prices=[PRICES[LIST.index(item)] for item in shown],
        )
    log.view("ann", "a")
    assert log.order("ann")[0] == "f"
    assert log.order("ann")[-1] == "a"


def test_a_list_is_scored_by_what_was_known_before_its_choice() -> None:
    log = Log()
    log.choose("ann", "c")
    # had c been touched when its own choice was learned, this touch would be the second
    assert log.column(Column.PURCHASES, "ann") == [0, 0, 0.25, 0, 0, 0, 0, 0]
    assert log.column(Column.TOUCH_RANK, "ann")[2] == 0.0


def test_a_search_for_an_items_id_touches_it_whether_met_before_or_not() -> None:
    log = Log()
    log.choose("bob", "not shown")
    shown = (*LIST, "4711", "hotels")
    for user, query in (("ann", "b"), ("cem", "4711")):
        log.search(user, query)
        assert log.order(user, shown, ()) == query + "".join(item for item in shown if item != query)
    for query in ("hotels near 4711", "hotels", ""):
        log.search("dan", query)
    assert log.order("dan", shown, ()) == "".join(shown)


def test_a_session_ends_by_inactivity_and_its_touches_become_history() -> None:
    log = Log(session_gap=1800.0)
    log.choose("bob", "a")
    log.view("ann", "g")
    assert log.column(Column.TOUCH_RANK, "ann")[6] == 0.0
    log.now += 1800.0
    assert log.column(Column.TOUCH_RANK, "ann")[6] == -1.0
    assert log.column(Column.TOUCHES_BEFORE, "ann")[6] > 0.0
    log.view("ann", "h")
    assert log.column(Column.TOUCH_RANK, "ann")[6:] == [-1.0, 0.0]


def test_popularity_is_that_with_others() -> None:
    log = Log()
    log.choose("bob", "h")
    mine = log.column(Column.CHOICE_RATE, "bob")
    others = log.column(Column.CHOICE_RATE, "ann")
    assert others[7] > max(others[:7])
    assert mine[7] < others[7]
    log = Log()
    log.find("bob")
    log.view("bob", "h")
    assert log.column(Column.CHOICE_RATE, "bob")[7] < log.column(Column.CHOICE_RATE, "ann")[7]


def test_prices_that_are_not_told_are_those_last_shown_and_without_any_there_is_no_price_feature() -> None:
    log = Log()
    log.choose("bob", "a")
    told = log.results.features("ann", LIST, PRICES, log.now)[:, Column.PRICE_RANK].copy()
    assert told.tolist() == pytest.approx([4 / 7, 2 / 7, 6 / 7, 3 / 7, 1.0, 0.0, 5 / 7, 1 / 7])
    for prices in ((), (float("nan"),) * 8, (0.0,) * 8):
        written = log.results.features("ann", LIST, prices, log.now)
        assert written[:, Column.PRICE_RANK].tolist() == told.tolist()
    unknown = log.results.features("ann", ("x", "y"), (), log.now)
    assert unknown[:, Column.PRICE_RANK].tolist() == [-1.0, -1.0]
    half = log.results.features("ann", ("x", "y", "z"), (5.0, float("nan"), 4.0), log.now)
    assert half[:, Column.PRICE_RANK].tolist() == [1.0, -1.0, 0.0]


def test_several_items_of_one_order_are_a_choice_each_and_others_than_shown_none() -> None:
    log = Log()
    log.choose("ann", "b", "d", "not shown")
    assert log.results.ranker.choices == 2
    log.choose("ann", "not shown")
    log.choose("ann", "a", shown=["a"], prices=[1.0])
    assert log.results.ranker.choices == 2


def test_a_click_that_says_what_was_shown_is_a_choice_too_but_a_search_is_none() -> None:
    log = Log()
    log.find("ann")
    assert log.results.ranker.choices == 0
    log._tell(Source.CLICK, "ann", Kind.VIEW, ["d"], shown=LIST)
    assert log.results.ranker.choices == 1


def test_a_click_on_what_a_search_found_teaches_what_it_would_by_saying_what_was_shown() -> None:
    found, told = Log(), Log()
    for log in (found, told):
        log.choose(
            "somebody", "a"
        )  # from now on searches are remembered, whether they say what they found or not
    for n in range(30):
        for log in (found, told):
            log.find(f"u{n}", *(() if log is found else ((), ())))
        found.view(f"u{n}", LIST[n % 5])
        told._tell(Source.CLICK, f"u{n}", Kind.VIEW, [LIST[n % 5]], shown=LIST, shown_prices=PRICES)
    assert found.results.ranker.choices == 31
    np.testing.assert_equal(found.results.ranker.state(), told.results.ranker.state())
    for user in ("u3", "ann"):
        np.testing.assert_array_equal(
            found.results.features(user, LIST, (), found.now), told.results.features(user, LIST, (), told.now)
        )


def test_of_what_a_search_found_the_first_touch_is_a_choice_and_each_purchase() -> None:
    log = Log()
    log.view("ann", "d")
    log.find("ann")
    choices = []
    for item in ("d", "d", "e", "not found"):
        log.view("ann", item, Kind.DETAIL)
        choices.append(log.results.ranker.choices)
    log.buy("ann", "d", "not found", "b")
    choices.append(log.results.ranker.choices)
    log.choose("ann", "a")  # says itself what it was chosen from, and counts once
    choices.append(log.results.ranker.choices)
    assert choices == [1, 1, 1, 1, 3, 4]


def test_a_touch_of_something_else_comes_between_a_search_and_the_choice_from_it() -> None:
    log = Log()
    log.find("ann")
    log.view("ann", "not found")
    log.view("ann", "d")
    assert log.results.ranker.choices == 0
    log.buy("ann", "d")
    assert log.results.ranker.choices == 1


def test_first_clicks_on_what_was_found_leave_what_purchases_taught() -> None:
    log = Log()
    rng = np.random.default_rng(5)
    for n in range(600):
        user, shown = f"u{n}", shuffled(rng)
        log.find(user, shown, [PRICES[LIST.index(item)] for item in shown])
        log.view(user, shown[rng.integers(8)])
        log.view(user, shown[rng.integers(8)])
        last = shown[rng.integers(8)]
        log.view(user, last)
        log.choose(user, last, shown=shown)
    log.find("ann")
    log.view("ann", "c")
    log.view("ann", "g")
    assert log.order("ann")[0] == "g"


def test_what_was_found_holds_until_the_next_search_or_the_end_of_the_session() -> None:
    log = Log(session_gap=1800.0)
    log.find("ann", ["a", "b"], ())
    log.find("ann", ["c", "d"], ())
    log.buy("bob", "c")  # found by another
    log.buy("ann", "a")
    assert log.results.ranker.choices == 0
    log.buy("ann", "c")
    assert log.results.ranker.choices == 1
    log.search("ann", "words")  # does not say what it found
    log.buy("ann", "d")
    assert log.results.ranker.choices == 1
    log.find("ann")
    log.now += 1800.0
    log.buy("ann", "e")
    log.find("ann")
    log.now -= 600.0  # looked at before the search, heard of after it
    log.buy("ann", "f")
    log.now += 600.0
    log.results.forget_user("ann")
    log.buy("ann", "f")
    assert log.results.ranker.choices == 1


def test_of_what_a_search_found_the_first_places_are_remembered() -> None:
    log = Log()
    log.find("ann", [f"i{n}" for n in range(PAGE + 5)], ())
    log.buy("ann", f"i{PAGE}")
    assert log.results.ranker.choices == 0
    log.buy("ann", f"i{PAGE - 1}")
    assert log.results.ranker.choices == 1


def test_until_a_first_list_nothing_is_remembered() -> None:
    log = Log()
    empty = log.results.memory()
    for n in range(500):
        log.view(f"u{n}", f"i{n}")
        log.search(f"u{n}", "words")
    assert log.results.memory() == empty


def test_every_list_is_a_permutation_whatever_is_in_it() -> None:
    log = Log()
    log.choose("ann", "c")
    assert log.order("nobody", ()) == ""
    assert log.order("nobody", ("z",), ()) == "z"
    assert sorted(log.order("ann", ("z", "c", "y"), (1.0, float("inf"), -3.0))) == ["c", "y", "z"]
    long = [f"i{n}" for n in range(PLACES + 50)]
    log.view("ann", long[3])
    log.view("ann", long[-1])
    order = log.results.order("ann", long, (), log.now)
    assert sorted(order.tolist()) == list(range(len(long)))
    assert order[0] == 3
    # what is beyond is not ranked
    assert order[PLACES:].tolist() == list(range(PLACES, PLACES + 50))
    log.choose("ann", long[1], long[-1], shown=[*long, *long], prices=())
    assert log.results.ranker.choices == 2


def test_ordering_changes_nothing() -> None:
    log = Log()
    for n in range(30):
        log.view(f"u{n % 5}", LIST[n % 8])
        log.choose(f"u{n % 5}", LIST[n % 7])
    before = log.results.state()
    for user in ("u1", "nobody"):
        log.order(user)
        log.order(user, ("never met", *LIST), ())
    np.testing.assert_equal(log.results.state(), before)


def test_a_shopper_who_is_forgotten_is_a_stranger() -> None:
    log = Log()
    log.choose("bob", "a")
    stranger = log.order("nobody")
    log.view("ann", "h")
    assert log.order("ann") != stranger
    log.results.forget_user("ann")
    assert log.order("ann") == stranger
    log.results.forget_user("ann")


def test_bounds_hold_and_the_longest_untouched_go_first() -> None:
    log = Log(max_shoppers=20, max_items=40)
    log.choose("bob", "a")
    sizes = []
    for n in range(400):
        log.view(f"u{n % 60}", f"i{n % 90}")
        if n % 7 == 0:
            shown = [f"i{(n + at) % 90}" for at in range(6)]
            log.choose(f"u{n % 60}", shown[n % 6], shown=shown, prices=())
        if n >= 200:
            sizes.append(log.results.memory())
    assert max(sizes) - min(sizes) < 200  # texts of ids of different length
    newest, oldest = "u39", "u40"
    assert log.column(Column.TOUCH_RANK, newest, ["i39", "x"])[0] == 0.0
    assert log.column(Column.TOUCHES_BEFORE, oldest, ["i40", "x"]) == [0.0, 0.0]


def test_an_item_that_is_given_up_leaves_nothing_to_the_one_that_gets_its_number() -> None:
    log = Log(max_items=8)
    log.choose("ann", "a")
    log.view("ann", "a")
    fresh = [f"n{at}" for at in range(8)]
    log.choose("bob", "n7", shown=fresh)
    for column in (Column.TOUCHES, Column.PURCHASES, Column.PASSED_OVER, Column.PAGE_PLACE):
        assert set(log.column(column, "ann", fresh)) <= {0.0, -1.0}, column


def test_an_item_that_is_given_up_is_gone_from_what_a_search_found() -> None:
    log = Log(max_items=8)
    log.find("ann", ["a", "b", "c"], (1.0, 2.0, 3.0))
    log.view("bob", "c")
    for n in range(7):
        log.view("bob", f"n{n}")  # a and b make room
    known = [item for item in "abc" if log.results._items.find(item) >= 0]
    assert known == ["c"]
    log.view("ann", "n6")
    log.view("ann", "c")  # there is nothing left that it was chosen before
    assert log.results.ranker.choices == 0
    log.find("ann", [f"m{n}" for n in range(20)], ())  # more than there is room for
    log.view("ann", "m19")
    assert log.results.ranker.choices == 1


def test_of_one_shopper_the_newest_touches_are_remembered() -> None:
    log = Log(session_gap=1e9)
    log.choose("bob", "a")
    for n in range(TOUCHES + 3):
        log.view("ann", f"i{n}")
    touches = log.column(Column.TOUCHES, "ann", ["i0", "i2", "i3", f"i{TOUCHES + 2}"])
    assert touches[:2] == [0.0, 0.0]
    assert min(touches[2:]) > 0.0


def busy(log: Log, start: int, stop: int) -> Log:
    rng = np.random.default_rng(start)
    for n in range(start, stop):
        user = f"u{rng.integers(12)}"
        log.view(user, LIST[rng.integers(8)], Kind(int(rng.integers(3))))
        log.search(user, LIST[rng.integers(8)] if n % 3 else "words")
        log.find(user, shuffled(rng))
        log.view(user, LIST[rng.integers(8)])
        log.choose(user, LIST[rng.integers(8)], shown=shuffled(rng))
    return log


def test_a_state_goes_on_from_where_it_was_and_the_same_log_gives_the_same() -> None:
    bounds = {"max_shoppers": 10, "max_items": 12}
    whole = busy(busy(Log(**bounds), 0, 100), 100, 160)
    first = busy(Log(**bounds), 0, 100)
    second = busy(Log(**bounds), 500, 520)  # restoring makes it forget all that
    second.results.restore(first.results.state())
    second.now = first.now
    busy(second, 100, 160)
    np.testing.assert_equal(second.results.state(), whole.results.state())
    assert second.order("u3") == whole.order("u3")


def test_a_state_shares_nothing_with_the_ranker_and_other_bounds_do_not_fit() -> None:
    log = busy(Log(), 0, 20)
    state, again = log.results.state(), log.results.state()
    busy(log, 20, 40)
    np.testing.assert_equal(state, again)
    with pytest.raises(ValueError, match="max_items is 5"):
        ResultsRanker(max_items=5).restore(state)


def test_late_events_and_times_that_run_backwards_do_no_harm() -> None:
    log = busy(Log(), 0, 20)
    log.now -= 1e6
    busy(log, 20, 40)
    written = log.results.features("u1", LIST, PRICES, log.now - 1e7)
    assert np.isfinite(written).all()
    assert written.min() >= -1.0
    assert written.max() <= 1.0


def test_every_feature_is_from_0_to_1_or_missing() -> None:
    log = busy(Log(), 0, 300)
    for user in ("u1", "u5", "nobody"):
        written = log.results.features(user, LIST, PRICES, log.now)
        assert ((written == -1.0) | ((written >= 0.0) & (written <= 1.0))).all()


def test_as_a_listener_it_learns_in_the_fold_and_goes_with_the_models_state() -> None:
    def models() -> tuple[ModelSet, ResultsRanker]:
        made, results = ModelSet(["popularity"]), ResultsRanker()
        made.listeners.append(results)
        return made, results

    first, results = models()
    purchase = Interaction(
        Source.PURCHASE, 0, 5, START, "ann", Kind.PURCHASE, (Line("b"),), shown=LIST, shown_prices=PRICES
    )
    assert first.learn(purchase)
    assert not first.learn(purchase)
    assert results.ranker.choices == 1
    second, restored = models()
    second.restore(first.state())
    np.testing.assert_equal(restored.state(), results.state())
    assert first.memory()["results"] == results.memory()
    second.learn(Interaction(Source.ERASURE, 0, 0, START, "ann", Kind.ERASE))
    assert restored.order("ann", LIST, PRICES, START).tolist()[0] == 0
    assert restored.ranker.choices == 1
    with pytest.raises(ValueError, match="without 'results'"):
        second.restore(ModelSet(["popularity"]).state())


def test_it_is_relied_on_after_enough_choices() -> None:
    log = Log()
    for n in range(ENOUGH):
        assert not log.results.ready
        log.choose(f"u{n}", LIST[n % 8])
    assert log.results.ready


def test_after_the_warm_up_nothing_is_left_to_compile() -> None:
    entered: tuple[Any, ...] = (
        factorization._score,
        factorization._step,
        touch,
        note_list,
        features,
    )

    def compiled() -> list[int]:
        return [len(kernel.signatures) for kernel in entered]

    warm_up(Settings(models=["popularity"], fusion="rrf"))
    before = compiled()
    log = busy(Log(max_shoppers=5, max_items=12), 0, 40)
    log.order("u1")
    log.order("nobody", ("never met", "a"), ())
    again = ResultsRanker(max_shoppers=5, max_items=12)
    again.restore(log.results.state())
    again.order("u1", LIST, PRICES, log.now)
    assert compiled() == before
    assert min(before) > 0
