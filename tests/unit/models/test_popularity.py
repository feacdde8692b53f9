"""Decayed counts, overall and by segment."""

import numpy as np
import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.popularity import Popularity
from stream_app.models.segments import NEW_USERS
from topics.records import Kind


def context(user: str, *segments: str) -> Context:
    return Context(user, EMPTY_ITEMS, EMPTY_TIMES, 0, segments, 0.0)


class PopularityHarness:
    def __init__(self, **parameters: int) -> None:
        self.index = ItemIndex(5000)
        self.model = Popularity(self.index, half_life=100.0, **parameters)

    def count(
        self,
        name: str,
        *segments: str,
        times: int = 1,
        ts: float = 0.0,
        weight: float = 1.0,
        is_first: bool = False,
    ) -> None:
        item = self.index.index(name, ts)
        for _ in range(times):
            self.model.learn(Observation("u", item, ts, Kind.VIEW, weight, segments, 1, is_first=is_first))

    def shares(self, request: Context, k: int = 10) -> dict[str, float]:
        result = self.model.candidates(request, k)
        names = [self.index.id_of(item) for item in result.items]
        return dict(zip(names, result.scores.tolist(), strict=True))


def test_overall_scores_are_shares_of_all_counts() -> None:
    harness = PopularityHarness()
    harness.count("a", times=3)
    harness.count("b")
    assert harness.shares(context("")) == {"a": 0.75, "b": 0.25}


def test_an_event_a_half_life_older_counts_half() -> None:
    harness = PopularityHarness()
    harness.count("new", ts=100.0)
    harness.count("old", ts=0.0)
    assert harness.shares(context("")) == pytest.approx({"new": 2 / 3, "old": 1 / 3})


def test_a_users_list_adds_the_shares_of_their_segments() -> None:
    harness = PopularityHarness()
    harness.count("a", "country:FR", times=2)
    harness.count("b", "country:DE", times=2)
    assert harness.shares(context("ann", "country:DE")) == {"b": 1.5, "a": 0.5}
    assert harness.shares(context("ann")) == {"a": 0.5, "b": 0.5}
    assert harness.shares(context("ann", "country:XX")) == {"a": 0.5, "b": 0.5}


def test_a_new_user_gets_the_most_popular_items_of_their_segment_first() -> None:
    harness = PopularityHarness()
    for number in range(20):
        harness.count(f"french{number}", "country:FR", times=10)
    harness.count("german", "country:DE", times=6)
    harness.count("bavarian", "country:DE", times=4)
    harness.count("french0", "country:DE", times=2)
    assert list(harness.shares(context("new", "country:DE")))[:3] == ["german", "bavarian", "french0"]
    assert "german" not in list(harness.shares(context("new", "country:FR"), 20))
    assert "german" not in list(harness.shares(context("new"), 20))


def test_a_segment_list_contains_only_items_of_the_segment() -> None:
    harness = PopularityHarness()
    harness.count("a", "country:FR", times=5)
    harness.count("b", "country:DE")
    assert harness.shares(context("", "country:DE")) == {"b": 1.0}
    assert harness.shares(context("", "country:XX")) == {}
    assert harness.model.segment_names() == ["country:DE", "country:FR"]


def test_the_segment_with_the_largest_share_is_the_reason() -> None:
    harness = PopularityHarness()
    harness.count("a", "country:FR", times=9)
    harness.count("b", "country:DE")
    a, b = harness.index.find("a"), harness.index.find("b")
    request = context("ann", "country:DE", "country:XX")
    assert harness.model.explain(request, b, -1).segment == "country:DE"
    assert harness.model.explain(request, a, -1).segment == "all"
    assert harness.model.explain(request, a, -1).source == "popular"


def test_dislikes_do_not_count() -> None:
    harness = PopularityHarness()
    harness.count("a")
    harness.count("a", weight=-5.0)
    harness.count("b", weight=-1.0)
    assert harness.shares(context("")) == {"a": 1.0}


def test_a_segment_beyond_capacity_replaces_the_smallest() -> None:
    harness = PopularityHarness(segments=2)
    harness.count("a", "s:big", times=3)
    harness.count("b", "s:small")
    harness.count("c", "s:new")
    assert harness.model.segment_names() == ["s:big", "s:new"]
    assert harness.shares(context("", "s:new")) == {"c": 1.0}
    assert harness.shares(context("", "s:big")) == {"a": 1.0}


def test_an_observation_with_more_segments_than_capacity_keeps_the_first() -> None:
    harness = PopularityHarness(segments=2)
    harness.count("a", "s:1", "s:2", "s:3", "s:1")
    harness.count("a", "s:4", "s:5")
    assert harness.model.segment_names() == ["s:4", "s:5"]


def test_a_full_segment_drops_the_less_popular_half() -> None:
    harness = PopularityHarness(segment_items=4)
    for number in range(8):
        harness.count(f"i{number}", "s:x", weight=number + 1.0)
    assert set(harness.shares(context("", "s:x"))) == {"i7", "i6", "i5", "i4"}
    assert len(harness.shares(context(""))) == 8


def test_lists_are_correct_after_the_landmark_moves() -> None:
    harness = PopularityHarness()
    harness.count("a", "s:x", times=2)
    harness.count("b", "s:x", ts=100.0 * 400)
    harness.count("c", "s:x", ts=100.0 * 401)
    shares = harness.shares(context("", "s:x"))
    # the remaining count of a is below the range of a float32
    assert shares == pytest.approx({"c": 2 / 3, "b": 1 / 3})
    assert list(shares) == ["c", "b"]


def test_a_user_without_items_gets_what_others_chose_first() -> None:
    harness = PopularityHarness()
    harness.count("common", "s:x", times=6)
    harness.count("entry", "s:x", times=2, is_first=True)
    new = context("ann", "s:x")
    assert harness.shares(new) == {"common": 1.5, "entry": 1.5}
    entry = harness.index.find("entry")
    assert harness.model.score(new, np.array([entry], np.int32)).tolist() == [1.5]
    assert harness.model.explain(new, entry, -1).segment == NEW_USERS
    # users with items, pages and segments are ranked by all choices
    known = new._replace(items=np.array([0], np.int32), times=np.zeros(1))
    assert harness.shares(known) == {"common": 1.5, "entry": 0.5}
    assert harness.model.explain(known, entry, -1).segment == "all"
    assert harness.shares(context("")) == {"common": 0.75, "entry": 0.25}
    assert harness.shares(context("", NEW_USERS)) == {"entry": 1.0}


def test_first_choices_are_never_replaced_by_a_segment() -> None:
    harness = PopularityHarness(segments=2)
    harness.count("entry", "s:1", is_first=True)
    for number in range(2, 6):
        harness.count("a", f"s:{number}", times=3)
    assert harness.model.segment_names() == ["s:4", "s:5", NEW_USERS]
    restored = PopularityHarness(segments=2)
    restored.index.restore(harness.index.state())
    restored.model.restore(harness.model.state())
    for each in (harness, restored):
        each.count("a", "s:6", times=4)
        assert each.model.segment_names() == ["s:5", "s:6", NEW_USERS]
        assert each.shares(context("", NEW_USERS)) == {"entry": 1.0}
