"""Interpretation of the evaluation of a target."""

from enum import StrEnum
from typing import Final

import msgspec

from stream_app.tools.evaluation.bootstrap import ConfidenceInterval

MIN_EFFECTIVE_ROUNDS: Final = 300
"""Effective rounds below which intervals are too short (docs/off_policy.md, little overlap)."""

MIN_REWARDED_ROUNDS: Final = 20
"""Effective rewarded rounds below which a difference is not reported: a conservative rule of thumb."""

SAME: Final = 0.999
"""Share of effective rounds above which two policies are practically the same."""

MISFIT: Final = 0.05
"""Tolerated distance of the mean weight from 1."""


class VerdictKind(StrEnum):
    """Kinds of verdicts."""

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
    """A verdict and its sentence."""

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
    """Choose the first verdict that applies; reasons against a conclusion come before conclusions.

    Parameters
    ----------
    rounds, effective_rounds
        Rounds of the log, and the effective sample size of the target's weights.
    rewarded
        Effective number of rewarded rounds.
    out_of_support
        Probability of the target for items that are not candidates.
    difference
        Doubly robust value less the value of the logging policy.

    Examples
    --------
    >>> verdict(rounds=1000, effective_rounds=900.0, rewarded=80.0,
    ...         weight=ConfidenceInterval(1.0, 0.9, 1.1), out_of_support=0.0,
    ...         difference=ConfidenceInterval(0.01, -0.01, 0.03)).sentence
    'no significant difference from the logging policy: difference +0.0100, between -0.0100 and +0.0300'
    """
    text = f"difference {difference.mean:+.4f}, between {difference.low:+.4f} and {difference.high:+.4f}"
    cases = {
        **_obstacles(rounds, effective_rounds, weight, out_of_support, text),
        **_conclusions(difference, rewarded, text),
    }
    return next(PolicyVerdict(finding, sentence) for finding, (applies, sentence) in cases.items() if applies)


_Cases = dict[VerdictKind, tuple[bool, str]]
"""Whether each verdict applies, and its sentence."""


def _obstacles(
    rounds: int, effective_rounds: float, weight: ConfidenceInterval, out_of_support: float, text: str
) -> _Cases:
    return {
        VerdictKind.NO_OVERLAP: (
            effective_rounds <= 0.0,
            "no overlap: the log never displays the choices of this policy, so it cannot be evaluated",
        ),
        VerdictKind.OUT_OF_SUPPORT: (
            out_of_support > MISFIT,
            (
                f"{out_of_support:.0%} of the choices of this policy are not candidates in the log: this part cannot "
                "be evaluated"
            ),
        ),
        VerdictKind.SAME: (
            effective_rounds > SAME * rounds and abs(weight.mean - 1.0) < 1.0 - SAME,
            "practically the same as the logging policy",
        ),
        VerdictKind.LITTLE_OVERLAP: (
            effective_rounds < MIN_EFFECTIVE_ROUNDS,
            (
                f"too little overlap: effective rounds {effective_rounds:,.0f} of {rounds:,}; intervals too "
                f"short ({text})"
            ),
        ),
        VerdictKind.MISFIT: (
            weight.low > 1.0 + MISFIT or weight.high < 1.0 - MISFIT,
            f"the propensities do not fit this target: the mean weight is {weight.mean:.2f}, not 1 ({text})",
        ),
    }


def _conclusions(difference: ConfidenceInterval, rewarded: float, text: str) -> _Cases:
    return {
        VerdictKind.UNDECIDED: (
            difference.low <= 0.0 <= difference.high,
            f"no significant difference from the logging policy: {text}",
        ),
        VerdictKind.FEW_REWARDS: (
            rewarded < MIN_REWARDED_ROUNDS,
            f"too few rewards: the estimate depends on {rewarded:.0f} rewarded rounds ({text})",
        ),
        VerdictKind.BETTER: (difference.mean > 0.0, f"better than the logging policy: {text}"),
        VerdictKind.WORSE: (True, f"worse than the logging policy: {text}"),
    }
