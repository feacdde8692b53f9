"""Lists by the rules of the shop: diversity, caps, floors."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.models.model_set import ModelSet
from stream_app.ranking.diversity import Diversifier, LongTail
from stream_app.ranking.list_rules import NEW_SECONDS, Floor, ListRules, parse_floors
from topics.records import Interaction, Kind, Line, Source

NOW = 1_700_000_000.0
OLD = NOW - 2 * NEW_SECONDS


class Facts(NamedTuple):
    """An item as the catalogue and the log have it."""

    categories: tuple[str, ...] = ()
    brand: str = ""
    seller: str = ""
    price: float | None = None
    first_seen: float = OLD


def shop(items: Sequence[Facts]) -> ModelSet:
    """Models that know items i0, i1, …, in that order."""
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
        models.index.saw(item, facts.first_seen)
    return models


def chosen(
    items: Sequence[Facts], rules: ListRules, length: int = 20, scores: Sequence[float] = ()
) -> list[int]:
    """The numbers of the items on the list; scores fall evenly unless given."""
    given_scores = np.array(scores) if scores else np.linspace(1.0, 0.0, len(items))
    order = Diversifier(shop(items), rules).arrange(
        np.arange(len(items), dtype=np.int32), given_scores, length, NOW
    )
    return [int(place) for place in order]


SHOES = [Facts(("shoes",), "acme")] * 3
HATS = [Facts(("hats",), "knit")] * 3


def test_without_rules_the_list_is_the_best_candidates_in_their_order() -> None:
    assert chosen(SHOES + HATS, ListRules(), 4) == [0, 1, 2, 3]


def test_no_candidates_make_an_empty_list() -> None:
    assert chosen([], ListRules(diversity=0.5, max_per_brand=1, floors=parse_floors("new:1"))) == []


def test_diversity_by_hand() -> None:
    # Relevance 1, .8, .6, .4, .2, 0; shoes are as like one another as can be, and not at all like hats.
    # .7 and .3: after shoe 0 the other shoes stand at .56 - .3 = .26 and .42 - .3 = .12, hat 3 at .28;
    # after hat 3 hat 4 stands at .14 - .3.
    assert chosen(SHOES + HATS, ListRules(diversity=0.3), 6) == [0, 3, 1, 2, 4, 5]


def test_full_diversity_takes_what_is_unlike_everything_before_and_then_the_most_relevant() -> None:
    assert chosen(SHOES + HATS, ListRules(diversity=1.0), 6) == [0, 3, 1, 2, 4, 5]


def test_a_little_diversity_moves_only_what_is_nearly_as_good() -> None:
    near = chosen(SHOES + HATS, ListRules(diversity=0.05), 6, (1.0, 0.9, 0.89, 0.88, 0.1, 0.0))
    assert near == [0, 3, 1, 2, 4, 5]
    far = chosen(SHOES + HATS, ListRules(diversity=0.05), 6, (1.0, 0.9, 0.89, 0.3, 0.1, 0.0))
    assert far == [0, 1, 2, 3, 4, 5]


def test_likeness_is_the_share_of_common_categories_brand_and_price_band() -> None:
    items = [
        Facts(("women", "shoes"), "acme", price=60.0),
        # three of five facets in common (women, shoes, the band from 31 to 63): like by 3/5
        Facts(("women", "shoes"), "other", price=40.0),
        # one of six (acme)
        Facts(("men", "hats"), "acme", price=10.0),
        # none of them known: unlike
        Facts(),
    ]
    # with equal scores the least like is next; ties keep the order
    assert chosen(items, ListRules(diversity=0.5), 4, (1.0, 1.0, 1.0, 1.0)) == [0, 3, 2, 1]


def test_the_seller_makes_no_item_like_another() -> None:
    items = [Facts(seller="s"), Facts(seller="s"), Facts(seller="t")]
    assert chosen(items, ListRules(diversity=1.0), 3) == [0, 1, 2]


def test_prices_a_doubling_apart_are_of_other_bands_and_unknown_ones_of_none() -> None:
    items = [Facts(price=10.0), Facts(price=12.0), Facts(price=25.0), Facts(price=1e38), Facts(price=0.0)]
    assert chosen(items, ListRules(diversity=1.0), 5) == [0, 2, 3, 4, 1]


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        (ListRules(max_per_category=1), [0, 3]),
        (ListRules(max_per_brand=2), [0, 1, 3, 4]),
        (ListRules(max_per_category=2, max_per_brand=1), [0, 3]),
        (ListRules(max_per_category=3), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_caps_by_hand(rules: ListRules, wanted: list[int]) -> None:
    assert chosen(SHOES + HATS, rules) == wanted


def test_the_cap_of_a_category_goes_by_the_narrowest() -> None:
    items = [
        Facts(("women", "shoes")),
        Facts(("women", "shoes")),
        Facts(("women", "hats")),
        Facts(("women",)),
    ]
    assert chosen(items, ListRules(max_per_category=1)) == [0, 2, 3]


def test_a_seller_can_be_capped() -> None:
    items = [Facts(seller="s"), Facts(seller="s"), Facts(seller="t")]
    assert chosen(items, ListRules(max_per_seller=1)) == [0, 2]


def test_places_that_a_cap_frees_are_filled_from_further_down() -> None:
    assert chosen([*SHOES, *HATS], ListRules(max_per_brand=2), 4) == [0, 1, 3, 4]


def test_what_has_no_label_is_not_capped() -> None:
    assert chosen([Facts()] * 5, ListRules(max_per_category=1, max_per_brand=1, max_per_seller=1)) == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_caps_of_one_list_say_nothing_of_the_next() -> None:
    models = shop(SHOES)
    diversifier = Diversifier(models, ListRules(max_per_brand=2, diversity=0.5))
    items, scores = np.arange(3, dtype=np.int32), np.array([3.0, 2.0, 1.0])
    first = diversifier.arrange(items, scores, 3, NOW).tolist()
    assert first == [0, 1]
    assert diversifier.arrange(items, scores, 3, NOW).tolist() == first


FRESH = Facts(first_seen=NOW - 60.0)


def test_new_items_get_their_places_spread_over_the_list() -> None:
    items = [Facts()] * 30 + [FRESH] * 5
    order = chosen(items, ListRules(floors=parse_floors("new:2")))
    assert len(order) == 20
    assert [place for place, item in enumerate(order, start=1) if item >= 30] == [5, 15]
    assert [item for item in order if item >= 30] == [30, 31]
    assert [item for item in order if item < 30] == list(range(18))


@pytest.mark.parametrize(
    ("first_seen", "new"),
    [(np.inf, True), (NOW, True), (NOW - NEW_SECONDS + 1, True), (NOW - NEW_SECONDS, False), (OLD, False)],
)
def test_an_item_is_new_before_its_first_interaction_and_for_a_day_after_it(
    first_seen: float, new: bool
) -> None:
    items = [Facts()] * 30 + [Facts(first_seen=first_seen)]
    assert (30 in chosen(items, ListRules(floors=parse_floors("new:1")))) == new


def test_what_stands_high_enough_by_itself_fills_the_floor() -> None:
    items = [FRESH, FRESH, *[Facts()] * 30]
    assert chosen(items, ListRules(floors=parse_floors("new:2"))) == list(range(20))


def test_a_floor_asks_for_no_more_than_there_is() -> None:
    items = [Facts()] * 25 + [FRESH]
    order = chosen(items, ListRules(floors=parse_floors("new:5,brand:nobody:3")))
    assert len(order) == 20
    assert 25 in order


@pytest.mark.parametrize(
    ("floor", "facts"),
    [
        ("brand:acme:1", Facts(brand="acme")),
        ("seller:acme:1", Facts(seller="acme")),
        ("category:shoes:1", Facts(("women", "shoes"))),
        ("category:women:1", Facts(("women", "shoes"))),
    ],
)
def test_a_label_can_have_a_floor(floor: str, facts: Facts) -> None:
    items = [Facts()] * 30 + [facts] * 2
    order = chosen(items, ListRules(floors=parse_floors(floor)))
    assert [item for item in order if item >= 30] == [30]


def test_a_floor_of_a_label_that_no_item_has_is_not_one_of_the_items_without() -> None:
    order = chosen([Facts(brand="b")] * 3 + [Facts()] * 3, ListRules(floors=parse_floors("brand:a:3")), 3)
    assert order == [0, 1, 2]


def test_a_cap_wins_over_a_floor() -> None:
    items = [Facts(brand="acme"), *[Facts(brand="acme", first_seen=NOW)] * 3, *[Facts()] * 3]
    assert chosen(items, ListRules(max_per_brand=1, floors=parse_floors("new:2")), 4) == [1, 4, 5, 6]


def clicks(models: ModelSet, counts: dict[str, int]) -> None:
    offset = models.version
    for name, count in counts.items():
        for _ in range(count):
            models.learn(Interaction(Source.CLICK, 0, offset, NOW, "u", Kind.VIEW, (Line(name),)))
            offset += 1


def test_the_long_tail_is_what_the_items_of_four_fifths_of_all_interactions_leave() -> None:
    models = ModelSet(["popularity"], max_items=100, max_users=10)
    clicks(models, {"a": 50, "b": 30, "c": 10, "d": 10})
    tail = LongTail(models)
    found = {name: bool(tail.holds(np.array([models.index.find(name)], np.int32))[0]) for name in "abcd"}
    assert found == {"a": False, "b": False, "c": True, "d": True}
    # what comes later is of the tail until it is looked at again
    late = models.index.index("e", NOW)
    assert tail.holds(np.array([late], np.int32)).tolist() == [True]


def test_the_long_tail_follows_what_shoppers_do() -> None:
    models = ModelSet(["popularity"], max_items=100, max_users=10)
    clicks(models, {"a": 50, "b": 1})
    tail = LongTail(models)
    b = np.array([models.index.find("b")], np.int32)
    assert tail.holds(b).tolist() == [True]
    clicks(models, {"b": 2000})
    assert tail.holds(b).tolist() == [False]


def test_the_long_tail_can_have_a_floor() -> None:
    models = ModelSet(["popularity"], max_items=100, max_users=10)
    clicks(models, {f"i{number}": 100 - number for number in range(10)} | {"rare": 1, "rarer": 1})
    items = np.arange(12, dtype=np.int32)
    order = Diversifier(models, ListRules(floors=parse_floors("long_tail:2"))).arrange(
        items, np.linspace(1, 0, 12), 8, NOW
    )
    tail = LongTail(models).holds(items)
    assert tail.sum() < 8
    assert tail[order].sum() >= 2


facts = st.builds(
    Facts,
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


def labels(item: Facts) -> tuple[str, str, str]:
    return (item.categories[-1] if item.categories else ""), item.brand, item.seller


def members(floor: Floor, items: Sequence[Facts]) -> set[int]:
    """Numbers of the items of a floor's group; nobody has interacted, so all are of the long tail."""
    return {
        number
        for number, item in enumerate(items)
        if floor.kind == "long_tail"
        or (floor.kind == "new" and not item.first_seen <= NOW - NEW_SECONDS)
        or (floor.kind == "category" and floor.name in item.categories)
        or (floor.kind == "brand" and floor.name == item.brand)
        or (floor.kind == "seller" and floor.name == item.seller)
    }


@settings(max_examples=150, deadline=None)
@given(items=st.lists(facts, max_size=40), rules=rules, length=st.integers(1, 25))
def test_no_item_comes_twice_caps_are_kept_and_nothing_that_could_be_added_is_left_out(
    items: list[Facts], rules: ListRules, length: int
) -> None:
    order = chosen(items, rules, length)
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
def test_without_caps_every_floor_is_kept_as_far_as_there_are_candidates(
    items: list[Facts], rules: ListRules, length: int
) -> None:
    uncapped = rules._replace(max_per_category=0, max_per_brand=0, max_per_seller=0)
    order = set(chosen(items, uncapped, length))
    for floor in rules.floors:
        group = members(floor, items)
        assert len(order & group) >= min(floor.places, len(group))


@settings(max_examples=50, deadline=None)
@given(items=st.lists(facts, max_size=40), rules=rules)
def test_the_same_candidates_give_the_same_list_and_a_longer_one_begins_alike_without_floors(
    items: list[Facts], rules: ListRules
) -> None:
    assert chosen(items, rules) == chosen(items, rules)
    without = rules._replace(floors=())
    assert chosen(items, without, 20)[:10] == chosen(items, without, 10)
