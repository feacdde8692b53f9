"""Orders of result lists of small logs that can be followed by hand."""

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
from stream_app.tools.evaluation.rerank import PARTS, RerankEvaluation, RerankFigures, Split, System
from stream_app.tools.feeds.event_log import Request, open_log
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.rows import Ignored, Mapped, Row
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
    shown: Sequence[str],
    seconds: float,
    session: str | None = None,
    prices: Sequence[float] = (),
) -> Purchase:
    return Purchase(
        **_base(user, seconds, session),
        order_id="o",
        items=[OrderLine(item_id=item) for item in items],
        shown=list(shown),
        shown_prices=list(prices),
    )


def evaluation(**options: Any) -> RerankEvaluation:
    models = ModelSet(["popularity"])
    models.listeners.append(ResultsRanker())
    return RerankEvaluation(models, session_gap=1800.0, **options)


def evaluated(*events: Event | Row) -> RerankFigures:
    rows: list[Row] = [
        each if isinstance(each, Mapped | Ignored) else Mapped(line, each)  # type: ignore[arg-type]
        for line, each in enumerate(events, start=1)
    ]
    return evaluation().run(rows, len(rows))


def mrr(figures: RerankFigures, system: System, split: Split = Split.ALL) -> float:
    return figures.splits[split].systems[system].mrr.mean


def test_each_order_is_measured_as_counted_by_hand() -> None:
    figures = evaluated(
        choice("ann", "b", "abc", 0),
        choice("bob", "c", "abc", 1),  # by popularity b a c
        choice("cat", "c", "abc", 2),  # b and c were chosen once, so b c a
        click("dan", "b", 3),
        click("dan", "c", 4),
        choice("dan", "b", "abc", 5),  # touched last c, then b; by popularity c b a
    )
    assert figures.splits[Split.ALL].lists == figures.splits[Split.ALL].shoppers == 4
    assert mrr(figures, System.DISPLAYED) == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4, abs=1e-6)
    assert mrr(figures, System.POPULARITY) == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 2) / 4, abs=1e-6)
    assert mrr(figures, System.LAST_TOUCHED) == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4, abs=1e-6)
    shown = figures.splits[Split.ALL].systems[System.DISPLAYED]
    assert (shown.hr1.mean, shown.hr3.mean) == (0.0, 1.0)
    assert figures.length == 3.0


def test_what_was_touched_last_is_first_whatever_the_touch() -> None:
    touches: list[Event] = [
        click("ann", "c", 1),
        search("ann", "c", 1),
        Feedback(**_base("ann", 1, None), item_id="c", kind=FeedbackKind.LIKE),
        choice("ann", "c", "xyc", 1),
    ]
    for touch in touches:
        figures = evaluated(click("ann", "b", 0), touch, choice("ann", "c", "abc", 2))
        own = figures.splits[Split.LAST]
        assert own.systems[System.LAST_TOUCHED].mrr.mean == 1.0
        assert own.systems[System.DISPLAYED].mrr.mean == pytest.approx(1 / 3, abs=1e-6)
    hidden = Feedback(**_base("ann", 1, None), item_id="c", kind=FeedbackKind.HIDE)
    figures = evaluated(click("ann", "b", 0), hidden, choice("ann", "b", "abc", 2))
    assert mrr(figures, System.LAST_TOUCHED) == 1.0


def test_what_was_touched_in_another_session_counts_no_more() -> None:
    for earlier, later, first in (("s", "t", 1 / 3), ("s", "s", 1.0), (None, None, 1.0)):
        figures = evaluated(click("ann", "c", 0, earlier), choice("ann", "c", "abc", 1, later))
        assert mrr(figures, System.LAST_TOUCHED) == pytest.approx(first, abs=1e-6)
    # without a session's name the gap tells
    figures = evaluated(click("ann", "c", 0), choice("ann", "c", "abc", HOUR))
    assert mrr(figures, System.LAST_TOUCHED) == pytest.approx(1 / 3, abs=1e-6)


def test_lists_are_split_by_the_last_of_a_session_and_by_touches() -> None:
    figures = evaluated(
        choice("ann", "a", "ab", 0, "s"),
        choice("bob", "b", "ab", 1, "t"),
        choice("ann", "b", "ab", 2, "s"),  # the last of s; a was touched
        choice("ann", "a", "ab", 3, "u"),  # the only one of u
    )
    assert {split: of.lists for split, of in figures.splits.items()} == {
        Split.ALL: 4,
        Split.LAST: 3,
        Split.TOUCHED: 1,
        Split.UNTOUCHED: 3,
    }
    assert mrr(figures, System.DISPLAYED, Split.LAST) == pytest.approx((1 / 2 + 1 / 2 + 1) / 3, abs=1e-6)
    assert figures.splits[Split.LAST].shoppers == 2


def test_what_the_list_does_not_hold_counts_nothing_and_a_purchase_without_a_list_is_none() -> None:
    figures = evaluated(choice("ann", "z", "abc", 0), choice("bob", "a", "", 1), choice("cat", "a", "abc", 2))
    assert (figures.splits[Split.ALL].lists, figures.outside) == (2, 1)
    for system in (System.DISPLAYED, System.LAST_TOUCHED, System.LEARNED):
        assert mrr(figures, system) == 0.5


def test_of_several_items_bought_the_first_of_the_order_counts_and_a_repeated_result_once() -> None:
    figures = evaluated(choice("ann", "cb", "aaabc", 0, prices=[1, 2, 3, 4, 5]))
    assert mrr(figures, System.DISPLAYED) == 0.5
    assert figures.length == 3.0


def test_an_event_that_comes_again_is_no_second_choice() -> None:
    once = choice("ann", "b", "abc", 0)
    figures = evaluated(once, once, Ignored(3, "filter", 0.0))
    assert figures.events == {"accepted": 1, "duplicate": 1, "ignored": 1}
    assert figures.splits[Split.ALL].lists == 1


def cheap_shop(choices: int) -> list[Event]:
    """Everyone takes the cheapest of ten, which stands anywhere."""
    rng = np.random.default_rng(3)
    events: list[Event] = []
    for number in range(choices):
        prices = rng.permutation(np.arange(50.0, 150.0, 10.0))
        shown = [f"i{item}" for item in rng.choice(200, 10, replace=False)]
        cheapest = shown[int(prices.argmin())]
        events.append(choice(f"u{number % 90}", [cheapest], shown, 60.0 * number, None, prices.tolist()))
    return events


def test_what_shoppers_go_by_is_learned_along_the_log() -> None:
    figures = evaluated(*cheap_shop(400))
    course = figures.course[System.LEARNED]
    assert len(course) == PARTS
    assert course[-1] > 0.9
    assert course[0] < course[-1]
    assert max(max(figures.course[each]) for each in System if each is not System.LEARNED) < 0.5
    everything = figures.splits[Split.ALL]
    assert np.mean(course) == pytest.approx(everything.systems[System.LEARNED].mrr.mean, abs=1e-5)
    assert everything.gain.mrr.mean == pytest.approx(
        mrr(figures, System.LEARNED) - mrr(figures, System.LAST_TOUCHED), abs=2e-6
    )
    assert 0 < everything.gain.mrr.low < everything.gain.mrr.mean < everything.gain.mrr.high
    assert figures.memory > 0


def test_a_list_is_ordered_before_its_choice_is_learned() -> None:
    # the first order can only be the displayed one, whatever is chosen
    for chosen, place in (("a", 1), ("c", 3)):
        figures = evaluated(choice("ann", chosen, "abc", 0))
        assert mrr(figures, System.LEARNED) == pytest.approx(1 / place, abs=1e-6)


def test_the_same_log_gives_the_same_figures() -> None:
    events = cheap_shop(120)
    first, second = (msgspec.structs.replace(evaluated(*events), ms=None) for _ in range(2))
    assert first == second


def test_a_log_without_lists_is_refused_with_what_it_has() -> None:
    with pytest.raises(UserError, match=r"no purchase that says .* \(1 accepted\)"):
        evaluated(click("ann", "a", 0))


def test_models_that_nothing_listens_to_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="ResultsRanker"):
        RerankEvaluation(ModelSet(["popularity"]), session_gap=1800.0)


def test_on_trivago_the_first_3000_orders_are_better_than_last_touched_first(data_dir: Path) -> None:
    path = data_dir / "trivago" / "events.csv.gz"
    if not path.is_file():
        pytest.skip(f"no real log at {path}; set HEADRACE_DATA")
    request = Request(path=path, read=reader("trivago", None), keep_time=True)
    run = evaluation()
    choices = 0
    for row in open_log(request, now=0.0, max_age=0.0):
        run.take(row)
        choices += isinstance(row, Mapped) and isinstance(row.event, Purchase)
        if choices == 3_000:
            break
    everything = run.figures().splits[Split.ALL]
    assert everything.lists == 3_000
    assert everything.gain.mrr.low > 0
    means = [everything.systems[each].mrr.mean for each in System]
    displayed, popularity, last_touched, learned = means
    assert popularity < last_touched
    assert displayed < 0.75 * last_touched < last_touched < learned
