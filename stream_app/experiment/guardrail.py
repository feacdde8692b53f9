"""Which policies are surely worse than the control, and have to rest."""

from collections.abc import Collection
from typing import NamedTuple

from stream_app.experiment.comparison import Comparison, Figure
from stream_app.experiment.confidence_sequence import LEVEL, Interval


class Finding(NamedTuple):
    """A policy that is surely worse than the control.

    Attributes
    ----------
    policy
        Which.
    figure
        By what.
    mine, control
        What it comes to per list, with intervals.
    """

    policy: str
    figure: Figure
    mine: Interval
    control: Interval


def findings(
    comparison: Comparison,
    control: str,
    margin: float,
    figure: Figure = Figure.VALUE,
    resting: Collection[str] = (),
) -> list[Finding]:
    """The policies whose figure is surely more than a margin below the control's.

    The intervals hold at any time one looks, so this may be asked as often as one likes; of all that are as good as
    the control less the margin, about 1 - `confidence.LEVEL` a policy at most are ever found. A policy's deviation is
    taken to be the control's at the least: of one with few shoppers no reaction may have come yet.

    Where lists are known to be seen from reactions alone, nobody knows how many were seen without: nothing is found.

    Parameters
    ----------
    comparison
        What the policies have come to.
    control
        The policy that the others are held against.
    margin
        Share of the control's figure that another may lack, from 0.
    figure
        What is compared.
    resting
        Policies that rest already.
    """
    held = comparison.policies
    if control not in held or not held[control].shown:
        return []
    level = 1.0 - (1.0 - LEVEL) / 2.0
    standard, spread = held[control].interval(figure, level), held[control].deviation(figure)
    found = []
    for name, figures in held.items():
        if name == control or name in resting or not figures.shown:
            continue
        mine = figures.interval(figure, level, spread)
        if mine.high < standard.low - margin * abs(standard.low):
            found.append(Finding(name, figure, mine, standard))
    return found
