"""Verdicts: reasons against a conclusion come before conclusions."""

from typing import Any

import pytest

from stream_app.tools.evaluation.bootstrap import ConfidenceInterval
from stream_app.tools.evaluation.policies.verdicts import VerdictKind, verdict

DECISIVE: dict[str, Any] = {
    "rounds": 10_000,
    "effective_rounds": 4_000.0,
    "rewarded": 50.0,
    "weight": ConfidenceInterval(1.0, 0.98, 1.02),
    "out_of_support": 0.0,
    "difference": ConfidenceInterval(0.004, 0.001, 0.007),
}


@pytest.mark.parametrize(
    ("changes", "finding", "text"),
    [
        ({}, VerdictKind.BETTER, "better than the logging policy: difference +0.0040"),
        ({"difference": ConfidenceInterval(-0.004, -0.007, -0.001)}, VerdictKind.WORSE, "worse than"),
        (
            {"difference": ConfidenceInterval(0.001, -0.001, 0.003)},
            VerdictKind.UNDECIDED,
            "no significant difference from the logging policy",
        ),
        ({"rewarded": 14.0}, VerdictKind.FEW_REWARDS, "too few rewards: the estimate depends on 14"),
        (
            {"difference": ConfidenceInterval(0.001, -0.001, 0.003), "rewarded": 14.0},
            VerdictKind.UNDECIDED,
            "no significant difference",
        ),
        ({"weight": ConfidenceInterval(1.6, 1.5, 1.7)}, VerdictKind.MISFIT, "the mean weight is 1.60, not 1"),
        ({"weight": ConfidenceInterval(0.5, 0.4, 0.6)}, VerdictKind.MISFIT, "propensities do not fit"),
        (
            {"effective_rounds": 43.0, "rewarded": 3.0},
            VerdictKind.LITTLE_OVERLAP,
            "effective rounds 43 of 10,000",
        ),
        ({"effective_rounds": 10_000.0}, VerdictKind.SAME, "practically the same as the logging policy"),
        (
            {"out_of_support": 0.4, "effective_rounds": 43.0},
            VerdictKind.OUT_OF_SUPPORT,
            "40% of the choices of this policy are not candidates",
        ),
        ({"effective_rounds": 0.0}, VerdictKind.NO_OVERLAP, "never displays the choices of this policy"),
    ],
)
def test_verdict_and_sentence(changes: dict[str, Any], finding: VerdictKind, text: str) -> None:
    result = verdict(**{**DECISIVE, **changes})
    assert result.finding is finding
    assert text in result.sentence
