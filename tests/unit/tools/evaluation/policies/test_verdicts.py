"""Verdicts: what forbids a conclusion comes before any conclusion."""

from typing import Any

import pytest

from stream_app.tools.evaluation.policies.verdicts import Finding, verdict
from stream_app.tools.evaluation.statistics import Interval

SOUND: dict[str, Any] = {
    "rounds": 10_000,
    "effective": 4_000.0,
    "rewarded": 50.0,
    "weight": Interval(1.0, 0.98, 1.02),
    "outside": 0.0,
    "difference": Interval(0.004, 0.001, 0.007),
}


@pytest.mark.parametrize(
    ("changed", "finding", "words"),
    [
        ({}, Finding.BETTER, "better than the policy that wrote the log: difference +0.0040"),
        ({"difference": Interval(-0.004, -0.007, -0.001)}, Finding.WORSE, "worse than"),
        ({"difference": Interval(0.001, -0.001, 0.003)}, Finding.UNDECIDED, "the log cannot tell"),
        ({"rewarded": 14.0}, Finding.FEW_REWARDS, "too few rewards: the estimate rests on 14"),
        ({"difference": Interval(0.001, -0.001, 0.003), "rewarded": 14.0}, Finding.UNDECIDED, "cannot tell"),
        ({"weight": Interval(1.6, 1.5, 1.7)}, Finding.MISFIT, "weights average 1.60, not 1"),
        ({"weight": Interval(0.5, 0.4, 0.6)}, Finding.MISFIT, "propensities do not fit"),
        ({"effective": 43.0, "rewarded": 3.0}, Finding.LITTLE_OVERLAP, "effective rounds 43 of 10,000"),
        ({"effective": 10_000.0}, Finding.SAME, "all but the policy that wrote the log"),
        ({"outside": 0.4, "effective": 43.0}, Finding.OUTSIDE, "40% of what this policy shows"),
        ({"effective": 0.0}, Finding.NOTHING_SHARED, "never shows"),
    ],
)
def test_what_is_found_is_said(changed: dict[str, Any], finding: Finding, words: str) -> None:
    found = verdict(**{**SOUND, **changed})
    assert found.finding is finding
    assert words in found.sentence
