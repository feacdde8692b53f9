"""Repeated views and purchases, counted by hand."""

import numpy as np
import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, NO_ITEM, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.repeats import MAX_PURCHASES, Repeats
from topics.records import Kind, Reason


class RepeatsHarness:
    def __init__(self, prior: float = 0.001) -> None:
        self.index = ItemIndex(100)
        self.model = Repeats(self.index, prior=prior)

    def click(self, before: str, item: str, kind: Kind = Kind.VIEW) -> None:
        items = [self.index.index(name, 0.0) for name in before]
        chosen = self.index.index(item, 0.0)
        self.model.learn(
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
        self.model.learn(
            Observation(user, bought, ts, Kind.PURCHASE, 5.0, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES)
        )

    def buy_again(self, now: float, user: str = "me") -> dict[str, float]:
        """Scores of the purchases of a user without a context."""
        proposed = self.model.candidates(Context(user, EMPTY_ITEMS, EMPTY_TIMES, 0, (), now), 100)
        return {
            self.index.id_of(item): score
            for item, score in zip(proposed.items.tolist(), proposed.scores.tolist(), strict=True)
        }

    def view_again(self, items: str, user: str = "me") -> dict[str, float]:
        indices = np.array([self.index.find(name) for name in items], np.int32)
        proposed = self.model.candidates(Context(user, indices, np.zeros(len(indices)), 0, (), 0.0), 10)
        return {
            self.index.id_of(item): score
            for item, score in zip(proposed.items.tolist(), proposed.scores.tolist(), strict=True)
        }


def test_the_score_is_the_share_of_returns() -> None:
    harness = RepeatsHarness()
    for item in "aaab":
        harness.click("a", item)
    assert harness.view_again("a")["a"] == pytest.approx(0.75, abs=1e-3)


def test_scores_depend_on_age_and_count() -> None:
    harness = RepeatsHarness()
    for _ in range(10):
        harness.click("ab", "a")  # two clicks back, never the newest
        harness.click("ccd", "c")  # viewed twice
        harness.click("xyz", "w")
    scores = harness.view_again("ab")
    assert scores["a"] > scores["b"]
    assert harness.view_again("cca")["c"] > harness.view_again("cda")["c"]


def test_each_earlier_item_of_a_class_is_a_trial() -> None:
    harness = RepeatsHarness()
    # the fifth and the sixth item back are of one class: one success of two trials
    for _ in range(10):
        harness.click("abcdef", "a")
    assert harness.view_again("abcdef")["a"] == pytest.approx(0.5, abs=1e-2)
    assert harness.view_again("abcdef")["b"] == pytest.approx(0.5, abs=1e-2)


def test_purchases_do_not_change_view_again_scores() -> None:
    harness = RepeatsHarness()
    for item in "ab":
        harness.click("a", item)
    before = harness.view_again("a")
    harness.click("a", "a", Kind.PURCHASE)
    assert harness.view_again("a") == before


def test_small_counts_are_shrunk_to_the_overall_share() -> None:
    harness = RepeatsHarness(prior=1000.0)
    for _ in range(1000):
        harness.click("a", "b")
    harness.click("aa", "a")
    assert harness.view_again("aa")["a"] < 0.05


def test_an_anonymous_list_has_no_repeats() -> None:
    harness = RepeatsHarness()
    harness.click("a", "a")
    assert harness.view_again("a", user="") == {}


def test_the_reason_is_that_it_was_viewed() -> None:
    harness = RepeatsHarness()
    harness.click("a", "a")
    a = harness.index.find("a")
    context = Context("me", np.array([a], np.int32), np.zeros(1), 0, (), 0.0)
    assert harness.model.explain(context, a, a) == Reason("viewed_before", item_id="a")


DAY = 86_400.0


def test_the_buy_again_score_is_the_share_of_repurchases_at_that_age() -> None:
    harness = RepeatsHarness()
    for number in range(4):
        harness.buy("coffee", 0.0, f"u{number}")
    for number in range(3):
        harness.buy("coffee", 30 * DAY, f"u{number}")
    harness.buy("tea", 30 * DAY, "u3")
    harness.buy("coffee", 30 * DAY)
    assert harness.buy_again(60 * DAY)["coffee"] == pytest.approx(0.75, abs=1e-3)
    # within the first day there are no repurchases: the score is the overall share
    assert harness.buy_again(30 * DAY + 1)["coffee"] == pytest.approx(4 / 24, abs=1e-3)


def test_frequent_purchases_score_higher_than_single_ones() -> None:
    harness = RepeatsHarness()
    for number in range(10):
        user = f"u{number}"
        for month in range(4):
            harness.buy("coffee", 30 * month * DAY, user)
            harness.buy(f"book {month}", 30 * month * DAY + 1, user)
    for month in range(3):
        harness.buy("coffee", 30 * month * DAY)
    harness.buy("book 1", 60 * DAY)
    scores = harness.buy_again(90 * DAY)
    assert scores["coffee"] > 2 * scores["book 1"] > 0


def test_lines_of_the_same_order_are_not_trials_of_each_other() -> None:
    harness = RepeatsHarness()
    harness.buy("coffee", 0.0)
    before = harness.buy_again(30 * DAY)["coffee"]
    for number in range(50):
        harness.buy("coffee", DAY, f"u{number}")
        harness.buy("milk", DAY, f"u{number}")
    assert harness.buy_again(30 * DAY)["coffee"] == before


def test_purchases_are_proposed_only_to_the_user_who_made_them_with_the_reason() -> None:
    harness = RepeatsHarness()
    harness.buy("coffee", 0.0)
    assert set(harness.buy_again(DAY)) == {"coffee"}
    assert harness.buy_again(DAY, "you") == {}
    assert harness.buy_again(DAY, "") == {}
    context = Context("me", EMPTY_ITEMS, EMPTY_TIMES, 0, (), DAY)
    [evidence] = harness.model.candidates(context, 5).evidence.tolist()
    assert evidence == NO_ITEM
    assert harness.model.explain(context, 0, evidence) == Reason("bought_before")


def test_the_larger_of_view_again_and_buy_again_is_the_score_and_the_reason() -> None:
    harness = RepeatsHarness()
    for number in range(10):  # never viewed again, always bought again
        harness.click("c", "x")
        harness.buy("c", 0.0, f"u{number}")
        harness.buy("c", 30 * DAY, f"u{number}")
    view_score = harness.view_again("c")["c"]
    harness.buy("c", 0.0)
    c = np.array([harness.index.find("c")], np.int32)
    context = Context("me", c, np.zeros(1), 0, (), 30 * DAY)
    proposed = harness.model.candidates(context, 5)
    assert proposed.scores[0] > 0.9
    assert view_score < 0.1
    assert harness.model.explain(context, int(c[0]), int(proposed.evidence[0])).source == "bought_before"


def test_only_the_last_purchases_of_a_user_are_kept() -> None:
    harness = RepeatsHarness()
    for number in range(MAX_PURCHASES + 5):
        harness.buy(f"i{number}", DAY * number)
    assert set(harness.buy_again(100 * DAY)) == {f"i{number}" for number in range(5, MAX_PURCHASES + 5)}


def test_an_erased_users_purchases_are_not_proposed() -> None:
    harness = RepeatsHarness()
    harness.buy("coffee", 0.0)
    harness.model.forget_user("me")
    assert harness.buy_again(DAY) == {}
