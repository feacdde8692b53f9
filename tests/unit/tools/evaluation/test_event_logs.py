"""Prequential metrics of small logs, compared with hand counts."""

from itertools import count
from typing import Any

import msgspec
import pytest

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.ranking.ranker import Ranker
from stream_app.tools.evaluation.event_logs import EventLogResults, EventsEvaluation, EventSplit
from stream_app.tools.evaluation.sessions import FUSED
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row, UnreadableRow
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


def click(user: str, item: str, seconds: float, **extra_fields: Any) -> Click:
    fields: dict[str, Any] = {"event_id": str(next(_ids)), "ts": START + int(1_000 * seconds)} | extra_fields
    return Click(user_id=user, item_id=item, **fields)


def order(user: str, items: str, seconds: float) -> Purchase:
    event_id = str(next(_ids))
    return Purchase(
        event_id=event_id,
        user_id=user,
        ts=START + int(1_000 * seconds),
        order_id=event_id,
        items=[OrderLine(item_id=item) for item in items],
    )


def run_evaluation(
    *events: Event | Row, k: int = 2, names: tuple[str, ...] = NAMES, **options: Any
) -> EventLogResults:
    ranker = Ranker(ModelSet(names), per_source=100, length=k)
    evaluation = EventsEvaluation(ranker, k=k, session_gap=1800.0, **options)
    rows: list[Row] = [
        row if isinstance(row, EventRow | IgnoredRow | UnreadableRow) else EventRow(line, row)
        for line, row in enumerate(events, start=1)
    ]
    return evaluation.run(rows, len(rows))


def test_a_list_is_ranked_before_its_choice_is_learned() -> None:
    single = run_evaluation(click("ann", "a", 0)).splits[EventSplit.ALL]
    assert (single.lists, single.users) == (1, 1)
    assert single.systems[FUSED].hit_rate.mean == 0.0
    twice = run_evaluation(click("ann", "a", 0), click("bob", "a", 1)).splits[EventSplit.ALL]
    assert twice.systems[FUSED].hit_rate.mean == 0.5


def test_popularity_metrics_match_a_hand_count() -> None:
    results = run_evaluation(
        click("ann", "a", 0),  # empty list: a miss
        click("bob", "a", 1),  # the list is a: rank 1
        click("cat", "b", 2),  # a: a miss
        click("dan", "b", 3),  # a, b: rank 2
        click("eve", "c", 4),  # a miss
        k=2,
    ).splits[EventSplit.ALL]
    metrics = results.systems["popularity"]
    assert metrics.hit_rate.mean == pytest.approx(2 / 5)
    assert metrics.mrr.mean == pytest.approx((1 + 1 / 2) / 5)
    assert metrics.accuracy.mean == pytest.approx(1 / 5)
    assert metrics.precision.mean == pytest.approx(2 / 5 / 2)
    assert metrics.recall.mean == pytest.approx(2 / 5)
    assert results.users == 5


def test_an_order_of_several_items_is_one_list() -> None:
    results = run_evaluation(click("ann", "a", 0), click("bob", "b", 1), order("cat", "axy", 2), k=2)
    split = results.splits[EventSplit.ALL]
    assert split.lists == 3
    # only the third list can hit: it has a, one of the three items bought
    assert split.systems["popularity"].recall.mean == pytest.approx(1 / 3 / 3, abs=1e-6)
    assert split.systems["popularity"].precision.mean == pytest.approx(1 / 2 / 3, abs=1e-6)


def test_lists_are_split_into_cold_and_warm_users_and_items() -> None:
    hour = 3_600
    results = run_evaluation(
        Search(event_id="s", user_id="ann", ts=START, query="shoes"),
        click("ann", "a", 1),  # cold user (a search is not an item), cold item
        click("ann", "a", 2),  # warm, cold, repeat
        click("ann", "b", 3),  # warm, cold
        click("bob", "a", hour + 2),  # cold, warm
        click("bob", "b", hour + 2),  # warm, b is a second short of an hour
    )
    counts = {split: split_metrics.lists for split, split_metrics in results.splits.items()}
    assert counts == {
        EventSplit.ALL: 5,
        EventSplit.COLD_USERS: 2,
        EventSplit.WARM_USERS: 3,
        EventSplit.COLD_ITEMS: 4,
        EventSplit.WARM_ITEMS: 1,
        EventSplit.NOVEL: 4,
        EventSplit.REPEAT: 1,
    }
    assert results.splits[EventSplit.COLD_USERS].users == 2
    assert results.splits[EventSplit.WARM_ITEMS].users == 1


def test_lists_of_returning_users_are_those_of_a_later_session() -> None:
    results = run_evaluation(
        click("ann", "a", 0), click("ann", "b", 60), click("bob", "b", 70), click("ann", "a", 7_200)
    )

    assert results.splits[EventSplit.RETURNING_USERS].lists == 1
    assert results.splits[EventSplit.WARM_USERS].lists == 2


def test_compared_models_are_measured_alone_and_change_no_fused_list() -> None:
    events = [click("ann", "a", 0), click("bob", "b", 1), click("cat", "a", 2), click("dan", "a", 3)]
    without = run_evaluation(*events).splits[EventSplit.ALL].systems

    compared = run_evaluation(*events, compared=ModelSet(["trending"])).splits[EventSplit.ALL].systems

    assert compared["trending"].hit_rate.mean > 0
    assert {name: compared[name] for name in without} == without


def test_row_outcomes_are_counted_and_only_accepted_events_are_ranked() -> None:
    first = click("ann", "a", 0)
    results = run_evaluation(
        first,
        first,
        click("ann", "", 1),
        CatalogItem(item_id="a", ts=START),
        IgnoredRow(5, "filter", 0.0),
        UnreadableRow(6, b"?", "no"),
        Feedback(event_id="f", user_id="ann", ts=START, item_id="a", kind=FeedbackKind.LIKE),
    )
    assert results.events == {
        "accepted": 2, "catalog": 1, "duplicate": 1, "ignored": 1, "rejected": 1, "unreadable": 1,
    }  # fmt: skip
    assert results.splits[EventSplit.ALL].lists == 1


def test_excluded_items_are_on_no_list_including_the_baseline() -> None:
    seen = [click(user, item, 0) for user in ("bob", "cat") for item in "abcd"]
    unavailable = CatalogItem(item_id="d", ts=START, available=False)
    hidden = Feedback(event_id="h", user_id="ann", ts=START, item_id="b", kind=FeedbackKind.HIDE)
    before = run_evaluation(*seen, unavailable, hidden, order("ann", "a", 1), k=1)
    after = run_evaluation(*seen, unavailable, hidden, order("ann", "a", 1), click("ann", "c", 2), k=1)
    for name in (FUSED, "popularity"):
        earlier, later = (
            results.splits[EventSplit.ALL].systems[name].hit_rate.mean for results in (before, after)
        )
        # only c is left to list, so the last list hits
        assert later * 10 == pytest.approx(earlier * 9 + 1, abs=1e-4)


def test_erased_user_is_cold_again() -> None:
    results = run_evaluation(
        click("ann", "a", 0),
        Erasure(event_id="gone", user_id="ann", ts=START + 1_000),
        click("ann", "a", 2),
    )
    assert results.splits[EventSplit.COLD_USERS].lists == 2


def test_unknown_user_gets_the_list_of_their_country() -> None:
    french, german = {"context": {"country": "FR"}}, {"context": {"country": "DE"}}
    background = [click(f"d{n}", "brot", n, **german) for n in range(9)]
    background += [click(f"f{n}", "pain", 10 + n, **french) for n in range(3)]
    before = run_evaluation(*background, k=1).splits[EventSplit.ALL].systems[FUSED].hit_rate.mean * 12
    hit = run_evaluation(*background, click("new", "pain", 20, **french), k=1)
    miss = run_evaluation(*background, click("new", "pain", 20, **german), k=1)
    metrics = [results.splits[EventSplit.ALL].systems[FUSED].hit_rate.mean * 13 for results in (hit, miss)]
    assert metrics == [pytest.approx(before + 1, abs=1e-4), pytest.approx(before, abs=1e-4)]


def test_fused_and_popularity_are_compared_pairwise() -> None:
    pairs = [
        click(f"u{n}", f"{letter}{n % 5}", 10 * n + at) for n in range(40) for at, letter in enumerate("ab")
    ]
    metrics = run_evaluation(*pairs, k=1, names=NAMES).splits[EventSplit.WARM_USERS]
    difference = metrics.difference.hit_rate
    assert difference.mean == pytest.approx(
        metrics.systems[FUSED].hit_rate.mean - metrics.systems["popularity"].hit_rate.mean, abs=2e-6
    )
    assert difference.low <= difference.mean <= difference.high


def test_each_model_is_measured_on_request() -> None:
    events = [click("ann", "a", 0), click("bob", "a", 1)]
    assert {*run_evaluation(*events).splits[EventSplit.ALL].systems} == {FUSED, "popularity"}
    assert {*run_evaluation(*events, each_model=True).splits[EventSplit.ALL].systems} == {FUSED, *NAMES}


def test_exposure_matches_a_hand_count_over_the_whole_log() -> None:
    day = 86_400
    results = run_evaluation(
        click("ann", "a", 0),  # an empty list
        click("bob", "a", 1),  # a, a new item
        click("cat", "b", 2),  # a
        click("dan", "a", 2 * day),  # a, b, both known for more than a day
        click("eve", "a", 2 * day + 1),  # a, b
        k=2,
        names=("popularity",),
    ).exposure
    assert results["popularity"] == results[FUSED]
    metrics = results[FUSED]
    # six list entries: four of a and two of b; in two of the six a was new
    assert metrics.coverage == 1.0
    assert metrics.gini == pytest.approx(1 / 6, abs=1e-6)
    assert metrics.new_items == pytest.approx(2 / 6, abs=1e-6)


def test_exposure_depends_on_listed_items_not_on_choices() -> None:
    first = [click(f"v{n}", "hit", n) for n in range(3)]
    one_time_clicks = [click(f"u{n}", f"i{n}", 10 + n) for n in range(19)]
    metrics = run_evaluation(*first, *one_time_clicks, k=1).exposure["popularity"]
    assert (metrics.coverage, metrics.new_items) == (1 / 20, 1.0)
    assert metrics.gini == pytest.approx(0.95)


def test_lists_are_counted_by_their_actual_policy() -> None:
    assert run_evaluation(click("ann", "a", 0), click("ann", "b", 1)).policies == {"fixed_rrf": 2}


def test_results_are_deterministic() -> None:
    events = [click(f"u{n % 7}", f"i{n * n % 11}", n) for n in range(60)]
    first, second = (msgspec.to_builtins(run_evaluation(*events).splits) for _ in range(2))
    assert first == second


def test_missing_baseline_or_choices_are_user_errors() -> None:
    with pytest.raises(UserError, match="add popularity"):
        run_evaluation(click("ann", "a", 0), names=("item_to_item",))
    with pytest.raises(UserError, match=r"no click or purchase to predict \(1 ignored\); check --format"):
        run_evaluation(IgnoredRow(1, "filter", 0.0))
