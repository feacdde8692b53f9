"""Bounds of event time, and of the details of a rejection."""

import pytest

from tests.support.example_events import NOW, rejection_reason, with_field
from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.events import Click


def test_an_items_description_may_have_any_age_but_not_lie_in_the_future() -> None:
    assert Limits(max_future=5.0, max_age=10.0).without_max_age == Limits(max_future=5.0, max_age=0.0)
    assert Limits() == Limits(max_future=300.0, max_age=30 * 86_400.0)


@pytest.mark.parametrize("length", [399, 400, 401, 100_000])
def test_a_detail_has_400_characters_at_most_with_its_beginning_and_its_end(length: int) -> None:
    detail = "begin " + "x" * (length - 16) + " - at `$.x"
    error = RejectedError(RejectReason.WRONG_TYPE, detail)
    assert len(error.detail) == min(length, 400)
    assert (error.detail == detail) == (length <= 400)
    assert error.detail.startswith("begin x")
    assert error.detail.endswith("x - at `$.x")
    assert (" … " in error.detail) == (length > 400)
    assert str(error) == f"wrong_type: {error.detail}"


@pytest.mark.parametrize(
    ("offset", "detail"),
    [
        (310, "ts is 310 s after the record was received; at most 300 s are allowed - at `$.ts`"),
        (-4_000, "ts is 4000 s before the record was received; at most 3600 s are allowed - at `$.ts`"),
    ],
)
def test_a_rejected_time_is_told_by_its_distance(offset: int, detail: str) -> None:
    with pytest.raises(RejectedError) as rejected:
        decode(
            with_field(Click, ts=int((NOW + offset) * 1000)),
            Click,
            received=NOW,
            limits=Limits(max_future=300.0, max_age=3_600.0),
        )
    assert rejected.value.detail == detail


@pytest.mark.parametrize(("offset", "is_valid"), [(300, True), (301, False), (-3_600, True), (-3_601, False)])
def test_a_time_at_a_bound_is_valid(offset: int, is_valid: bool) -> None:
    raw, limits = with_field(Click, ts=int((NOW + offset) * 1000)), Limits(max_future=300.0, max_age=3_600.0)
    assert (rejection_reason(raw, limits=limits) is None) == is_valid
