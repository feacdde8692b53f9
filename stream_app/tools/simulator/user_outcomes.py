"""Sums by user and policy, from which all metrics and intervals of a run are computed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.errors import UserError
from stream_app.tools.evaluation.bootstrap import ConfidenceInterval, Values, cluster_resample
from stream_app.tools.simulator.tally import SimulationTally

COLUMNS: Final = ("lists", "examined", "clicks", "conversions", "revenue", "expected", "best")
"""The sums: examined lists, examined items, clicks, attributed order lines and their revenue, click probability of
the displayed lists and of the best lists."""

N_RESAMPLES: Final = 1_000


class RatioMetric(msgspec.Struct, frozen=True):
    """A metric that is a ratio of two sums.

    Attributes
    ----------
    numerator, denominator
        Names in `COLUMNS`.
    """

    name: str
    numerator: str
    denominator: str


CLICK_THROUGH_RATE: Final = RatioMetric("click_through", "clicks", "lists")
METRICS: Final = (
    CLICK_THROUGH_RATE,
    RatioMetric("click_through_per_item", "clicks", "examined"),
    RatioMetric("conversion_rate", "conversions", "lists"),
    RatioMetric("revenue_per_list", "revenue", "lists"),
)
"""Metrics of each policy, which are compared."""

EXPECTED_METRICS: Final = (
    RatioMetric("expected_click_through", "expected", "lists"),
    RatioMetric("best_click_through", "best", "lists"),
)
"""Metrics of generated users, for which click probabilities are known."""


class _StoredOutcomes(msgspec.Struct, frozen=True):
    """A file of outcomes: one row per user and policy, with sums in the order of `columns`."""

    columns: tuple[str, ...]
    rows: list[tuple[str, str, tuple[float | None, ...]]]


class UserOutcomes:
    """Sums by user and policy.

    Parameters
    ----------
    users, policies
        Names by index.
    sums : ndarray of float64, shape (users, policies, len(COLUMNS))
        The sums.

    Examples
    --------
    Two users with ten lists each: one clicks on half of A's lists, the other on a fifth of B's.

    >>> sums = np.zeros((2, 2, len(COLUMNS)))
    >>> sums[0, 0, :3] = 10, 30, 5
    >>> sums[1, 1, :3] = 10, 30, 2
    >>> outcomes = UserOutcomes(["u", "v"], ["A", "B"], sums)
    >>> outcomes.intervals("A", [CLICK_THROUGH_RATE])[0].mean
    0.5
    >>> outcomes.lift("A", "B", CLICK_THROUGH_RATE).mean
    150.0
    """

    def __init__(self, users: Sequence[str], policies: Sequence[str], sums: Values, *, seed: int = 7) -> None:
        self.users: Final = list(users)
        self.policies: Final = list(policies)
        self.sums: Final = sums
        self._seed = seed
        self._cached_bootstrap_sums: Values | None = None

    @classmethod
    def of(cls, tally: SimulationTally, run: str = "", seed: int = 7) -> Self:
        """Sum a tally; the prefix `run` is removed from user ids, so that two runs can be compared."""
        users, policies = [user.removeprefix(run) for user in tally.users], list(tally.policies)
        shape = (len(users), len(policies))
        displayed, attributed_sales = tally.displayed(), tally.attributed_sales()
        display_index, sale_index = (
            displayed.user * shape[1] + displayed.policy,
            attributed_sales.user * shape[1] + attributed_sales.policy,
        )
        columns = (
            (display_index, None), (display_index, displayed.examined), (display_index, displayed.clicked),
            (sale_index, None), (sale_index, attributed_sales.revenue),
            (display_index, displayed.expected), (display_index, displayed.best),
        )  # fmt: skip
        counted = [np.bincount(at, weights=values, minlength=shape[0] * shape[1]) for at, values in columns]
        sums = np.stack(counted, axis=1).astype(np.float64).reshape(*shape, len(COLUMNS))
        return cls(users, policies, sums, seed=seed)

    def total(self, policy: str, column: str) -> float:
        """Sum over all users."""
        return float(self.sums[:, self.policies.index(policy), COLUMNS.index(column)].sum())

    def n_users(self, policy: str) -> int:
        """Users who saw a list of the policy."""
        return int((self.sums[:, self.policies.index(policy), 0] > 0).sum())

    def intervals(self, policy: str, metrics: Sequence[RatioMetric]) -> list[ConfidenceInterval]:
        """Metrics of a policy with percentile bootstrap intervals, resampled by user."""
        at = self.policies.index(policy)
        return [
            _interval(_ratio(self.sums.sum(axis=0), at, metric), _ratio(self._bootstrap_sums(), at, metric))
            for metric in metrics
        ]

    def difference(self, policy: str, baseline: str, metric: RatioMetric) -> ConfidenceInterval:
        """Difference of a metric to the baseline; see `lift`."""
        return self._compare(policy, baseline, metric, lambda one, other: one - other)

    def lift(self, policy: str, baseline: str, metric: RatioMetric) -> ConfidenceInterval:
        """Lift of a metric over the baseline in percent.

        Users are resampled with all their lists. So the interval is one of paired differences if the same users saw
        both policies, and of unpaired differences if each user saw one.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._compare(policy, baseline, metric, lambda one, other: 100.0 * (one / other - 1.0))

    def _compare(
        self, policy: str, baseline: str, metric: RatioMetric, compare: Callable[[Values, Values], Values]
    ) -> ConfidenceInterval:
        one, other = self.policies.index(policy), self.policies.index(baseline)
        return _interval(
            *(
                compare(_ratio(s, one, metric), _ratio(s, other, metric))
                for s in (self.sums.sum(axis=0), self._bootstrap_sums())
            )
        )

    def _bootstrap_sums(self) -> Values:
        if self._cached_bootstrap_sums is None:
            flat = self.sums.reshape(len(self.users), -1)
            resamples = cluster_resample(flat, N_RESAMPLES, self._seed)
            self._cached_bootstrap_sums = resamples.reshape(len(resamples), *self.sums.shape[1:])
        return self._cached_bootstrap_sums

    def merge_with(self, other: "UserOutcomes", suffix: str) -> "UserOutcomes":
        """Merge with another run, paired by user; the suffix is appended to its policies."""
        users = list(dict.fromkeys([*self.users, *other.users]))
        number = {user: index for index, user in enumerate(users)}
        n_own = len(self.policies)
        sums = np.zeros((len(users), n_own + len(other.policies), len(COLUMNS)))
        sums[[number[user] for user in self.users], :n_own] = self.sums
        sums[[number[user] for user in other.users], n_own:] = other.sums
        names = [f"{policy}{suffix}" for policy in other.policies]
        return UserOutcomes(users, [*self.policies, *names], sums, seed=self._seed)

    def write(self, path: Path) -> None:
        """Write as JSON, for `read`.

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
            path.write_bytes(msgspec.json.encode(_StoredOutcomes(COLUMNS, rows)) + b"\n")
        except OSError as error:
            raise UserError(f"The outcomes cannot be written to {path}: {error.strerror or error}.") from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `write` wrote.

        Raises
        ------
        UserError
            If the file cannot be read, or has other content.
        """
        try:
            stored_outcomes = msgspec.json.decode(path.read_bytes(), type=_StoredOutcomes)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
        except msgspec.DecodeError as error:
            raise UserError(
                f"{path} is not a file of `headrace simulate --outcomes`: {error}; name a file that it wrote."
            ) from None
        if stored_outcomes.columns != COLUMNS:
            raise UserError(f"{path} was written by another version; run that simulation again.")
        users = {name: None for name, _, _ in stored_outcomes.rows}
        policies = {name: None for _, name, _ in stored_outcomes.rows}
        at, column = ({name: n for n, name in enumerate(names)} for names in (users, policies))
        sums = np.zeros((len(users), len(policies), len(COLUMNS)))
        for user, policy, values in stored_outcomes.rows:
            sums[at[user], column[policy]] = [np.nan if value is None else value for value in values]
        return cls(list(users), list(policies), sums)


def _ratio(sums: Values, policy: int, metric: RatioMetric) -> NDArray[np.float64]:
    """Ratio of sums with shape (..., policies, columns)."""
    numerator, denominator = (
        sums[..., policy, COLUMNS.index(name)] for name in (metric.numerator, metric.denominator)
    )
    ratio: NDArray[np.float64] = np.divide(
        numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0
    )
    return ratio


def _interval(value: NDArray[np.float64], resamples: NDArray[np.float64]) -> ConfidenceInterval:
    resamples = resamples[np.isfinite(resamples)]
    low, high = np.quantile(resamples, (0.025, 0.975)) if len(resamples) else (np.nan, np.nan)
    return ConfidenceInterval(float(value), float(low), float(high)).rounded()
