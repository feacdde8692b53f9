"""Times for readers."""

import pytest

from topics.events import format_time


@pytest.mark.parametrize("seconds", [float("nan"), 1e300, -1e300])
def test_invalid_time_is_printed_unchanged(seconds: float) -> None:
    assert format_time(seconds) == str(seconds)
