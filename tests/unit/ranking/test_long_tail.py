"""Which items are the long tail, and when that is computed anew."""

import pytest

from stream_app.models.model_set import ModelSet
from stream_app.ranking.exposure import HALF_LIFE
from stream_app.ranking.intra_list_diversity import TOP_K
from stream_app.ranking.long_tail import LongTail
from topics.records import Interaction, Kind, Line, Source


def learn(models: ModelSet, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        for _ in range(count):
            offset = models.version
            models.learn(Interaction(Source.CLICK, 0, offset, 0.0, f"u{offset}", Kind.VIEW, (Line(name),)))


def tail_of(models: ModelSet, tail: LongTail) -> set[str]:
    return {models.index.id_of(item) for item, is_tail in enumerate(tail.flags().tolist()) if is_tail}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": 78, "b": 19, "c": 3}, {"c"}),
        ({"a": 79, "b": 20, "c": 1}, {"c"}),
        ({"a": 80, "b": 10, "c": 10}, {"b", "c"}),
        ({"a": 81, "b": 19}, {"b"}),
        # The head is filled with the last of several equal counts: they belong to it together.
        ({"a": 60, "b": 20, "c": 20}, set()),
        ({"a": 25, "b": 25, "c": 25, "d": 25}, set()),
        ({"a": 1}, set()),
    ],
)
def test_the_head_has_four_fifths_of_all_interactions(counts: dict[str, int], expected: set[str]) -> None:
    models = ModelSet(["popularity"], max_items=100, max_users=10)
    learn(models, counts)
    assert tail_of(models, LongTail(models)) == expected


def test_every_item_is_of_the_long_tail_before_any_interaction() -> None:
    models = ModelSet(["popularity"], max_items=100, max_users=10)
    models.index.index("a", 0.0)
    models.index.index("b", 0.0)
    assert tail_of(models, LongTail(models)) == {"a", "b"}


def test_the_long_tail_is_computed_anew_after_a_thousand_interactions() -> None:
    models = ModelSet(["popularity"], max_items=100, max_users=10)
    learn(models, {"a": 10, "b": 1})
    tail = LongTail(models)
    assert tail_of(models, tail) == {"b"}
    learn(models, {"b": 999})
    assert tail_of(models, tail) == {"b"}
    learn(models, {"b": 1})
    assert tail_of(models, tail) == {"a"}


def test_with_more_items_than_a_thousand_it_is_computed_anew_after_as_many_interactions() -> None:
    models = ModelSet(["popularity"], max_items=2_000, max_users=10)
    learn(models, {f"i{number}": 1 for number in range(1_200)} | {"a": 5_000})
    tail = LongTail(models)
    assert tail_of(models, tail) == {f"i{number}" for number in range(1_200)}
    learn(models, {"i1": 1_200})
    assert "i1" in tail_of(models, tail)
    learn(models, {"i1": 1})
    assert tail_of(models, tail) == {f"i{number}" for number in range(1_200) if number != 1}


def test_lists_are_measured_by_their_first_20_ranks_for_an_hour_of_half_life() -> None:
    assert (TOP_K, HALF_LIFE) == (20, 3_600.0)


def test_without_counts_of_popularity_every_item_is_of_the_long_tail() -> None:
    models = ModelSet(["item_to_item"], max_items=100, max_users=10)
    learn(models, {"a": 3, "b": 1})
    # So is each beyond the end of the flags.
    assert LongTail(models).flags().tolist() == []
