"""Regret curves of generated users: the click probability lost against the best lists."""

from typing import Final

import msgspec
import numpy as np

from stream_app.tools.simulator.tally import FALLBACK, SimulationTally

CURVE_BINS: Final = 60
"""Points of a regret curve."""

_DAY: Final = 86_400.0


class RegretCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Regret of a policy over the shop's time.

    Attributes
    ----------
    policy
        Its name.
    lists
        Looked at in each piece of time.
    per_list
        The chance of a click on the best list less that on the list shown, on average there; None without lists.
    cumulative
        Its sum since the beginning, at the end of each piece.
    """

    policy: str
    lists: list[int]
    per_list: list[float | None]
    cumulative: list[float]


class Regret(msgspec.Struct, frozen=True, kw_only=True):
    """Regret curves: `days` are the ends of the pieces of time, `shifts` when tastes changed."""

    days: list[float]
    shifts: list[float]
    curves: list[RegretCurve]


def compute_regret(
    tally: SimulationTally, begin: float, end: float, shifts: list[float], bins: int = CURVE_BINS
) -> Regret:
    """Regret curves of the shoppers' own lists.

    Parameters
    ----------
    tally
        Of generated shoppers.
    begin, end
        The shop's time, seconds.
    shifts
        When tastes changed, seconds.
    bins
        Pieces of time.
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
