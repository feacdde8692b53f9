"""Order lines that cannot be what they say: prices and quantities far from all others."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from river.stats import Mean, Var

from stream_app.models.model_state import State, stamped, verify
from topics.records import Line

LEAST_SEEN: Final = 30
"""Lines that must have been seen before one is judged."""

LEAST_SD: Final = 0.5
"""Least standard deviation of a logarithm: where nearly all orders are of one piece, two are none the less usual."""

_PRICE: Final = "price"
_QUANTITY: Final = "quantity"


class OutlierFilter:
    """Judges order lines by the z-scores of their log price and log quantity, and learns from each.

    Mean and variance are River's streaming ones (`river.stats.Var`, Welford's method), over the lines of all
    purchases. A line that is flagged is learned as if it stood at the threshold: one does not
    move the scale by much, and where prices have really changed the scale follows. A price of 0 or NaN is
    unknown and not judged.

    Parameters
    ----------
    threshold
        |z| above which a line is flagged; 0 flags none.

    Attributes
    ----------
    flagged
        Lines flagged so far.

    References
    ----------
    Welford: Note on a method for calculating corrected sums of squares and products, Technometrics 1962.

    Examples
    --------
    >>> outliers = OutlierFilter(threshold=6.0)
    >>> usual = [Line("sock", 1.0 + number % 2, 10.0) for number in range(40)]
    >>> len(outliers.sift(usual))
    40
    >>> outliers.sift([Line("sock", 1.0, 12.0), Line("sock", 5000.0, 10.0), Line("sock", 1.0, 1e6)])
    (Line(item_id='sock', quantity=1.0, price=12.0),)
    >>> outliers.flagged
    2
    """

    def __init__(self, *, threshold: float = 6.0) -> None:
        self.threshold = threshold
        self._clear()

    def _clear(self) -> None:
        self._logarithms = {_PRICE: Var(ddof=0), _QUANTITY: Var(ddof=0)}
        self.flagged = 0

    def sift(self, lines: Iterable[Line]) -> tuple[Line, ...]:
        """The lines that are not flagged; each is judged by those before it, then learned."""
        return tuple([line for line in lines if not self._take(line)])

    def mean(self, what: str) -> float:
        """Mean of the logarithm of ``price`` or ``quantity``; 0 before the first."""
        return float(self._logarithms[what].mean.get())

    def deviation(self, what: str) -> float:
        """Standard deviation of the logarithm of ``price`` or ``quantity``, at least `LEAST_SD`."""
        return max(LEAST_SD, math.sqrt(max(0.0, self._logarithms[what].get())))

    def z_score(self, what: str, value: float) -> float:
        """How many standard deviations the logarithm of a price or quantity lies from the mean of all."""
        return (math.log(value) - self.mean(what)) / self.deviation(what)

    def flags(self, line: Line) -> bool:
        """Whether a line is flagged by those learned so far; it is neither learned nor counted.

        Examples
        --------
        >>> outliers = OutlierFilter()
        >>> _ = outliers.sift([Line("sock", 1.0, 10.0)] * 40)
        >>> outliers.flags(Line("sock", 1.0, 12.0)), outliers.flags(Line("sock", 1.0, 1e9)), outliers.flagged
        (False, True, 0)
        """
        return any(abs(self._judged(what, value)) > self.threshold for what, value in _facts(line))

    def _judged(self, what: str, value: float) -> float:
        """The z-score of a price or quantity; 0 where nothing is judged, or not yet."""
        judging = self.threshold and self._logarithms[what].n >= LEAST_SEEN
        return self.z_score(what, value) if judging else 0.0

    def _take(self, line: Line) -> bool:
        flag = False
        for what, value in _facts(line):
            learned = math.log(value)
            z = self._judged(what, value)
            if abs(z) > self.threshold:
                flag = True
                edge = math.copysign(self.threshold, z) * self.deviation(what)
                learned = self.mean(what) + edge
            self._logarithms[what].update(learned)
        self.flagged += flag
        return flag

    def state(self) -> State:
        """Everything learned, as plain data."""
        return stamped(
            "outliers",
            {"threshold": self.threshold},
            flagged=self.flagged,
            # the sum of squares and not the variance: what goes on from it is to be the same to the last bit
            moments=[
                [what, int(each.n), float(each.mean.get()), float(each._S)]  # noqa: SLF001  # River has no other way
                for what, each in self._logarithms.items()
                if each.n
            ],
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the filter that `state` was taken from.

        Raises
        ------
        ValueError
            If the state is of another format or threshold.
        """
        verify(state, "outliers", {"threshold": self.threshold})
        self._clear()
        self.flagged = int(state["flagged"])
        for what, count, mean, squares in state["moments"]:
            moments = self._logarithms[what]
            moments.mean = Mean._from_state(int(count), float(mean))  # noqa: SLF001
            moments._S = float(squares)  # noqa: SLF001


def _facts(line: Line) -> list[tuple[str, float]]:
    """Price and quantity, where they are known."""
    return [
        (what, value)
        for what, value in ((_PRICE, line.price), (_QUANTITY, line.quantity))
        if 0.0 < value < math.inf
    ]
