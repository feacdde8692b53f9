"""Decayed counts, overall and by segment."""

import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.popularity import Popularity
from topics.records import Kind


def context(user: str, *segments: str) -> Context:
    return Context(user, EMPTY_ITEMS, EMPTY_TIMES, 0, segments, 0.0)


class Counter:
    def __init__(self, **parameters: int) -> None:
        self.index = ItemIndex(5000)
        self.model = Popularity(self.index, half_life=100.0, **parameters)

    def count(self, name: str, *segments: str, times: int = 1, ts: float = 0.0, weight: float = 1.0) -> None:
        item = self.index.index(name, ts)
        for _ in range(times):
            self.model.learn_one(
                Observation("u", item, ts, Kind.VIEW, weight, segments, 1, False, EMPTY_ITEMS, EMPTY_TIMES)
            )

    def shares(self, asked: Context, k: int = 10) -> dict[str, float]:
        found = self.model.candidates(asked, k)
        names = [self.index.id_of(item) for item in found.items]
        return dict(zip(names, found.scores.tolist(), strict=True))


def test_the_overall_list_is_each_items_share_of_all_counts() -> None:
    counter = Counter()
    counter.count("a", times=3)
    counter.count("b")
    assert counter.shares(context("")) == {"a": 0.75, "b": 0.25}


def test_an_event_a_half_life_older_counts_half() -> None:
    counter = Counter()
    counter.count("new", ts=100.0)
    counter.count("old", ts=0.0)
    assert counter.shares(context("")) == pytest.approx({"new": 2 / 3, "old": 1 / 3})


def test_a_shoppers_list_adds_the_shares_of_their_segments() -> None:
    counter = Counter()
    counter.count("a", "country:FR", times=2)
    counter.count("b", "country:DE", times=2)
    assert counter.shares(context("ann", "country:DE")) == {"b": 1.5, "a": 0.5}
    assert counter.shares(context("ann")) == {"a": 0.5, "b": 0.5}
    assert counter.shares(context("ann", "country:XX")) == {"a": 0.5, "b": 0.5}


def test_a_new_shopper_gets_the_favourites_of_their_segment_first() -> None:
    counter = Counter()
    for number in range(20):
        counter.count(f"french{number}", "country:FR", times=10)
    counter.count("german", "country:DE", times=6)
    counter.count("bavarian", "country:DE", times=4)
    counter.count("french0", "country:DE", times=2)
    assert list(counter.shares(context("new", "country:DE")))[:3] == ["german", "bavarian", "french0"]
    assert "german" not in list(counter.shares(context("new", "country:FR"), 20))
    assert "german" not in list(counter.shares(context("new"), 20))


def test_a_segments_own_list_holds_nothing_else() -> None:
    counter = Counter()
    counter.count("a", "country:FR", times=5)
    counter.count("b", "country:DE")
    assert counter.shares(context("", "country:DE")) == {"b": 1.0}
    assert counter.shares(context("", "country:XX")) == {}
    assert counter.model.segment_names() == ["country:DE", "country:FR"]


def test_the_segment_that_spoke_most_explains() -> None:
    counter = Counter()
    counter.count("a", "country:FR", times=9)
    counter.count("b", "country:DE")
    a, b = counter.index.find("a"), counter.index.find("b")
    asked = context("ann", "country:DE", "country:XX")
    assert counter.model.explain(asked, b, -1).segment == "country:DE"
    assert counter.model.explain(asked, a, -1).segment == "all"
    assert counter.model.explain(asked, a, -1).source == "popular"


def test_dislikes_do_not_count() -> None:
    counter = Counter()
    counter.count("a")
    counter.count("a", weight=-5.0)
    counter.count("b", weight=-1.0)
    assert counter.shares(context("")) == {"a": 1.0}


def test_one_segment_too_many_takes_the_place_of_the_smallest() -> None:
    counter = Counter(segments=2)
    counter.count("a", "s:big", times=3)
    counter.count("b", "s:small")
    counter.count("c", "s:new")
    assert counter.model.segment_names() == ["s:big", "s:new"]
    assert counter.shares(context("", "s:new")) == {"c": 1.0}
    assert counter.shares(context("", "s:big")) == {"a": 1.0}


def test_an_observation_of_more_segments_than_there_is_room_for_keeps_the_first() -> None:
    counter = Counter(segments=2)
    counter.count("a", "s:1", "s:2", "s:3", "s:1")
    counter.count("a", "s:4", "s:5")
    assert counter.model.segment_names() == ["s:4", "s:5"]


def test_a_segment_drops_its_lesser_half_when_full() -> None:
    counter = Counter(segment_items=4)
    for number in range(8):
        counter.count(f"i{number}", "s:x", weight=number + 1.0)
    assert set(counter.shares(context("", "s:x"))) == {"i7", "i6", "i5", "i4"}
    assert len(counter.shares(context(""))) == 8


def test_lists_are_right_past_the_moving_of_the_landmark() -> None:
    counter = Counter()
    counter.count("a", "s:x", times=2)
    counter.count("b", "s:x", ts=100.0 * 400)
    counter.count("c", "s:x", ts=100.0 * 401)
    shares = counter.shares(context("", "s:x"))
    # what is left of a is below what a float32 can hold
    assert shares == pytest.approx({"c": 2 / 3, "b": 1 / 3})
    assert list(shares) == ["c", "b"]
