"""Bounds of event time, and of the details of a rejection."""

import pytest

from topics.codec import Limits, RejectedError, RejectReason


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
