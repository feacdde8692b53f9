"""What the figures of a target come to: a finding, and the sentence that says it."""

from enum import StrEnum
from typing import Final

import msgspec

from stream_app.tools.evaluation.statistics import Interval

FEWEST_EFFECTIVE: Final = 300
"""Effective rounds below which intervals are known to be too short (docs/off_policy.md, little overlap)."""

FEWEST_REWARDED: Final = 20
"""Effective rewarded rounds below which a difference is not believed: a rule of thumb, on the careful side."""

SAME: Final = 0.999
"""Share of the rounds that are effective from which on two policies are all but the same."""

MISFIT: Final = 0.05
"""How far weights may average from 1 whatever their interval says."""


class Finding(StrEnum):
    """What it is that the log says."""

    NOTHING_SHARED = "nothing_shared"
    OUTSIDE = "outside"
    SAME = "same"
    LITTLE_OVERLAP = "little_overlap"
    MISFIT = "misfit"
    UNDECIDED = "undecided"
    FEW_REWARDS = "few_rewards"
    BETTER = "better"
    WORSE = "worse"


class Verdict(msgspec.Struct, frozen=True):
    """A finding and its sentence."""

    finding: Finding
    sentence: str


def verdict(
    *,
    rounds: int,
    effective: float,
    rewarded: float,
    weight: Interval,
    outside: float,
    difference: Interval,
) -> Verdict:
    """Say it: the first that holds, what forbids a conclusion before the conclusion.

    Parameters
    ----------
    rounds, effective
        Rounds of the log, and the effective sample size of the target's weights.
    rewarded
        Effective number of rewarded rounds.
    weight
        The mean weight.
    outside
        The target's probability of what is no candidate.
    difference
        The doubly robust value less the logging policy's own.

    Examples
    --------
    >>> verdict(rounds=1000, effective=900.0, rewarded=80.0, weight=Interval(1.0, 0.9, 1.1), outside=0.0,
    ...         difference=Interval(0.01, -0.01, 0.03)).sentence
    'the log cannot tell this policy from the one that wrote it: difference +0.0100, between -0.0100 and +0.0300'
    """
    spread = f"difference {difference.mean:+.4f}, between {difference.low:+.4f} and {difference.high:+.4f}"
    said = {
        Finding.NOTHING_SHARED: (
            effective <= 0.0,
            "the log never shows what this policy would: nothing can be said of it",
        ),
        Finding.OUTSIDE: (
            outside > MISFIT,
            f"{outside:.0%} of what this policy shows is no candidate in the log: nothing can be said of that part",
        ),
        Finding.SAME: (
            effective > SAME * rounds and abs(weight.mean - 1.0) < 1.0 - SAME,
            "this is all but the policy that wrote the log",
        ),
        Finding.LITTLE_OVERLAP: (
            effective < FEWEST_EFFECTIVE,
            f"too little overlap: effective rounds {effective:,.0f} of {rounds:,}; intervals too short ({spread})",
        ),
        Finding.MISFIT: (
            weight.low > 1.0 + MISFIT or weight.high < 1.0 - MISFIT,
            f"the propensities do not fit the question: weights average {weight.mean:.2f}, not 1 ({spread})",
        ),
        Finding.UNDECIDED: (
            difference.low <= 0.0 <= difference.high,
            f"the log cannot tell this policy from the one that wrote it: {spread}",
        ),
        Finding.FEW_REWARDS: (
            rewarded < FEWEST_REWARDED,
            f"too few rewards: the estimate rests on {rewarded:.0f} rewarded rounds ({spread})",
        ),
        Finding.BETTER: (difference.mean > 0.0, f"better than the policy that wrote the log: {spread}"),
        Finding.WORSE: (True, f"worse than the policy that wrote the log: {spread}"),
    }
    return next(Verdict(finding, sentence) for finding, (holds, sentence) in said.items() if holds)
