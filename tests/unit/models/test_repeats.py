"""Coming back, counted by hand."""

import numpy as np
import pytest

from stream_app.models.base import Context, Observation
from stream_app.models.items import ItemIndex
from stream_app.models.repeats import Repeats
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
