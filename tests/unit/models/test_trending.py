"""What has just become popular."""

import numpy as np
import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.trending import Trending
from topics.records import Kind, Reason

HOUR = 3600.0
NOBODY = Context("", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)


class Shop:
    def __init__(self, **parameters: float) -> None:
        self.index = ItemIndex(100)
        self.model = Trending(self.index, **parameters)  # type: ignore[arg-type]

    def click(self, name: str, ts: float, *segments: str, times: int = 1, weight: float = 1.0) -> None:
        item = self.index.index(name, ts)
        for _ in range(times):
            self.model.learn_one(
                Observation("u", item, ts, Kind.VIEW, weight, segments, 1, False, EMPTY_ITEMS, EMPTY_TIMES)
            )

    def found(self, *segments: str, user: str = "") -> dict[str, float]:
        context = NOBODY._replace(user=user, segments=segments)
        found = self.model.candidates(context, 50)
        ids = [self.index.id_of(item) for item in found.items]
        return dict(zip(ids, found.scores.tolist(), strict=True))


def test_a_new_item_is_as_surprising_as_its_clicks_are_many() -> None:
    shop = Shop(past=1e12)
    shop.click("once", 0.0)
    shop.click("often", 0.0, times=9)
    assert shop.found() == pytest.approx({"often": 9.0, "once": 1.0}, rel=1e-4)


def test_what_is_always_popular_does_not_trend_until_it_is_more_so() -> None:
    shop = Shop(window=HOUR, past=100 * HOUR)
    for step in range(6000):  # ten an hour, for ten half-lives
        shop.click("evergreen", 360.0 * step)
    shop.click("hit", 360.0 * step, times=6)
    # 10 an hour are expected; the part of the newest bucket that is to come may be missing
    assert shop.found()["hit"] > 5
    assert shop.found().get("evergreen", 0.0) < 0.5
    shop.click("evergreen", 360.0 * step, times=30)
    # 40 where about 10 are usual
    assert shop.found()["evergreen"] == pytest.approx(30 / 11**0.5, rel=0.15)


def test_it_is_over_when_the_window_has_passed() -> None:
    shop = Shop(window=HOUR, buckets=6)
    shop.click("fad", 0.0, times=20)
    shop.click("now", 0.9 * HOUR)
    assert list(shop.found()) == ["fad", "now"]
    shop.click("now", 1.01 * HOUR)
    assert list(shop.found()) == ["now"]


def test_late_events_count_within_the_window_and_not_beyond() -> None:
    shop = Shop(window=HOUR, buckets=6, past=1e12)
    shop.click("x", 10 * HOUR)
    shop.click("y", 9.6 * HOUR)
    shop.click("x", 10 * HOUR - 1.0)
    shop.click("x", 2 * HOUR)
    assert shop.found() == pytest.approx({"x": 2.0, "y": 1.0}, rel=1e-4)


def test_dislikes_do_not_count() -> None:
    shop = Shop()
    shop.click("x", 0.0, weight=-1.0)
    assert shop.found() == {}


def test_it_is_the_same_for_everybody_and_says_so() -> None:
    shop = Shop()
    shop.click("x", 0.0)
    someone = Context("me", np.array([0], np.int32), np.zeros(1), 0, ("country:FR",), 1e9)
    assert shop.model.candidates(someone, 5).items.tolist() == [0]
    assert shop.model.explain(someone, 0, -1) == Reason("trending")


def test_what_is_new_in_a_segment_trends_there_though_it_is_usual_everywhere() -> None:
    shop = Shop(window=HOUR, past=100 * HOUR)
    for step in range(6000):  # ten an hour
        shop.click("evergreen", 360.0 * step, "country:FR")
    now = 360.0 * step
    shop.click("evergreen", now, "country:DE", times=6)
    assert shop.found("country:DE", user="ann")["evergreen"] == pytest.approx(6.0, rel=0.05)
    assert shop.found("country:DE") == shop.found("country:DE", user="ann")
    assert shop.found("country:FR", user="ann").get("evergreen", 0.0) < 3
    evergreen = shop.index.find("evergreen")
    asked = NOBODY._replace(user="ann", segments=("country:DE",))
    assert shop.model.explain(asked, evergreen, -1) == Reason("trending", segment="country:DE")


def test_a_segments_own_list_holds_nothing_else() -> None:
    shop = Shop()
    shop.click("x", 0.0, "country:FR", times=9)
    shop.click("y", 0.0, "country:DE")
    assert list(shop.found("country:DE")) == ["y"]
    assert shop.found("country:XX") == {}
    assert list(shop.found("country:DE", user="ann")) == ["x", "y"]


def test_it_is_over_in_a_segment_too_when_the_window_has_passed() -> None:
    shop = Shop(window=HOUR, buckets=6)
    shop.click("fad", 0.0, "country:FR", times=20)
    shop.click("now", 1.01 * HOUR, "country:FR")
    assert list(shop.found("country:FR")) == ["now"]


def test_one_segment_too_many_takes_the_place_of_the_smallest() -> None:
    shop = Shop(segments=2)
    shop.click("a", 0.0, "s:big", times=3)
    shop.click("b", 0.0, "s:small")
    shop.click("c", 0.0, "s:new")
    assert shop.found("s:small") == {}
    assert list(shop.found("s:new")) == ["c"]
    assert list(shop.found("s:big")) == ["a"]


def test_a_segment_drops_its_lesser_half_when_full() -> None:
    shop = Shop(segment_items=4)
    for number in range(8):
        shop.click(f"i{number}", 0.0, "s:x", weight=number + 1.0)
    assert set(shop.found("s:x")) == {"i7", "i6", "i5", "i4"}
    assert len(shop.found()) == 8
