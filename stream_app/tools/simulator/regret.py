"""Regret curves of generated users: click probability lost against the best lists."""

from typing import Final

import msgspec
import numpy as np

from stream_app.tools.simulator.tally import FALLBACK, SimulationTally

CURVE_BINS: Final = 60
"""Default number of time bins of a regret curve."""

_DAY: Final = 86_400.0


class RegretCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Regret of a policy over simulated time.

    Attributes
    ----------
    lists
        Examined lists per time bin.
    per_list
        Mean regret per list in each bin: click probability of the best list minus that of the displayed list; None
        for a bin without lists.
    cumulative
        Sum of the regret from the start to the end of each bin.
    """

    policy: str
    lists: list[int]
    per_list: list[float | None]
    cumulative: list[float]


class Regret(msgspec.Struct, frozen=True, kw_only=True):
    """Regret curves, one per policy.

    Attributes
    ----------
    days
        Ends of the time bins, in days since the start.
    shifts
        Times at which tastes changed, in days since the start.
    """

    days: list[float]
    shifts: list[float]
    curves: list[RegretCurve]


def compute_regret(
    tally: SimulationTally, begin: float, end: float, shifts: list[float], bins: int = CURVE_BINS
) -> Regret:
    """Compute the regret of personal lists; fallback lists are excluded.

    Parameters
    ----------
    tally
        Results of generated users.
    begin, end
        Simulated time span in seconds.
    shifts
        Times at which tastes changed, in seconds.
    """
    displayed = tally.displayed()
    edges = np.linspace(begin, end, bins + 1)
    bin_index = np.clip(np.searchsorted(edges, displayed.time, side="right") - 1, 0, bins - 1)
    curves = []
    for policy, number in tally.policies.items():
        if FALLBACK in policy:
            continue
        of_policy = displayed.policy == number
        lists = np.bincount(bin_index[of_policy], minlength=bins)
        regret = np.bincount(
            bin_index[of_policy], weights=(displayed.best - displayed.expected)[of_policy], minlength=bins
        )
        curves.append(
            RegretCurve(
                policy=policy,
                lists=lists.tolist(),
                per_list=[
                    round(r / n, 6) if n else None
                    for r, n in zip(regret.tolist(), lists.tolist(), strict=True)
                ],
                cumulative=np.cumsum(regret).round(3).tolist(),
            )
        )
    return Regret(
        days=((edges[1:] - begin) / _DAY).round(4).tolist(),
        shifts=[round((shift - begin) / _DAY, 4) for shift in shifts],
        curves=curves,
    )
