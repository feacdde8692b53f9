"""Coming back, counted by hand."""

import numpy as np
import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, NO_ITEM, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.repeats import BOUGHT, Repeats
from topics.records import Kind, Reason


class Shelf:
    def __init__(self, prior: float = 0.001) -> None:
        self.index = ItemIndex(100)
        self.model = Repeats(self.index, prior=prior)

    def click(self, before: str, item: str, kind: Kind = Kind.VIEW) -> None:
        items = [self.index.index(name, 0.0) for name in before]
        chosen = self.index.index(item, 0.0)
        self.model.learn_one(
            Observation(
                "u",
                chosen,
                0.0,
                kind,
                1.0,
                (),
                1,
                chosen in items,
                np.array(items, np.int32),
                np.zeros(len(items)),
            )
        )

    def buy(self, item: str, ts: float = 0.0, user: str = "me") -> None:
        bought = self.index.index(item, ts)
        self.model.learn_one(
            Observation(user, bought, ts, Kind.PURCHASE, 5.0, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES)
        )

    def again(self, now: float, user: str = "me") -> dict[str, float]:
        """What is proposed to a shopper who looks at nothing."""
        found = self.model.candidates(Context(user, EMPTY_ITEMS, EMPTY_TIMES, 0, (), now), 100)
        return {
            self.index.id_of(item): score
            for item, score in zip(found.items.tolist(), found.scores.tolist(), strict=True)
        }

    def near(self, items: str, user: str = "me") -> dict[str, float]:
        known = np.array([self.index.find(name) for name in items], np.int32)
        found = self.model.candidates(Context(user, known, np.zeros(len(known)), 0, (), 0.0), 10)
        return {
            self.index.id_of(item): score
            for item, score in zip(found.items.tolist(), found.scores.tolist(), strict=True)
        }


def test_the_chance_is_the_share_of_those_who_came_back() -> None:
    shelf = Shelf()
    for item in "aaab":
        shelf.click("a", item)
    assert shelf.near("a")["a"] == pytest.approx(0.75, abs=1e-3)


def test_age_and_count_tell_items_apart() -> None:
    shelf = Shelf()
    for _ in range(10):
        shelf.click("ab", "a")  # two clicks back, never the newest
        shelf.click("ccd", "c")  # looked at twice
        shelf.click("xyz", "w")
    scores = shelf.near("ab")
    assert scores["a"] > scores["b"]
    assert shelf.near("cca")["c"] > shelf.near("cda")["c"]


def test_each_earlier_item_of_a_class_is_a_trial() -> None:
    shelf = Shelf()
    # the fifth and the sixth item back are of one class: one of two came back
    for _ in range(10):
        shelf.click("abcdef", "a")
    assert shelf.near("abcdef")["a"] == pytest.approx(0.5, abs=1e-2)
    assert shelf.near("abcdef")["b"] == pytest.approx(0.5, abs=1e-2)


def test_purchases_do_not_change_what_is_said_of_views() -> None:
    shelf = Shelf()
    for item in "ab":
        shelf.click("a", item)
    before = shelf.near("a")
    shelf.click("a", "a", Kind.PURCHASE)
    assert shelf.near("a") == before


def test_little_evidence_is_drawn_to_the_share_of_all() -> None:
    shelf = Shelf(prior=1000.0)
    for _ in range(1000):
        shelf.click("a", "b")
    shelf.click("aa", "a")
    assert shelf.near("aa")["a"] < 0.05


def test_a_list_for_nobody_repeats_nothing() -> None:
    shelf = Shelf()
    shelf.click("a", "a")
    assert shelf.near("a", user="") == {}


def test_the_reason_is_that_it_was_viewed() -> None:
    shelf = Shelf()
    shelf.click("a", "a")
    a = shelf.index.find("a")
    context = Context("me", np.array([a], np.int32), np.zeros(1), 0, (), 0.0)
    assert shelf.model.explain(context, a, a) == Reason("viewed_before", item_id="a")


DAY = 86_400.0


def test_the_chance_to_buy_again_is_the_share_of_those_who_did_after_so_long() -> None:
    shelf = Shelf()
    for number in range(4):
        shelf.buy("coffee", 0.0, f"u{number}")
    for number in range(3):
        shelf.buy("coffee", 30 * DAY, f"u{number}")
    shelf.buy("tea", 30 * DAY, "u3")
    shelf.buy("coffee", 30 * DAY)
    assert shelf.again(60 * DAY)["coffee"] == pytest.approx(0.75, abs=1e-3)
    # within the first day nobody has bought it again: all there is to go by is the share of all
    assert shelf.again(30 * DAY + 1)["coffee"] == pytest.approx(4 / 24, abs=1e-3)


def test_who_bought_it_often_buys_it_again_sooner_than_who_bought_it_once() -> None:
    shelf = Shelf()
    for number in range(10):
        user = f"u{number}"
        for month in range(4):
            shelf.buy("coffee", 30 * month * DAY, user)
            shelf.buy(f"book {month}", 30 * month * DAY + 1, user)
    for month in range(3):
        shelf.buy("coffee", 30 * month * DAY)
    shelf.buy("book 1", 60 * DAY)
    scores = shelf.again(90 * DAY)
    assert scores["coffee"] > 2 * scores["book 1"] > 0


def test_the_lines_of_one_order_are_not_trials_of_each_other() -> None:
    shelf = Shelf()
    shelf.buy("coffee", 0.0)
    before = shelf.again(30 * DAY)["coffee"]
    for number in range(50):
        shelf.buy("coffee", DAY, f"u{number}")
        shelf.buy("milk", DAY, f"u{number}")
    assert shelf.again(30 * DAY)["coffee"] == before


def test_what_was_bought_is_proposed_to_the_buyer_alone_and_says_so() -> None:
    shelf = Shelf()
    shelf.buy("coffee", 0.0)
    assert set(shelf.again(DAY)) == {"coffee"}
    assert shelf.again(DAY, "you") == {}
    assert shelf.again(DAY, "") == {}
    context = Context("me", EMPTY_ITEMS, EMPTY_TIMES, 0, (), DAY)
    [evidence] = shelf.model.candidates(context, 5).evidence.tolist()
    assert evidence == NO_ITEM
    assert shelf.model.explain(context, 0, evidence) == Reason("bought_before")


def test_of_looking_and_buying_again_the_likelier_counts_and_is_the_reason() -> None:
    shelf = Shelf()
    for number in range(10):  # nobody looks at it again, everybody buys it again
        shelf.click("c", "x")
        shelf.buy("c", 0.0, f"u{number}")
        shelf.buy("c", 30 * DAY, f"u{number}")
    looked = shelf.near("c")["c"]
    shelf.buy("c", 0.0)
    c = np.array([shelf.index.find("c")], np.int32)
    context = Context("me", c, np.zeros(1), 0, (), 30 * DAY)
    found = shelf.model.candidates(context, 5)
    assert found.scores[0] > 0.9
    assert looked < 0.1
    assert shelf.model.explain(context, int(c[0]), int(found.evidence[0])).source == "bought_before"


def test_a_buyer_is_remembered_by_what_they_bought_last() -> None:
    shelf = Shelf()
    for number in range(BOUGHT + 5):
        shelf.buy(f"i{number}", DAY * number)
    assert set(shelf.again(100 * DAY)) == {f"i{number}" for number in range(5, BOUGHT + 5)}


def test_an_erased_shoppers_purchases_are_proposed_no_more() -> None:
    shelf = Shelf()
    shelf.buy("coffee", 0.0)
    shelf.model.forget_user("me")
    assert shelf.again(DAY) == {}
