"""What the figures of a target come to: a finding, and the sentence that says it."""

from enum import StrEnum
from typing import Final

import msgspec

from stream_app.tools.evaluation.bootstrap import ConfidenceInterval

MIN_EFFECTIVE_ROUNDS: Final = 300
"""Effective rounds below which intervals are known to be too short (docs/off_policy.md, little overlap)."""

MIN_REWARDED_ROUNDS: Final = 20
"""Effective rewarded rounds below which a difference is not believed: a rule of thumb, on the careful side."""

SAME: Final = 0.999
"""Share of the rounds that are effective from which on two policies are all but the same."""

MISFIT: Final = 0.05
"""How far weights may average from 1 whatever their interval says."""


class VerdictKind(StrEnum):
    """What it is that the log says."""

    NO_OVERLAP = "no_overlap"
    OUT_OF_SUPPORT = "out_of_support"
    SAME = "same"
    LITTLE_OVERLAP = "little_overlap"
    MISFIT = "misfit"
    UNDECIDED = "undecided"
    FEW_REWARDS = "few_rewards"
    BETTER = "better"
    WORSE = "worse"


class PolicyVerdict(msgspec.Struct, frozen=True):
    """A finding and its sentence."""

    finding: VerdictKind
    sentence: str


def verdict(
    *,
    rounds: int,
    effective_rounds: float,
    rewarded: float,
    weight: ConfidenceInterval,
    out_of_support: float,
    difference: ConfidenceInterval,
) -> PolicyVerdict:
    """Say it: the first that holds, what forbids a conclusion before the conclusion.

    Parameters
    ----------
    rounds, effective_rounds
        Rounds of the log, and the effective sample size of the target's weights.
    rewarded
        Effective number of rewarded rounds.
    weight
        The mean weight.
    out_of_support
        The target's probability of what is no candidate.
    difference
        The doubly robust value less the logging policy's own.

    Examples
    --------
    >>> verdict(rounds=1000, effective_rounds=900.0, rewarded=80.0,
    ...         weight=ConfidenceInterval(1.0, 0.9, 1.1), out_of_support=0.0,
    ...         difference=ConfidenceInterval(0.01, -0.01, 0.03)).sentence
    'the log cannot tell this policy from the one that wrote it: difference +0.0100, between -0.0100 and +0.0300'
    """
    difference_text = (
        f"difference {difference.mean:+.4f}, between {difference.low:+.4f} and {difference.high:+.4f}"
    )
    cases = {
        VerdictKind.NO_OVERLAP: (
            effective_rounds <= 0.0,
            "the log never shows what this policy would: nothing can be said of it",
        ),
        VerdictKind.OUT_OF_SUPPORT: (
            out_of_support > MISFIT,
            (
                f"{out_of_support:.0%} of what this policy shows is no candidate in the log: nothing can be said "
                "of that part"
            ),
        ),
        VerdictKind.SAME: (
            effective_rounds > SAME * rounds and abs(weight.mean - 1.0) < 1.0 - SAME,
            "this is all but the policy that wrote the log",
        ),
        VerdictKind.LITTLE_OVERLAP: (
            effective_rounds < MIN_EFFECTIVE_ROUNDS,
            (
                f"too little overlap: effective rounds {effective_rounds:,.0f} of {rounds:,}; intervals too "
                f"short ({difference_text})"
            ),
        ),
        VerdictKind.MISFIT: (
            weight.low > 1.0 + MISFIT or weight.high < 1.0 - MISFIT,
            f"the propensities do not fit the question: weights average {weight.mean:.2f}, not 1 ({difference_text})",
        ),
        VerdictKind.UNDECIDED: (
            difference.low <= 0.0 <= difference.high,
            f"the log cannot tell this policy from the one that wrote it: {difference_text}",
        ),
        VerdictKind.FEW_REWARDS: (
            rewarded < MIN_REWARDED_ROUNDS,
            f"too few rewards: the estimate rests on {rewarded:.0f} rewarded rounds ({difference_text})",
        ),
        VerdictKind.BETTER: (
            difference.mean > 0.0,
            f"better than the policy that wrote the log: {difference_text}",
        ),
        VerdictKind.WORSE: (True, f"worse than the policy that wrote the log: {difference_text}"),
    }
    return next(PolicyVerdict(finding, sentence) for finding, (applies, sentence) in cases.items() if applies)
