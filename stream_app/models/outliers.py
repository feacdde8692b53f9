"""Outlier detection on the prices and quantities of order lines."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from river.stats import Mean, Var

from stream_app.models.daily_quota import DailyQuota
from stream_app.models.estimator import Estimator
from stream_app.models.model_state import MIGRATIONS, VERSIONS, Restorable, State
from topics.records import Line

MIN_LINES: Final = 30
"""Lines learned before the first one is tested."""

MIN_STD: Final = 0.5
"""Smallest standard deviation of a logarithm, so that two pieces are no outlier where most orders have one."""

LINES_PER_DAY: Final = 10
"""Lines of one user that are learned per day."""

_NAME: Final = "outliers"
_PRICE: Final = "price"
_QUANTITY: Final = "quantity"


class OutlierFilter(Estimator, Restorable):
    """Flags order lines by the z-scores of their log price and log quantity, and learns from each line.

    Mean and variance are River's streaming ones (`river.stats.Var`, Welford's method), over the lines of all
    purchases. A flagged line is learned at the threshold, so that a single one moves the scale little, but the
    scale follows a lasting change of prices. A price of 0 or NaN is unknown and not tested.

    Of one user, ten lines a day are learned (`LINES_PER_DAY`), so that no user sets the scale for the
    others. All lines are tested.

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
    >>> len(outliers.filter_lines(usual))
    40
    >>> outliers.filter_lines([Line("sock", 1.0, 12.0), Line("sock", 5000.0, 10.0), Line("sock", 1.0, 1e6)])
    (Line(item_id='sock', quantity=1.0, price=12.0),)
    >>> outliers.flagged
    2
    """

    def __init__(self, *, threshold: float = 6.0) -> None:
        self.threshold = threshold
        self._reset()

    def _get_params(self) -> dict[str, Any]:
        return {"threshold": self.threshold}

    def _reset(self) -> None:
        self._log_moments = {_PRICE: Var(ddof=0), _QUANTITY: Var(ddof=0)}
        self._quota = DailyQuota(LINES_PER_DAY)
        self.flagged = 0

    def filter_lines(self, lines: Iterable[Line], user: str = "", ts: float = 0.0) -> tuple[Line, ...]:
        """The lines that are not flagged; each is tested, then learned.

        Parameters
        ----------
        user, ts
            The buyer and the event time, seconds since the epoch; all lines of the empty user are learned.
        """
        return tuple([line for line in lines if not self._learn_line(line, user, ts)])

    def forget_user(self, user: str) -> None:
        """Drop the data of a user; their lines stay in the means."""
        self._quota.forget_user(user)

    def mean(self, field: str) -> float:
        """Mean of the logarithm of ``price`` or ``quantity``; 0 before the first line."""
        return float(self._log_moments[field].mean.get())

    def deviation(self, field: str) -> float:
        """Standard deviation of the logarithm of ``price`` or ``quantity``, at least `MIN_STD`."""
        return max(MIN_STD, math.sqrt(max(0.0, self._log_moments[field].get())))

    def z_score(self, field: str, value: float) -> float:
        """Distance of the logarithm of a price or quantity from the mean, in standard deviations."""
        return (math.log(value) - self.mean(field)) / self.deviation(field)

    def is_outlier(self, line: Line) -> bool:
        """Whether a line would be flagged; it is neither learned nor counted.

        Examples
        --------
        >>> outliers = OutlierFilter()
        >>> _ = outliers.filter_lines([Line("sock", 1.0, 10.0)] * 40)
        >>> usual, odd = Line("sock", 1.0, 12.0), Line("sock", 1.0, 1e9)
        >>> outliers.is_outlier(usual), outliers.is_outlier(odd), outliers.flagged
        (False, True, 0)
        """
        return any(
            abs(self._z_score_or_zero(field, value)) > self.threshold for field, value in _known_values(line)
        )

    def _z_score_or_zero(self, field: str, value: float) -> float:
        """The z-score of a price or quantity; 0 if testing is off or has not started."""
        is_active = self.threshold and self._log_moments[field].n >= MIN_LINES
        return self.z_score(field, value) if is_active else 0.0

    def _learn_line(self, line: Line, user: str, ts: float) -> bool:
        if user and not self._quota.allows(user, ts):
            is_flagged = self.is_outlier(line)
            self.flagged += is_flagged
            return is_flagged
        is_flagged = False
        for field, value in _known_values(line):
            log_value = math.log(value)
            z = self._z_score_or_zero(field, value)
            if abs(z) > self.threshold:
                is_flagged = True
                limit = math.copysign(self.threshold, z) * self.deviation(field)
                log_value = self.mean(field) + limit
            self._log_moments[field].update(log_value)
        self.flagged += is_flagged
        return is_flagged

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return self._quota.memory()

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return _NAME, {"threshold": self.threshold}

    def _get_state(self) -> State:
        return {
            "flagged": self.flagged,
            "quota": self._quota.state(),
            # the sum of squares and not the variance, so that learning continues with the same bits
            "moments": [
                [field, int(each.n), float(each.mean.get()), float(each._S)]  # noqa: SLF001  # River has no other way
                for field, each in self._log_moments.items()
                if each.n
            ],
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.flagged = int(state["flagged"])
        if state["quota"] is not None:
            self._quota.restore(state["quota"])
        for field, count, mean, squares in state["moments"]:
            moments = self._log_moments[field]
            moments.mean = Mean._from_state(int(count), float(mean))  # noqa: SLF001  # River has no other way
            moments._S = float(squares)  # noqa: SLF001  # River has no other way


def _known_values(line: Line) -> list[tuple[str, float]]:
    """The known ones of price and quantity."""
    return [
        (field, value)
        for field, value in ((_PRICE, line.price), (_QUANTITY, line.quantity))
        if 0.0 < value < math.inf
    ]


VERSIONS[_NAME] = 3
MIGRATIONS[_NAME, 2] = lambda state: {**state, "quota": None}
