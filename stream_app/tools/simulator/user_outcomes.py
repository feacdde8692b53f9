"""Sums of each shopper under each policy, from which every figure and every interval of a run is made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.errors import UserError
from stream_app.tools.evaluation.statistics import Interval, Values, resampled
from stream_app.tools.simulator.tally import Tally

COLUMNS: Final = ("lists", "examined", "clicks", "conversions", "revenue", "expected", "best")
"""What is summed: lists looked at, items looked at, clicks, order lines that came from a list and what they brought,
the chance of a click on the lists shown, and on the best there could have been."""

RESAMPLES: Final = 1_000


class Figure(msgspec.Struct, frozen=True):
    """A ratio of two sums.

    Attributes
    ----------
    name
        As in the report.
    over, under
        Columns of `COLUMNS`.
    """

    name: str
    over: str
    under: str


CLICK_THROUGH: Final = Figure("click_through", "clicks", "lists")
FIGURES: Final = (
    CLICK_THROUGH,
    Figure("click_through_per_item", "clicks", "examined"),
    Figure("conversion_rate", "conversions", "lists"),
    Figure("revenue_per_list", "revenue", "lists"),
)
"""What is reported of each policy, and compared."""

EXPECTED: Final = (
    Figure("expected_click_through", "expected", "lists"),
    Figure("best_click_through", "best", "lists"),
)
"""What is reported too where it is known."""


class _Stored(msgspec.Struct, frozen=True):
    """A file of outcomes: one row a shopper and policy, in the order of `COLUMNS`."""

    columns: tuple[str, ...]
    rows: list[tuple[str, str, tuple[float | None, ...]]]


class Outcomes:
    """The sums.

    Parameters
    ----------
    users, policies
        Their names.
    sums : ndarray of float64, shape (users, policies, len(COLUMNS))
        Of each shopper under each policy.

    Examples
    --------
    Two shoppers, ten lists each; one clicks on half of A's lists, the other on a fifth of B's:

    >>> sums = np.zeros((2, 2, len(COLUMNS)))
    >>> sums[0, 0, :3] = 10, 30, 5
    >>> sums[1, 1, :3] = 10, 30, 2
    >>> outcomes = Outcomes(["u", "v"], ["A", "B"], sums)
    >>> outcomes.intervals("A", [CLICK_THROUGH])[0].mean
    0.5
    >>> outcomes.lift("A", "B", CLICK_THROUGH).mean
    150.0
    """

    def __init__(self, users: Sequence[str], policies: Sequence[str], sums: Values, *, seed: int = 7) -> None:
        self.users: Final = list(users)
        self.policies: Final = list(policies)
        self.sums: Final = sums
        self._seed = seed
        self._drawn_sums: Values | None = None

    @classmethod
    def of(cls, tally: Tally, run: str = "", seed: int = 7) -> Self:
        """What a tally counted; `run` is taken from the ids of shoppers, so that two runs can be compared."""
        users, policies = [user.removeprefix(run) for user in tally.users], list(tally.policies)
        shape = (len(users), len(policies))
        shown, sold = tally.shown(), tally.sold()
        seen, bought = shown.user * shape[1] + shown.policy, sold.user * shape[1] + sold.policy
        columns = (
            (seen, None), (seen, shown.examined), (seen, shown.clicked),
            (bought, None), (bought, sold.revenue),
            (seen, shown.expected), (seen, shown.best),
        )  # fmt: skip
        counted = [np.bincount(at, weights=values, minlength=shape[0] * shape[1]) for at, values in columns]
        sums = np.stack(counted, axis=1).astype(np.float64).reshape(*shape, len(COLUMNS))
        return cls(users, policies, sums, seed=seed)

    def total(self, policy: str, column: str) -> float:
        """The sum over all shoppers."""
        return float(self.sums[:, self.policies.index(policy), COLUMNS.index(column)].sum())

    def shoppers(self, policy: str) -> int:
        """Shoppers who saw a list of it."""
        return int((self.sums[:, self.policies.index(policy), 0] > 0).sum())

    def intervals(self, policy: str, figures: Sequence[Figure]) -> list[Interval]:
        """Figures of a policy with their intervals: whole shoppers are resampled (`resampled`), percentiles taken."""
        at = self.policies.index(policy)
        return [
            _interval(_ratio(self.sums.sum(axis=0), at, figure), _ratio(self._drawn(), at, figure))
            for figure in figures
        ]

    def difference(self, policy: str, against: str, figure: Figure) -> Interval:
        """How much higher a figure is; see `lift`."""
        one, other = self.policies.index(policy), self.policies.index(against)
        return _interval(
            *(
                _ratio(s, one, figure) - _ratio(s, other, figure)
                for s in (self.sums.sum(axis=0), self._drawn())
            )
        )

    def lift(self, policy: str, against: str, figure: Figure) -> Interval:
        """By how many percent a figure is higher.

        The resamples are of shoppers with all they saw: where the same shoppers saw both policies it is the interval
        of paired differences, where each saw one that of unpaired ones.
        """
        one, other = self.policies.index(policy), self.policies.index(against)
        with np.errstate(divide="ignore", invalid="ignore"):
            return _interval(
                *(
                    100.0 * (_ratio(s, one, figure) / _ratio(s, other, figure) - 1.0)
                    for s in (self.sums.sum(axis=0), self._drawn())
                )
            )

    def _drawn(self) -> Values:
        if self._drawn_sums is None:
            flat = self.sums.reshape(len(self.users), -1)
            drawn = resampled(flat, RESAMPLES, self._seed)
            self._drawn_sums = drawn.reshape(len(drawn), *self.sums.shape[1:])
        return self._drawn_sums

    def beside(self, other: "Outcomes", suffix: str) -> "Outcomes":
        """These and those of another run, paired by shopper; its policies get a suffix."""
        users = list(dict.fromkeys([*self.users, *other.users]))
        number = {user: place for place, user in enumerate(users)}
        mine = len(self.policies)
        sums = np.zeros((len(users), mine + len(other.policies), len(COLUMNS)))
        sums[[number[user] for user in self.users], :mine] = self.sums
        sums[[number[user] for user in other.users], mine:] = other.sums
        names = [f"{policy}{suffix}" for policy in other.policies]
        return Outcomes(users, [*self.policies, *names], sums, seed=self._seed)

    def write(self, path: Path) -> None:
        """Write them as JSON, for `read`.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        rows = [
            (user, policy, tuple(self.sums[at, column].tolist()))
            for at, user in enumerate(self.users)
            for column, policy in enumerate(self.policies)
            if self.sums[at, column, 0] > 0 or self.sums[at, column, 3] > 0
        ]
        try:
            path.write_bytes(msgspec.json.encode(_Stored(COLUMNS, rows)) + b"\n")
        except OSError as error:
            raise UserError(f"The outcomes cannot be written to {path}: {error.strerror or error}.") from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        UserError
            If it cannot be read.
        """
        try:
            stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
        except msgspec.DecodeError as error:
            raise UserError(
                f"{path} holds no outcomes of `headrace simulate --outcomes` ({error})."
            ) from None
        if stored.columns != COLUMNS:
            raise UserError(f"{path} was written by another version: run that simulation again.")
        users = {name: None for name, _, _ in stored.rows}
        policies = {name: None for _, name, _ in stored.rows}
        at, column = ({name: n for n, name in enumerate(names)} for names in (users, policies))
        sums = np.zeros((len(users), len(policies), len(COLUMNS)))
        for user, policy, values in stored.rows:
            sums[at[user], column[policy]] = [np.nan if value is None else value for value in values]
        return cls(list(users), list(policies), sums)


def _ratio(sums: Values, policy: int, figure: Figure) -> NDArray[np.float64]:
    """Of totals, shape (..., policies, columns)."""
    over, under = (sums[..., policy, COLUMNS.index(name)] for name in (figure.over, figure.under))
    found: NDArray[np.float64] = np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under > 0)
    return found


def _interval(value: NDArray[np.float64], drawn: NDArray[np.float64]) -> Interval:
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, (0.025, 0.975)) if len(drawn) else (np.nan, np.nan)
    return Interval(float(value), float(low), float(high)).rounded()
