"""Items with more interactions than usual."""

import numpy as np
import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.trending import Trending
from topics.records import Kind, Reason

HOUR = 3600.0
ANONYMOUS = Context("", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)


class TrendingHarness:
    def __init__(self, **parameters: float) -> None:
        self.index = ItemIndex(100)
        self.model = Trending(self.index, **parameters)  # type: ignore[arg-type]

    def click(self, name: str, ts: float, *segments: str, times: int = 1, weight: float = 1.0) -> None:
        item = self.index.index(name, ts)
        for _ in range(times):
            self.model.learn(
                Observation("u", item, ts, Kind.VIEW, weight, segments, 1, False, EMPTY_ITEMS, EMPTY_TIMES)
            )

    def candidates(self, *segments: str, user: str = "") -> dict[str, float]:
        context = ANONYMOUS._replace(user=user, segments=segments)
        candidates = self.model.candidates(context, 50)
        ids = [self.index.id_of(item) for item in candidates.items]
        return dict(zip(ids, candidates.scores.tolist(), strict=True))


def test_a_new_item_scores_its_click_count() -> None:
    harness = TrendingHarness(long_half_life=1e12)
    harness.click("once", 0.0)
    harness.click("often", 0.0, times=9)
    assert harness.candidates() == pytest.approx({"often": 9.0, "once": 1.0}, rel=1e-4)


def test_a_steadily_popular_item_trends_only_above_its_usual_rate() -> None:
    harness = TrendingHarness(window=HOUR, long_half_life=100 * HOUR)
    for step in range(6000):  # ten an hour, for ten half-lives
        harness.click("evergreen", 360.0 * step)
    harness.click("hit", 360.0 * step, times=6)
    # 10 an hour are expected; the newest bucket may be incomplete
    assert harness.candidates()["hit"] > 5
    assert harness.candidates().get("evergreen", 0.0) < 0.5
    harness.click("evergreen", 360.0 * step, times=30)
    # 40 where about 10 are usual
    assert harness.candidates()["evergreen"] == pytest.approx(30 / 11**0.5, rel=0.15)


def test_a_trend_ends_with_the_window() -> None:
    harness = TrendingHarness(window=HOUR, buckets=6)
    harness.click("fad", 0.0, times=20)
    harness.click("now", 0.9 * HOUR)
    assert list(harness.candidates()) == ["fad", "now"]
    harness.click("now", 1.01 * HOUR)
    assert list(harness.candidates()) == ["now"]


def test_late_events_count_only_within_the_window() -> None:
    harness = TrendingHarness(window=HOUR, buckets=6, long_half_life=1e12)
    harness.click("x", 10 * HOUR)
    harness.click("y", 9.6 * HOUR)
    harness.click("x", 10 * HOUR - 1.0)
    harness.click("x", 2 * HOUR)
    assert harness.candidates() == pytest.approx({"x": 2.0, "y": 1.0}, rel=1e-4)


def test_dislikes_do_not_count() -> None:
    harness = TrendingHarness()
    harness.click("x", 0.0, weight=-1.0)
    assert harness.candidates() == {}


def test_overall_trends_have_no_segment_in_their_reason() -> None:
    harness = TrendingHarness()
    harness.click("x", 0.0)
    someone = Context("me", np.array([0], np.int32), np.zeros(1), 0, ("country:FR",), 1e9)
    assert harness.model.candidates(someone, 5).items.tolist() == [0]
    assert harness.model.explain(someone, 0, -1) == Reason("trending")


def test_an_item_new_to_a_segment_trends_there_though_usual_elsewhere() -> None:
    harness = TrendingHarness(window=HOUR, long_half_life=100 * HOUR)
    for step in range(6000):  # ten an hour
        harness.click("evergreen", 360.0 * step, "country:FR")
    now = 360.0 * step
    harness.click("evergreen", now, "country:DE", times=6)
    assert harness.candidates("country:DE", user="ann")["evergreen"] == pytest.approx(6.0, rel=0.05)
    assert harness.candidates("country:DE") == harness.candidates("country:DE", user="ann")
    assert harness.candidates("country:FR", user="ann").get("evergreen", 0.0) < 3
    evergreen = harness.index.find("evergreen")
    request = ANONYMOUS._replace(user="ann", segments=("country:DE",))
    assert harness.model.explain(request, evergreen, -1) == Reason("trending", segment="country:DE")


def test_a_segment_list_contains_only_items_of_the_segment() -> None:
    harness = TrendingHarness()
    harness.click("x", 0.0, "country:FR", times=9)
    harness.click("y", 0.0, "country:DE")
    assert list(harness.candidates("country:DE")) == ["y"]
    assert harness.candidates("country:XX") == {}
    assert list(harness.candidates("country:DE", user="ann")) == ["x", "y"]


def test_a_trend_in_a_segment_ends_with_the_window() -> None:
    harness = TrendingHarness(window=HOUR, buckets=6)
    harness.click("fad", 0.0, "country:FR", times=20)
    harness.click("now", 1.01 * HOUR, "country:FR")
    assert list(harness.candidates("country:FR")) == ["now"]


def test_a_segment_beyond_capacity_replaces_the_smallest() -> None:
    harness = TrendingHarness(segments=2)
    harness.click("a", 0.0, "s:big", times=3)
    harness.click("b", 0.0, "s:small")
    harness.click("c", 0.0, "s:new")
    assert harness.candidates("s:small") == {}
    assert list(harness.candidates("s:new")) == ["c"]
    assert list(harness.candidates("s:big")) == ["a"]


def test_a_full_segment_drops_the_less_popular_half() -> None:
    harness = TrendingHarness(segment_items=4)
    for number in range(8):
        harness.click(f"i{number}", 0.0, "s:x", weight=number + 1.0)
    assert set(harness.candidates("s:x")) == {"i7", "i6", "i5", "i4"}
    assert len(harness.candidates()) == 8
