"""Items without interactions: the generated shops, and what is counted."""

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.tools.bench.encoders import tfidf_rank
from stream_app.tools.evaluation.cold_items.arms import Arm, single
from stream_app.tools.evaluation.cold_items.book_shop import BookShop
from stream_app.tools.evaluation.cold_items.evaluation import (
    OTHERS_MEASURED,
    ColdItemsEvaluation,
    MeasuredChoices,
    summarize,
)
from stream_app.tools.evaluation.cold_items.shops import Shop, WordShop, shop_rows
from stream_app.tools.feeds.rows import EventRow
from topics.events import CatalogItem, Click

START = 1_700_000_000_000  # milliseconds


def click(number: int, user: str, item: str, seconds: float) -> EventRow:
    event = Click(event_id=str(number), user_id=user, ts=START + int(1_000 * seconds), item_id=item)
    return EventRow(number, event)


def described(item: str, seconds: float = 0.0) -> EventRow:
    return EventRow(0, CatalogItem(ts=START + int(1_000 * seconds), item_id=item, title=item))


def evaluated(rows: list[EventRow], start: float = 0.0, **lists: list[str]) -> MeasuredChoices:
    """Measure arms that always list the same items."""
    models = ModelSet(["popularity"])

    def arm(items: list[str]) -> Arm:
        return Arm(models, lambda _: items)

    evaluation = ColdItemsEvaluation(
        {name: arm(items) for name, items in lists.items()},
        start=START / 1_000 + start,
        k=2,
        session_gap=1800.0,
    )
    return evaluation.run(rows, len(rows))


def test_the_first_interaction_of_anyone_with_an_item_counts() -> None:
    rows = [described("a"), described("b"), click(1, "ann", "a", 1), click(2, "ann", "b", 2)]
    measured = evaluated(rows, right=["x", "b"], too_low=["x", "y", "b"])
    assert measured.is_cold.tolist() == [True], "the first choice of a session is not measured"
    assert (measured.hits["right"].tolist(), measured.hits["too_low"].tolist()) == ([True], [False])


def test_an_item_that_someone_else_clicked_is_no_longer_cold() -> None:
    rows = [described("a"), described("b"), click(1, "ann", "a", 1), click(2, "ann", "b", 2)]
    later = [click(n, f"user-{n // 2}", "ab"[n % 2], n) for n in range(10, 10 + 4 * OTHERS_MEASURED)]
    measured = evaluated([*rows, *later], right=["b", "a"])
    assert measured.is_cold.sum() == 1
    assert len(measured.is_cold) > 1, "one in a few of the other choices"
    assert measured.n_before.max() <= 2


def test_items_without_a_description_and_choices_before_the_start_do_not_count() -> None:
    rows = [described("a"), described("b"), described("c"), click(1, "ann", "a", 1), click(2, "ann", "b", 2)]
    later = [click(3, "ann", "unknown", 60), click(4, "ann", "c", 61)]
    measured = evaluated([*rows, *later], start=30.0, arm=["c"])
    assert measured.is_cold.tolist() == [True]
    assert measured.hits["arm"].tolist() == [True]


def test_a_log_without_such_choices_is_an_error() -> None:
    with pytest.raises(UserError, match="No item was chosen for the first time"):
        evaluated([described("a"), click(1, "ann", "a", 1), click(2, "ann", "a", 2)], arm=["a"])


def test_a_ratio_is_that_of_the_hits_on_the_same_choices() -> None:
    rng = np.random.default_rng(7)
    users, hits = np.arange(400), rng.random(400) < 0.2
    both = {"base": hits, "twice": hits | np.roll(hits, 1)}
    measured = MeasuredChoices(users, np.ones(400, np.bool_), np.full(400, 5), both)
    arms = summarize([measured, measured], "base").arms
    assert (arms["base"].ratio.low, arms["base"].ratio.high) == (1.0, 1.0)
    assert arms["twice"].ratio.low < arms["twice"].ratio.mean < arms["twice"].ratio.high
    assert arms["twice"].ratio.mean == pytest.approx(
        arms["twice"].cold.mean / arms["base"].cold.mean, abs=1e-5
    )
    assert arms["base"].cold_by_seed == pytest.approx([float(hits.mean())] * 2)


@pytest.mark.parametrize("make", [WordShop, BookShop])
def test_items_are_described_before_they_are_clicked(make: Any) -> None:
    shop: Shop = make(200, 30, 3)
    known, n_late = set(), 0
    rows = list(shop_rows(shop, shop.entries, 80, new=0.5))
    for row in rows:
        if isinstance(row.event, CatalogItem):
            known.add(row.event.item_id)
            n_late += row.event.time > rows[0].event.time
        else:
            assert isinstance(row.event, Click)
            assert row.event.item_id in known
    assert n_late > 90
    assert [row.event for row in rows] == [
        row.event for row in shop_rows(make(200, 30, 3), shop.entries, 80, new=0.5)
    ]


def test_books_follow_near_ones_which_seldom_share_a_word() -> None:
    shop = BookShop(800, 50, 5)
    sessions = [shop.session(number, 800).items for number in range(300)]
    pairs = [(before, after) for items in sessions for before, after in pairwise(items)]
    by_words = tfidf_rank(shop.entries)

    def rate(rank: Any) -> float:
        ranks = [int((rank([before]) > rank([before])[after]).sum()) for before, after in pairs]
        return float(np.mean(np.array(ranks) <= 20))

    assert rate(shop.ideal_scores) > 1.5 * rate(by_words) > 0.1


def test_covers_are_pictures_that_differ() -> None:
    covers = list(BookShop(30, 5, 5).pictures())
    assert {Image.open(io.BytesIO(data)).size for data in covers} == {(128, 192)}
    assert len(set(covers)) == 30


def test_a_model_alone_lists_its_candidates_that_are_available() -> None:
    models = ModelSet(["popularity"])
    rows = [described("a"), described("b"), click(1, "ann", "a", 1), click(2, "ann", "b", 2)]
    evaluation = ColdItemsEvaluation(
        {"popular": single(models, "popularity", 2)}, start=0.0, k=2, session_gap=1800.0
    )
    measured = evaluation.run(rows, len(rows))
    assert measured.hits["popular"].tolist() == [False], "no one chose it before"
