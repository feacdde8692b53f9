"""Values at the bounds of the contract, and one step beyond them."""

import pytest

from tests.support.example_events import NOW, rejection_reason, with_field
from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.events import CatalogItem, Click, Purchase, Search

ANY_TIME = Limits(max_age=0.0)
FIRST_MS = -62_135_596_800_000
"""The begin of the year 1."""

END_MS = 253_402_300_800_000
"""The begin of the year 10000."""


@pytest.mark.parametrize(("character", "longest"), [("x", 256), ("é", 128), ("漢", 85), ("\U0001f6b0", 64)])
def test_an_id_has_256_bytes_at_most(character: str, longest: int) -> None:
    for name in ("event_id", "item_id", "channel"):
        assert rejection_reason(with_field(Click, **{name: character * longest})) is None
        raw = with_field(Click, **{name: character * (longest + 1)})
        assert rejection_reason(raw) is RejectReason.ID_TOO_LONG
    raw = with_field(Search, results=["a", character * (longest + 1)])
    assert rejection_reason(raw, Search) is RejectReason.ID_TOO_LONG


@pytest.mark.parametrize("line", [0, 1])
def test_an_id_that_is_too_long_is_told_by_its_path(line: int) -> None:
    items = [{"item_id": "a"}, {"item_id": "b"}]
    items[line] = {"item_id": "漢" * 86}
    with pytest.raises(RejectedError, match=rf"over 256 bytes of UTF-8 - at `\$\.items\[{line}\]\.item_id`"):
        decode(with_field(Purchase, items=items), Purchase, received=NOW, limits=Limits())
    with pytest.raises(RejectedError, match=r"at `\$\.user_id`"):
        decode(with_field(Click, user_id="漢" * 86), Click, received=NOW, limits=Limits())


@pytest.mark.parametrize(
    ("ts", "is_valid"),
    [
        (FIRST_MS, True),
        (FIRST_MS - 1, False),
        (FIRST_MS - 999, False),
        ("0001-01-01T00:00:00Z", True),
        ("0001-01-01T00:00:01Z", True),
    ],
)
def test_time_begins_with_the_year_1(ts: int | str, is_valid: bool) -> None:
    assert (rejection_reason(with_field(Click, ts=ts), limits=ANY_TIME) is None) == is_valid


@pytest.mark.parametrize(
    ("created", "is_valid"),
    [
        (FIRST_MS, True),
        (FIRST_MS - 1, False),
        (END_MS - 1, True),
        (END_MS, False),
        (0, True),
        ("2026-01-01T00:00:00Z", True),
    ],
)
def test_an_item_was_created_in_the_years_1_to_9999(created: int | str, is_valid: bool) -> None:
    reason = rejection_reason(with_field(CatalogItem, created=created), CatalogItem)
    assert reason is (None if is_valid else RejectReason.INVALID_VALUE)


@pytest.mark.parametrize(("price", "is_valid"), [(0, True), (0.5, True), (-0.001, False), (-1, False)])
def test_a_price_is_0_or_more(price: float, is_valid: bool) -> None:
    expected = None if is_valid else RejectReason.NEGATIVE_PRICE
    assert rejection_reason(with_field(CatalogItem, price=price), CatalogItem) is expected
    assert rejection_reason(with_field(Search, results=["a"], prices=[price]), Search) is expected
    assert rejection_reason(with_field(Purchase, shown=["a"], shown_prices=[price]), Purchase) is expected
    line = {"item_id": "a", "price": price}
    assert rejection_reason(with_field(Purchase, items=[line]), Purchase) is expected


@pytest.mark.parametrize(("quantity", "is_valid"), [(0.25, True), (1, True), (0, False), (-0.5, False)])
def test_a_quantity_is_above_0(quantity: float, is_valid: bool) -> None:
    line = {"item_id": "a", "quantity": quantity}
    reason = rejection_reason(with_field(Purchase, items=[line]), Purchase)
    assert reason is (None if is_valid else RejectReason.INVALID_QUANTITY)
