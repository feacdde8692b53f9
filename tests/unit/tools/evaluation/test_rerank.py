"""Ranks of choices in small logs, compared with hand counts."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.ranking.search.results_ranker import ResultsRanker
from stream_app.tools.evaluation.rerank import (
    LOG_PARTS,
    RerankEvaluation,
    RerankResults,
    RerankSplit,
    RerankSystem,
)
from stream_app.tools.feeds.event_log import LogRequest, open_log
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row
from topics.events import Click, Event, Feedback, FeedbackKind, OrderLine, Purchase, Search

START = 1_700_000_000_000  # milliseconds
HOUR = 3_600.0

_ids = count()


def _base(user: str, seconds: float, session: str | None) -> dict[str, Any]:
    return {
        "event_id": str(next(_ids)),
        "user_id": user,
        "ts": START + int(1_000 * seconds),
        "session_id": session,
    }


def click(user: str, item: str, seconds: float, session: str | None = None) -> Click:
    return Click(**_base(user, seconds, session), item_id=item)


def search(user: str, query: str, seconds: float) -> Search:
    return Search(**_base(user, seconds, None), query=query)


def choice(
    user: str,
    items: Sequence[str],
    displayed: Sequence[str],
    seconds: float,
    session: str | None = None,
    prices: Sequence[float] = (),
) -> Purchase:
    return Purchase(
        **_base(user, seconds, session),
        order_id="o",
        items=[OrderLine(item_id=item) for item in items],
        shown=list(displayed),
        shown_prices=list(prices),
    )


def evaluation(**options: Any) -> RerankEvaluation:
    models = ModelSet(["popularity"])
    models.learners.append(ResultsRanker())
    return RerankEvaluation(models, session_gap=1800.0, **options)


def run_evaluation(*events: Event | Row) -> RerankResults:
    rows: list[Row] = [
        row if isinstance(row, EventRow | IgnoredRow) else EventRow(line, row)  # type: ignore[arg-type]
        for line, row in enumerate(events, start=1)
    ]
    return evaluation().run(rows, len(rows))


def mrr(results: RerankResults, system: RerankSystem, split: RerankSplit = RerankSplit.ALL) -> float:
    return results.splits[split].systems[system].mrr.mean


def test_mrr_of_each_system_matches_a_hand_count() -> None:
    results = run_evaluation(
        choice("ann", "b", "abc", 0),
        choice("bob", "c", "abc", 1),  # by popularity b a c
        choice("cat", "c", "abc", 2),  # b and c were chosen once, so b c a
        click("dan", "b", 3),
        click("dan", "c", 4),
        choice("dan", "b", "abc", 5),  # last interactions c, then b; by popularity c b a
    )
    assert results.splits[RerankSplit.ALL].lists == results.splits[RerankSplit.ALL].users == 4
    assert mrr(results, RerankSystem.DISPLAYED) == pytest.approx(
        (1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4, abs=1e-6
    )
    assert mrr(results, RerankSystem.POPULARITY) == pytest.approx(
        (1 / 2 + 1 / 3 + 1 / 2 + 1 / 2) / 4, abs=1e-6
    )
    assert mrr(results, RerankSystem.LAST_INTERACTION) == pytest.approx(
        (1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4, abs=1e-6
    )
    displayed = results.splits[RerankSplit.ALL].systems[RerankSystem.DISPLAYED]
    assert (displayed.hr1.mean, displayed.hr3.mean) == (0.0, 1.0)
    assert results.mean_list_length == 3.0


def test_last_interacted_item_is_first_for_every_interaction_kind() -> None:
    interactions: list[Event] = [
        click("ann", "c", 1),
        search("ann", "c", 1),
        Feedback(**_base("ann", 1, None), item_id="c", kind=FeedbackKind.LIKE),
        choice("ann", "c", "xyc", 1),
    ]
    for interaction in interactions:
        results = run_evaluation(click("ann", "b", 0), interaction, choice("ann", "c", "abc", 2))
        last_split = results.splits[RerankSplit.LAST]
        assert last_split.systems[RerankSystem.LAST_INTERACTION].mrr.mean == 1.0
        assert last_split.systems[RerankSystem.DISPLAYED].mrr.mean == pytest.approx(1 / 3, abs=1e-6)
    hidden = Feedback(**_base("ann", 1, None), item_id="c", kind=FeedbackKind.HIDE)
    results = run_evaluation(click("ann", "b", 0), hidden, choice("ann", "b", "abc", 2))
    assert mrr(results, RerankSystem.LAST_INTERACTION) == 1.0


def test_interactions_of_other_sessions_do_not_count() -> None:
    for earlier, later, first in (("s", "t", 1 / 3), ("s", "s", 1.0), (None, None, 1.0)):
        results = run_evaluation(click("ann", "c", 0, earlier), choice("ann", "c", "abc", 1, later))
        assert mrr(results, RerankSystem.LAST_INTERACTION) == pytest.approx(first, abs=1e-6)
    # without a session id the gap separates sessions
    results = run_evaluation(click("ann", "c", 0), choice("ann", "c", "abc", HOUR))
    assert mrr(results, RerankSystem.LAST_INTERACTION) == pytest.approx(1 / 3, abs=1e-6)


def test_lists_are_split_by_last_choice_and_by_session_interactions() -> None:
    results = run_evaluation(
        choice("ann", "a", "ab", 0, "s"),
        choice("bob", "b", "ab", 1, "t"),
        choice("ann", "b", "ab", 2, "s"),  # the last of s; a is an interacted item
        choice("ann", "a", "ab", 3, "u"),  # the only one of u
    )
    assert {split: split_metrics.lists for split, split_metrics in results.splits.items()} == {
        RerankSplit.ALL: 4,
        RerankSplit.LAST: 3,
        RerankSplit.INTERACTED: 1,
        RerankSplit.NOT_INTERACTED: 3,
    }
    assert mrr(results, RerankSystem.DISPLAYED, RerankSplit.LAST) == pytest.approx(
        (1 / 2 + 1 / 2 + 1) / 3, abs=1e-6
    )
    assert results.splits[RerankSplit.LAST].users == 2


def test_unlisted_choices_score_zero_and_purchases_without_a_list_are_skipped() -> None:
    results = run_evaluation(
        choice("ann", "z", "abc", 0), choice("bob", "a", "", 1), choice("cat", "a", "abc", 2)
    )
    assert (results.splits[RerankSplit.ALL].lists, results.unlisted_choices) == (2, 1)
    for system in (RerankSystem.DISPLAYED, RerankSystem.LAST_INTERACTION, RerankSystem.LEARNED):
        assert mrr(results, system) == 0.5


def test_first_purchased_item_sets_the_rank_and_repeated_results_count_once() -> None:
    results = run_evaluation(choice("ann", "cb", "aaabc", 0, prices=[1, 2, 3, 4, 5]))
    assert mrr(results, RerankSystem.DISPLAYED) == 0.5
    assert results.mean_list_length == 3.0


def test_duplicate_event_is_not_a_second_choice() -> None:
    purchase = choice("ann", "b", "abc", 0)
    results = run_evaluation(purchase, purchase, IgnoredRow(3, "filter", 0.0))
    assert results.events == {"accepted": 1, "duplicate": 1, "ignored": 1}
    assert results.splits[RerankSplit.ALL].lists == 1


def price_driven_log(choices: int) -> list[Event]:
    """Every user chooses the cheapest of ten items, at any rank."""
    rng = np.random.default_rng(3)
    events: list[Event] = []
    for number in range(choices):
        prices = rng.permutation(np.arange(50.0, 150.0, 10.0))
        displayed = [f"i{item}" for item in rng.choice(200, 10, replace=False)]
        cheapest = displayed[int(prices.argmin())]
        events.append(choice(f"u{number % 90}", [cheapest], displayed, 60.0 * number, None, prices.tolist()))
    return events


def test_user_preferences_are_learned_along_the_log() -> None:
    results = run_evaluation(*price_driven_log(400))
    mrr_by_part = results.mrr_by_part[RerankSystem.LEARNED]
    assert len(mrr_by_part) == LOG_PARTS
    assert mrr_by_part[-1] > 0.9
    assert mrr_by_part[0] < mrr_by_part[-1]
    assert (
        max(max(results.mrr_by_part[system]) for system in RerankSystem if system is not RerankSystem.LEARNED)
        < 0.5
    )
    all_lists = results.splits[RerankSplit.ALL]
    assert np.mean(mrr_by_part) == pytest.approx(all_lists.systems[RerankSystem.LEARNED].mrr.mean, abs=1e-5)
    assert all_lists.difference.mrr.mean == pytest.approx(
        mrr(results, RerankSystem.LEARNED) - mrr(results, RerankSystem.LAST_INTERACTION), abs=2e-6
    )
    assert 0 < all_lists.difference.mrr.low < all_lists.difference.mrr.mean < all_lists.difference.mrr.high
    assert results.memory > 0


def test_a_list_is_ordered_before_its_choice_is_learned() -> None:
    # nothing is learned before the first choice: its order is the displayed one
    for chosen, rank in (("a", 1), ("c", 3)):
        results = run_evaluation(choice("ann", chosen, "abc", 0))
        assert mrr(results, RerankSystem.LEARNED) == pytest.approx(1 / rank, abs=1e-6)


def test_results_are_deterministic() -> None:
    events = price_driven_log(120)
    first, second = (msgspec.structs.replace(run_evaluation(*events), ms=None) for _ in range(2))
    assert first == second


def test_log_without_lists_is_rejected_with_its_row_counts() -> None:
    with pytest.raises(UserError, match=r"no purchase with the displayed items .* \(1 accepted\)"):
        run_evaluation(click("ann", "a", 0))


def test_models_without_a_results_ranker_are_rejected() -> None:
    with pytest.raises(ValueError, match="ResultsRanker"):
        RerankEvaluation(ModelSet(["popularity"]), session_gap=1800.0)


def test_learned_order_beats_last_interaction_on_trivago(data_dir: Path) -> None:
    path = data_dir / "trivago" / "events.csv.gz"
    if not path.is_file():
        pytest.skip(f"no real log at {path}; set HEADRACE_DATA")
    request = LogRequest(path=path, read=reader("trivago", None), keep_time=True)
    run = evaluation()
    choices = 0
    for row in open_log(request, now=0.0, max_age=0.0):
        run.consume(row)
        choices += isinstance(row, EventRow) and isinstance(row.event, Purchase)
        if choices == 3_000:
            break
    all_lists = run.results().splits[RerankSplit.ALL]
    assert all_lists.lists == 3_000
    assert all_lists.difference.mrr.low > 0
    means = [all_lists.systems[system].mrr.mean for system in RerankSystem]
    displayed, popularity, last_interaction, learned = means
    assert popularity < last_interaction
    assert displayed < 0.75 * last_interaction < last_interaction < learned
