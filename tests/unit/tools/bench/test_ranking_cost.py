"""The cost of the default policy is printed as a ratio."""

import re

import pytest

from stream_app.tools.bench.ranking_cost import main


def test_the_ratio_of_lists_with_and_without_the_policy_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(events=1_500, users=200)
    printed = capsys.readouterr().out
    found = re.search(r"(\d+) µs with the policy, (\d+) µs without; ratio ([\d.]+)", printed)
    assert found is not None
    assert int(found[1]) > int(found[2]) > 0
    assert float(found[3]) > 1.0
