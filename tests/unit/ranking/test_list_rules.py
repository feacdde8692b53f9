"""Floors as written in settings, and the number of candidates that rules need."""

import re

import pytest

from stream_app.ranking.list_rules import (
    HEAD_SHARE,
    MAX_FLOORS,
    NEW_ITEM_SECONDS,
    Floor,
    ListRules,
    parse_floors,
)
from tests.support import ROOT


def test_every_kind_of_group_can_have_a_floor() -> None:
    assert parse_floors("new:2,long_tail:1,brand:acme:1,seller:x:3,category:y:1") == (
        Floor("new", "", 2),
        Floor("long_tail", "", 1),
        Floor("brand", "acme", 1),
        Floor("seller", "x", 3),
        Floor("category", "y", 1),
    )


def test_blanks_and_empty_parts_are_ignored() -> None:
    assert parse_floors("") == ()
    assert parse_floors(" , ") == ()
    assert parse_floors(" new : 2 ,, brand: acme : 1 ") == (Floor("new", "", 2), Floor("brand", "acme", 1))


def test_a_name_may_contain_colons() -> None:
    assert parse_floors("category:men:shoes:2") == (Floor("category", "men:shoes", 2),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("new", "has no number of items"),
        ("fresh:2", "no group 'fresh'"),
        ("new:none", "'none' instead of a number of items"),
        ("new:0", "'0' instead of a number of items"),
        ("new:-1", "'-1' instead of a number of items"),
        ("new:", "'' instead of a number of items"),
        ("new:x:1", "new:ITEMS"),
        ("brand:1", "brand:NAME:ITEMS"),
        ("brand::1", "brand:NAME:ITEMS"),
        ("new:1,new:2", "is given twice"),
        ("brand:a:1,brand: a:2", "is given twice"),
        (",".join(f"brand:b{n}:1" for n in range(MAX_FLOORS + 1)), f"at most {MAX_FLOORS}"),
    ],
)
def test_invalid_floors_raise_a_clear_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_floors(text)


def test_without_rules_the_pool_is_the_list_length() -> None:
    assert ListRules().disabled
    assert ListRules().pool_size(20) == 20


@pytest.mark.parametrize(
    "rules",
    [
        ListRules(diversity=0.1),
        ListRules(max_per_category=1),
        ListRules(max_per_brand=1),
        ListRules(max_per_seller=1),
        ListRules(floors=parse_floors("new:1")),
    ],
)
def test_any_rule_enlarges_the_candidate_pool(rules: ListRules) -> None:
    assert not rules.disabled
    assert rules.pool_size(20) >= 60
    assert rules.pool_size(1000) >= 1000


@pytest.mark.parametrize(
    ("rules", "length", "size"),
    [
        (ListRules(diversity=0.1), 20, 60),
        (ListRules(max_per_brand=1), 133, 399),
        (ListRules(max_per_brand=1), 134, 400),
        (ListRules(floors=parse_floors("new:1")), 20, 200),
        (ListRules(diversity=0.1, floors=parse_floors("new:1")), 40, 400),
        (ListRules(floors=parse_floors("new:1")), 41, 400),
        (ListRules(floors=parse_floors("new:1")), 400, 400),
        (ListRules(floors=parse_floors("new:1")), 401, 401),
        (ListRules(), 1_000, 1_000),
    ],
)
def test_the_pool_is_three_lists_and_ten_with_a_floor_but_at_most_400_candidates(
    rules: ListRules, length: int, size: int
) -> None:
    assert rules.pool_size(length) == size


def test_as_many_floors_as_allowed_can_be_set() -> None:
    assert len(parse_floors(",".join(f"brand:b{n}:1" for n in range(MAX_FLOORS)))) == MAX_FLOORS
    assert MAX_FLOORS == 32


@pytest.mark.parametrize("count", ["²", "\uff11", "1.5", "+1", " "])
def test_a_number_of_items_has_ascii_digits_alone(count: str) -> None:
    with pytest.raises(ValueError, match="instead of a number of items above 0"):
        parse_floors(f"new:{count}")


def test_new_items_and_the_head_are_those_of_the_operating_page() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    [hours] = re.findall(r"less than (\d+) hours ago or not yet", page)
    [share] = re.findall(r"most popular ones that make (\d+) %", page)
    assert 3_600.0 * float(hours) == NEW_ITEM_SECONDS
    assert float(share) / 100.0 == HEAD_SHARE
