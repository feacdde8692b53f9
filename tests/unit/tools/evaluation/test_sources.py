"""The value and cost of sources, on small logs."""

from itertools import count

import pytest

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.tools.evaluation.sources import EventSources, SourceArms, SourcesResults
from stream_app.tools.feeds.rows import EventRow
from topics.events import Click

_ids = count()


def click(user: str, item: str, seconds: float) -> EventRow:
    number = next(_ids)
    event = Click(
        event_id=str(number), user_id=user, ts=1_700_000_000_000 + int(1_000 * seconds), item_id=item
    )
    return EventRow(number, event)


def measured(names: list[str], users: int = 150) -> SourcesResults:
    """Results of a shop in which each user views three of 30 items in a row."""
    models = ModelSet(names, max_items=100, max_users=1_000)
    evaluation = EventSources(models, SourceArms(models, k=5), every=1, session_gap=1_800.0)
    rows = [
        click(f"u{user}", f"i{(7 * user + step) % 30}", 10.0 * user + step)
        for user in range(users)
        for step in range(3)
    ]
    return evaluation.run(rows, len(rows))


def test_each_source_is_left_out_once_and_its_cost_is_measured() -> None:
    results = measured(["popularity", "session_knn", "item_to_item", "trending"])

    # the models on the session store and item-to-item are no sources of their own
    assert set(results.without) == {"popularity", "trending"}
    assert set(results.gains) == {"popularity"}, "trends only order, and are not paused"
    assert results.lists > 50
    assert results.hit_rate.mean > 0.9
    # item by item, sessions alone predict what follows
    assert all(abs(value.hit_rate.mean) < 0.1 for value in results.without.values())
    assert set(results.costs) == {"popularity", "session_knn", "item_to_item", "trending"}
    assert all(cost.learn_us > 0 for cost in results.costs.values())


def test_models_without_a_session_store_are_refused() -> None:
    models = ModelSet(["popularity"])

    with pytest.raises(UserError, match="session store"):
        SourceArms(models, k=5)


def test_a_log_without_choices_is_refused() -> None:
    with pytest.raises(UserError, match="No list"):
        measured(["session_knn", "popularity"], users=3)
