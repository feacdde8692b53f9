"""Prequential figures of small logs that can be followed by hand."""

from itertools import count
from typing import Any

import msgspec
import pytest

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.ranking.ranker import Ranker
from stream_app.tools.evaluation.event_logs import EventsEvaluation, EventsFigures, Split
from stream_app.tools.evaluation.sessions import FUSED
from stream_app.tools.feeds.rows import Ignored, Mapped, Row, Unreadable
from topics.events import (
    CatalogItem,
    Click,
    Erasure,
    Event,
    Feedback,
    FeedbackKind,
    OrderLine,
    Purchase,
    Search,
)

START = 1_700_000_000_000  # milliseconds
NAMES = ("popularity", "item_to_item")

_ids = count()


def click(user: str, item: str, seconds: float, **more: Any) -> Click:
    given: dict[str, Any] = {"event_id": str(next(_ids)), "ts": START + int(1_000 * seconds)} | more
    return Click(user_id=user, item_id=item, **given)


def order(user: str, items: str, seconds: float) -> Purchase:
    event_id = str(next(_ids))
    return Purchase(
        event_id=event_id,
        user_id=user,
        ts=START + int(1_000 * seconds),
        order_id=event_id,
        items=[OrderLine(item_id=item) for item in items],
    )


def evaluated(
    *events: Event | Row, k: int = 2, names: tuple[str, ...] = NAMES, **options: Any
) -> EventsFigures:
    ranker = Ranker(ModelSet(names), per_source=100, length=k)
    evaluation = EventsEvaluation(ranker, k=k, session_gap=1800.0, **options)
    rows: list[Row] = [
        each if isinstance(each, Mapped | Ignored | Unreadable) else Mapped(line, each)
        for line, each in enumerate(events, start=1)
    ]
    return evaluation.run(rows, len(rows))


def test_a_list_is_ranked_before_its_choice_is_learned() -> None:
    alone = evaluated(click("ann", "a", 0)).splits[Split.ALL]
    assert (alone.lists, alone.shoppers) == (1, 1)
    assert alone.systems[FUSED].hit_rate.mean == 0.0
    twice = evaluated(click("ann", "a", 0), click("bob", "a", 1)).splits[Split.ALL]
    assert twice.systems[FUSED].hit_rate.mean == 0.5


def test_popularity_is_measured_as_counted_by_hand() -> None:
    figures = evaluated(
        click("ann", "a", 0),  # nothing is known: a miss
        click("bob", "a", 1),  # the list is a: first place
        click("cat", "b", 2),  # a: a miss
        click("dan", "b", 3),  # a, b: second place
        click("eve", "c", 4),  # a miss
        k=2,
    ).splits[Split.ALL]
    found = figures.systems["popularity"]
    assert found.hit_rate.mean == pytest.approx(2 / 5)
    assert found.mrr.mean == pytest.approx((1 + 1 / 2) / 5)
    assert found.accuracy.mean == pytest.approx(1 / 5)
    assert found.precision.mean == pytest.approx(2 / 5 / 2)
    assert found.recall.mean == pytest.approx(2 / 5)
    assert figures.shoppers == 5


def test_an_order_of_several_items_is_one_list() -> None:
    figures = evaluated(click("ann", "a", 0), click("bob", "b", 1), order("cat", "axy", 2), k=2)
    split = figures.splits[Split.ALL]
    assert split.lists == 3
    # only the third list can hit: it has a, one of the three items bought
    assert split.systems["popularity"].recall.mean == pytest.approx(1 / 3 / 3, abs=1e-6)
    assert split.systems["popularity"].precision.mean == pytest.approx(1 / 2 / 3, abs=1e-6)


def test_lists_are_split_by_what_was_known_of_shopper_and_item() -> None:
    hour = 3_600
    figures = evaluated(
        Search(event_id="s", user_id="ann", ts=START, query="shoes"),
        click("ann", "a", 1),  # cold shopper (a search is no item), cold item
        click("ann", "a", 2),  # warm, cold, again
        click("ann", "b", 3),  # warm, cold
        click("bob", "a", hour + 2),  # cold, warm
        click("bob", "b", hour + 2),  # warm, b is a second short of an hour
    )
    counts = {split: of.lists for split, of in figures.splits.items()}
    assert counts == {
        Split.ALL: 5,
        Split.COLD_USERS: 2,
        Split.WARM_USERS: 3,
        Split.COLD_ITEMS: 4,
        Split.WARM_ITEMS: 1,
        Split.NEW: 4,
        Split.AGAIN: 1,
    }
    assert figures.splits[Split.COLD_USERS].shoppers == 2
    assert figures.splits[Split.WARM_ITEMS].shoppers == 1


def test_what_became_of_each_row_is_counted_and_only_what_was_taken_is_ranked() -> None:
    first = click("ann", "a", 0)
    figures = evaluated(
        first,
        first,
        click("ann", "", 1),
        CatalogItem(item_id="a", ts=START),
        Ignored(5, "filter", 0.0),
        Unreadable(6, b"?", "no"),
        Feedback(event_id="f", user_id="ann", ts=START, item_id="a", kind=FeedbackKind.LIKE),
    )
    assert figures.events == {
        "accepted": 2, "catalogue": 1, "duplicate": 1, "ignored": 1, "rejected": 1, "unreadable": 1,
    }  # fmt: skip
    assert figures.splits[Split.ALL].lists == 1


def test_what_is_bought_hidden_or_sold_out_is_on_no_list_not_even_of_the_baseline() -> None:
    seen = [click(user, item, 0) for user in ("bob", "cat") for item in "abcd"]
    gone = CatalogItem(item_id="d", ts=START, available=False)
    hidden = Feedback(event_id="h", user_id="ann", ts=START, item_id="b", kind=FeedbackKind.HIDE)
    before = evaluated(*seen, gone, hidden, order("ann", "a", 1), k=1)
    after = evaluated(*seen, gone, hidden, order("ann", "a", 1), click("ann", "c", 2), k=1)
    for name in (FUSED, "popularity"):
        earlier, later = (each.splits[Split.ALL].systems[name].hit_rate.mean for each in (before, after))
        # the one place left goes to c, so the last list hits
        assert later * 10 == pytest.approx(earlier * 9 + 1, abs=1e-4)


def test_a_shopper_who_was_erased_is_cold_again() -> None:
    figures = evaluated(
        click("ann", "a", 0),
        Erasure(event_id="gone", user_id="ann", ts=START + 1_000),
        click("ann", "a", 2),
    )
    assert figures.splits[Split.COLD_USERS].lists == 2


def test_a_shopper_never_seen_gets_the_list_of_the_country_that_asks() -> None:
    french, german = {"context": {"country": "FR"}}, {"context": {"country": "DE"}}
    world = [click(f"d{n}", "brot", n, **german) for n in range(9)]
    world += [click(f"f{n}", "pain", 10 + n, **french) for n in range(3)]
    before = evaluated(*world, k=1).splits[Split.ALL].systems[FUSED].hit_rate.mean * 12
    hit = evaluated(*world, click("new", "pain", 20, **french), k=1)
    miss = evaluated(*world, click("new", "pain", 20, **german), k=1)
    found = [each.splits[Split.ALL].systems[FUSED].hit_rate.mean * 13 for each in (hit, miss)]
    assert found == [pytest.approx(before + 1, abs=1e-4), pytest.approx(before, abs=1e-4)]


def test_fused_is_compared_with_popularity_in_pairs() -> None:
    pairs = [
        click(f"u{n}", f"{letter}{n % 5}", 10 * n + at) for n in range(40) for at, letter in enumerate("ab")
    ]
    found = evaluated(*pairs, k=1, names=NAMES).splits[Split.WARM_USERS]
    difference = found.fused_minus_popularity.hit_rate
    assert difference.mean == pytest.approx(
        found.systems[FUSED].hit_rate.mean - found.systems["popularity"].hit_rate.mean, abs=2e-6
    )
    assert difference.low <= difference.mean <= difference.high


def test_each_model_is_measured_where_asked_for() -> None:
    events = [click("ann", "a", 0), click("bob", "a", 1)]
    assert {*evaluated(*events).splits[Split.ALL].systems} == {FUSED, "popularity"}
    assert {*evaluated(*events, each_model=True).splits[Split.ALL].systems} == {FUSED, *NAMES}


def test_exposure_is_counted_over_the_whole_log_as_by_hand() -> None:
    day = 86_400
    figures = evaluated(
        click("ann", "a", 0),  # an empty list
        click("bob", "a", 1),  # a, a new item
        click("cat", "b", 2),  # a
        click("dan", "a", 2 * day),  # a, b, both known for more than a day
        click("eve", "a", 2 * day + 1),  # a, b
        k=2,
        names=("popularity",),
    ).exposure
    assert figures["popularity"] == figures[FUSED]
    found = figures[FUSED]
    # six places, four to a and two to b; two of the six while a was new
    assert found.coverage == 1.0
    assert found.gini == pytest.approx(1 / 6, abs=1e-6)
    assert found.new_items == pytest.approx(2 / 6, abs=1e-6)


def test_exposure_goes_by_what_was_listed_and_not_by_what_was_chosen() -> None:
    first = [click(f"v{n}", "hit", n) for n in range(3)]
    everyone = [click(f"u{n}", f"i{n}", 10 + n) for n in range(19)]
    found = evaluated(*first, *everyone, k=1).exposure["popularity"]
    assert (found.coverage, found.new_items) == (1 / 20, 1.0)
    assert found.gini == pytest.approx(0.95)


def test_lists_are_counted_by_what_really_ordered_them() -> None:
    assert evaluated(click("ann", "a", 0), click("ann", "b", 1)).policies == {"fixed_rrf": 2}


def test_the_same_log_gives_the_same_figures() -> None:
    events = [click(f"u{n % 7}", f"i{n * n % 11}", n) for n in range(60)]
    first, second = (msgspec.to_builtins(evaluated(*events).splits) for _ in range(2))
    assert first == second


def test_without_the_baseline_or_a_choice_it_says_so() -> None:
    with pytest.raises(UserError, match="add popularity"):
        evaluated(click("ann", "a", 0), names=("item_to_item",))
    with pytest.raises(UserError, match=r"no click or purchase to predict \(1 ignored\); check --format"):
        evaluated(Ignored(1, "filter", 0.0))
