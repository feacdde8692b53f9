"""Lists by the rules of the shop: diversity, caps, floors."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_app.models.base import Items
from stream_app.models.item_index import MAX_LABELS
from stream_app.models.model_set import ModelSet
from stream_app.ranking.diversity import Diversifier
from stream_app.ranking.kernels.facets import PRICE_BANDS
from stream_app.ranking.list_rules import NEW_ITEM_SECONDS, Floor, ListRules, parse_floors
from stream_app.ranking.long_tail import LongTail
from topics.records import Interaction, Kind, Line, Source

NOW = 1_700_000_000.0
OLD = NOW - 2 * NEW_ITEM_SECONDS


class ItemFacts(NamedTuple):
    """Facts about an item from the catalog and the log."""

    categories: tuple[str, ...] = ()
    brand: str = ""
    seller: str = ""
    price: float | None = None
    first_seen: float = OLD


def make_models(items: Sequence[ItemFacts]) -> ModelSet:
    """Models with items i0, i1, …, in that order."""
    models = ModelSet(["popularity"], max_items=1000, max_users=10)
    for number, facts in enumerate(items):
        item = models.index.index(f"i{number}", OLD)
        models.index.describe(
            item,
            OLD,
            categories=facts.categories,
            brand=facts.brand,
            seller=facts.seller,
            price=facts.price,
        )
        models.index.update_first_seen(item, facts.first_seen)
    return models


def diversified(
    items: Sequence[ItemFacts], rules: ListRules, length: int = 20, scores: Sequence[float] = ()
) -> list[int]:
    """The numbers of the items on the list; scores fall evenly unless given."""
    given_scores = np.array(scores) if scores else np.linspace(1.0, 0.0, len(items))
    order = Diversifier(make_models(items), rules).rerank(
        np.arange(len(items), dtype=np.int32), given_scores, length, NOW
    )
    return [int(rank) for rank in order]


SHOES = [ItemFacts(("shoes",), "acme")] * 3
HATS = [ItemFacts(("hats",), "knit")] * 3


def test_without_rules_the_list_is_the_best_candidates_in_their_order() -> None:
    assert diversified(SHOES + HATS, ListRules(), 4) == [0, 1, 2, 3]


def test_no_candidates_make_an_empty_list() -> None:
    assert diversified([], ListRules(diversity=0.5, max_per_brand=1, floors=parse_floors("new:1"))) == []


def test_mmr_matches_hand_computed_example() -> None:
    # relevance 1, .8, .6, .4, .2, 0; the similarity of two shoes is 1, that of a shoe and a hat 0
    # weights .7 and .3: after shoe 0 the other shoes have .56 - .3 = .26 and .42 - .3 = .12, hat 3 has .28;
    # after hat 3, hat 4 has .14 - .3
    assert diversified(SHOES + HATS, ListRules(diversity=0.3), 6) == [0, 3, 1, 2, 4, 5]


def test_full_diversity_picks_most_dissimilar_then_most_relevant() -> None:
    assert diversified(SHOES + HATS, ListRules(diversity=1.0), 6) == [0, 3, 1, 2, 4, 5]


def test_small_diversity_weight_reorders_only_near_ties() -> None:
    near = diversified(SHOES + HATS, ListRules(diversity=0.05), 6, (1.0, 0.9, 0.89, 0.88, 0.1, 0.0))
    assert near == [0, 3, 1, 2, 4, 5]
    far = diversified(SHOES + HATS, ListRules(diversity=0.05), 6, (1.0, 0.9, 0.89, 0.3, 0.1, 0.0))
    assert far == [0, 1, 2, 3, 4, 5]


def test_similarity_is_jaccard_of_categories_brand_and_price_band() -> None:
    items = [
        ItemFacts(("women", "shoes"), "acme", price=60.0),
        # three of five facets in common (women, shoes, the band from 31 to 63): similarity 3/5
        ItemFacts(("women", "shoes"), "other", price=40.0),
        # one of six (acme)
        ItemFacts(("men", "hats"), "acme", price=10.0),
        # no known facets: similarity 0
        ItemFacts(),
    ]
    # with equal scores the least similar is next; ties keep the order
    assert diversified(items, ListRules(diversity=0.5), 4, (1.0, 1.0, 1.0, 1.0)) == [0, 3, 2, 1]


def test_seller_does_not_affect_similarity() -> None:
    items = [ItemFacts(seller="s"), ItemFacts(seller="s"), ItemFacts(seller="t")]
    assert diversified(items, ListRules(diversity=1.0), 3) == [0, 1, 2]


def test_price_bands_double_and_unknown_price_has_no_band() -> None:
    items = [
        ItemFacts(price=10.0),
        ItemFacts(price=12.0),
        ItemFacts(price=25.0),
        ItemFacts(price=1e38),
        ItemFacts(price=0.0),
    ]
    assert diversified(items, ListRules(diversity=1.0), 5) == [0, 2, 3, 4, 1]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (ListRules(max_per_category=1), [0, 3]),
        (ListRules(max_per_brand=2), [0, 1, 3, 4]),
        (ListRules(max_per_category=2, max_per_brand=1), [0, 3]),
        (ListRules(max_per_category=3), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_caps_match_hand_computed_lists(rules: ListRules, expected: list[int]) -> None:
    assert diversified(SHOES + HATS, rules) == expected


def test_category_cap_applies_to_leaf_category() -> None:
    items = [
        ItemFacts(("women", "shoes")),
        ItemFacts(("women", "shoes")),
        ItemFacts(("women", "hats")),
        ItemFacts(("women",)),
    ]
    assert diversified(items, ListRules(max_per_category=1)) == [0, 2, 3]


def test_a_seller_can_be_capped() -> None:
    items = [ItemFacts(seller="s"), ItemFacts(seller="s"), ItemFacts(seller="t")]
    assert diversified(items, ListRules(max_per_seller=1)) == [0, 2]


def test_slots_freed_by_a_cap_are_filled_from_lower_ranks() -> None:
    assert diversified([*SHOES, *HATS], ListRules(max_per_brand=2), 4) == [0, 1, 3, 4]


def test_items_without_labels_are_not_capped() -> None:
    assert diversified(
        [ItemFacts()] * 5, ListRules(max_per_category=1, max_per_brand=1, max_per_seller=1)
    ) == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_caps_do_not_carry_over_between_lists() -> None:
    models = make_models(SHOES)
    diversifier = Diversifier(models, ListRules(max_per_brand=2, diversity=0.5))
    items, scores = np.arange(3, dtype=np.int32), np.array([3.0, 2.0, 1.0])
    first = diversifier.rerank(items, scores, 3, NOW).tolist()
    assert first == [0, 1]
    assert diversifier.rerank(items, scores, 3, NOW).tolist() == first


FRESH = ItemFacts(first_seen=NOW - 60.0)


def test_floor_items_are_spread_over_the_list() -> None:
    items = [ItemFacts()] * 30 + [FRESH] * 5
    order = diversified(items, ListRules(floors=parse_floors("new:2")))
    assert len(order) == 20
    assert [rank for rank, item in enumerate(order, start=1) if item >= 30] == [5, 15]
    assert [item for item in order if item >= 30] == [30, 31]
    assert [item for item in order if item < 30] == list(range(18))


@pytest.mark.parametrize(
    ("first_seen", "new"),
    [
        (np.inf, True),
        (NOW, True),
        (NOW - NEW_ITEM_SECONDS + 1, True),
        (NOW - NEW_ITEM_SECONDS, False),
        (OLD, False),
    ],
)
def test_item_is_new_until_one_day_after_its_first_interaction(first_seen: float, new: bool) -> None:
    items = [ItemFacts()] * 30 + [ItemFacts(first_seen=first_seen)]
    assert (30 in diversified(items, ListRules(floors=parse_floors("new:1")))) == new


def test_items_already_ranked_high_count_towards_the_floor() -> None:
    items = [FRESH, FRESH, *[ItemFacts()] * 30]
    assert diversified(items, ListRules(floors=parse_floors("new:2"))) == list(range(20))


def test_floor_larger_than_its_group_is_filled_as_far_as_possible() -> None:
    items = [ItemFacts()] * 25 + [FRESH]
    order = diversified(items, ListRules(floors=parse_floors("new:5,brand:nobody:3")))
    assert len(order) == 20
    assert 25 in order


@pytest.mark.parametrize(
    ("floor", "facts"),
    [
        ("brand:acme:1", ItemFacts(brand="acme")),
        ("seller:acme:1", ItemFacts(seller="acme")),
        ("category:shoes:1", ItemFacts(("women", "shoes"))),
        ("category:women:1", ItemFacts(("women", "shoes"))),
    ],
)
def test_a_label_can_have_a_floor(floor: str, facts: ItemFacts) -> None:
    items = [ItemFacts()] * 30 + [facts] * 2
    order = diversified(items, ListRules(floors=parse_floors(floor)))
    assert [item for item in order if item >= 30] == [30]


def test_floor_for_unknown_label_does_not_match_unlabelled_items() -> None:
    order = diversified(
        [ItemFacts(brand="b")] * 3 + [ItemFacts()] * 3, ListRules(floors=parse_floors("brand:a:3")), 3
    )
    assert order == [0, 1, 2]


def test_a_cap_wins_over_a_floor() -> None:
    items = [ItemFacts(brand="acme"), *[ItemFacts(brand="acme", first_seen=NOW)] * 3, *[ItemFacts()] * 3]
    assert diversified(items, ListRules(max_per_brand=1, floors=parse_floors("new:2")), 4) == [1, 4, 5, 6]


def learn_clicks(models: ModelSet, counts: dict[str, int]) -> None:
    offset = models.version
    for name, count in counts.items():
        for _ in range(count):
            models.learn(Interaction(Source.CLICK, 0, offset, NOW, f"u{offset}", Kind.VIEW, (Line(name),)))
            offset += 1


def is_in_long_tail(tail: LongTail, items: Items) -> NDArray[np.bool_]:
    """Flags of items; an item beyond the end of the flags is of the long tail."""
    flags = np.ones(1 + int(items.max()), np.bool_)
    known = tail.flags()[: len(flags)]
    flags[: len(known)] = known
    return flags[items]


def test_long_tail_excludes_items_with_80_percent_of_interactions() -> None:
    models = ModelSet(["popularity"], max_items=100, max_users=10)
    learn_clicks(models, {"a": 50, "b": 30, "c": 10, "d": 10})
    tail = LongTail(models)
    found = {
        name: bool(is_in_long_tail(tail, np.array([models.index.find(name)], np.int32))[0]) for name in "abcd"
    }
    assert found == {"a": False, "b": False, "c": True, "d": True}
    # later items are of the tail until the flags are computed again
    unseen_item = models.index.index("e", NOW)
    assert is_in_long_tail(tail, np.array([unseen_item], np.int32)).tolist() == [True]


def test_long_tail_is_refreshed_as_interactions_arrive() -> None:
    models = ModelSet(["popularity"], max_items=100, max_users=10)
    learn_clicks(models, {"a": 50, "b": 1})
    tail = LongTail(models)
    b = np.array([models.index.find("b")], np.int32)
    assert is_in_long_tail(tail, b).tolist() == [True]
    learn_clicks(models, {"b": 2000})
    assert is_in_long_tail(tail, b).tolist() == [False]


def test_the_long_tail_can_have_a_floor() -> None:
    models = ModelSet(["popularity"], max_items=100, max_users=10)
    learn_clicks(models, {f"i{number}": 100 - number for number in range(10)} | {"rare": 1, "rarer": 1})
    items = np.arange(12, dtype=np.int32)
    order = Diversifier(models, ListRules(floors=parse_floors("long_tail:2"))).rerank(
        items, np.linspace(1, 0, 12), 8, NOW
    )
    tail = is_in_long_tail(LongTail(models), items)
    assert tail.sum() < 8
    assert tail[order].sum() >= 2


facts = st.builds(
    ItemFacts,
    categories=st.lists(st.sampled_from("abcd"), max_size=4).map(tuple),
    brand=st.sampled_from(["", "x", "y", "z"]),
    seller=st.sampled_from(["", "s", "t"]),
    price=st.none() | st.floats(0, 1e6),
    first_seen=st.sampled_from([OLD, NOW, np.inf]),
)
floors = st.lists(
    st.sampled_from(
        [("new", ""), ("long_tail", ""), ("category", "a"), ("brand", "x"), ("brand", "y"), ("seller", "s")]
    ),
    unique=True,
    max_size=4,
).flatmap(
    lambda keys: st.tuples(*[st.builds(Floor, st.just(k), st.just(n), st.integers(1, 3)) for k, n in keys])
)
rules = st.builds(
    ListRules,
    diversity=st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    max_per_category=st.integers(0, 3),
    max_per_brand=st.integers(0, 3),
    max_per_seller=st.integers(0, 3),
    floors=floors,
)


def labels(item: ItemFacts) -> tuple[str, str, str]:
    return (item.categories[-1] if item.categories else ""), item.brand, item.seller


def members(floor: Floor, items: Sequence[ItemFacts]) -> set[int]:
    """Numbers of the items of a floor's group; there are no interactions, so all are of the long tail."""
    return {
        number
        for number, item in enumerate(items)
        if floor.kind == "long_tail"
        or (floor.kind == "new" and not item.first_seen <= NOW - NEW_ITEM_SECONDS)
        or (floor.kind == "category" and floor.name in item.categories)
        or (floor.kind == "brand" and floor.name == item.brand)
        or (floor.kind == "seller" and floor.name == item.seller)
    }


@settings(max_examples=150, deadline=None)
@given(items=st.lists(facts, max_size=40), rules=rules, length=st.integers(1, 25))
def test_lists_have_no_duplicates_keep_caps_and_are_maximal(
    items: list[ItemFacts], rules: ListRules, length: int
) -> None:
    order = diversified(items, rules, length)
    assert len(set(order)) == len(order) <= length
    counts = [Counter(labels(items[number])[rule] for number in order) for rule in range(3)]
    for cap, count in zip(rules.caps, counts, strict=True):
        assert not cap or all(times <= cap for label, times in count.items() if label)
    if len(order) < length:
        for number in set(range(len(items))) - set(order):
            assert any(
                cap and label and count[label] == cap
                for cap, label, count in zip(rules.caps, labels(items[number]), counts, strict=True)
            )


@settings(max_examples=150, deadline=None)
@given(items=st.lists(facts, max_size=40), rules=rules, length=st.integers(12, 25))
def test_without_caps_every_floor_is_met_if_candidates_suffice(
    items: list[ItemFacts], rules: ListRules, length: int
) -> None:
    uncapped = rules._replace(max_per_category=0, max_per_brand=0, max_per_seller=0)
    order = set(diversified(items, uncapped, length))
    for floor in rules.floors:
        group = members(floor, items)
        assert len(order & group) >= min(floor.min_items, len(group))


@settings(max_examples=50, deadline=None)
@given(items=st.lists(facts, max_size=40), rules=rules)
def test_lists_are_deterministic_and_prefix_stable_without_floors(
    items: list[ItemFacts], rules: ListRules
) -> None:
    assert diversified(items, rules) == diversified(items, rules)
    without = rules._replace(floors=())
    assert diversified(items, without, 20)[:10] == diversified(items, without, 10)


def test_the_memory_of_a_selection_has_a_place_for_each_facet() -> None:
    # Compiled code would write beyond its end.
    scratch = Diversifier(ModelSet(["popularity"]), ListRules(diversity=0.5))._scratch
    assert [len(array) for array in scratch] == [MAX_LABELS + PRICE_BANDS, MAX_LABELS]
