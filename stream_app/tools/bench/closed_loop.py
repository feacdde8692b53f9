"""Click-through and conversion of policies in a closed loop, over disjoint tenths of a log or generated shops.

For each part (a tenth, or a shop of another seed) and each arm, ``headrace simulate`` runs on servers of its own: the
same users, with the same patience, read the lists of that arm's policy through the real broker and Redis. Arms are
compared part by part. The users of a part share the models that learn from them, so intervals are over parts, not
users.
"""

import itertools
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
import typer
from msgspec.structs import asdict
from rich.console import Console
from rich.table import Table

from stream_app.errors import UserError
from stream_app.settings import child_environment
from stream_app.tools.console import run_script
from stream_app.tools.embedded.child_process import log_tail
from stream_app.tools.evaluation.bootstrap import ConfidenceInterval, Values
from stream_app.tools.progress import progress_bar
from stream_app.tools.simulator import user_outcomes as simulated
from stream_app.tools.simulator.regret import Regret
from stream_app.tools.simulator.user_outcomes import CLICK_THROUGH_RATE, COLUMNS, RatioMetric, UserOutcomes

ARMS: Final[dict[str, dict[str, object]]] = {
    "popularity": {"models": ["popularity"], "fusion": "rrf", "policies": {"fixed": 1.0}},
    "fixed": {"policies": {"fixed": 1.0}},
    "thompson": {"policies": {"thompson": 1.0}},
}
"""Settings of each arm: the popularity list, the fused order, and Thompson sampling on the fused order."""

PAIRS: Final = (("fixed", "popularity"), ("thompson", "popularity"), ("thompson", "fixed"))
METRICS: Final = {
    "clicks": CLICK_THROUGH_RATE,
    "conversions": next(each for each in simulated.METRICS if each.numerator == "conversions"),
}
_HEADINGS: Final = ("click-through", "conversion")

REPORTED_SUMS: Final = ("lists", "clicks", "conversions")
"""Sums of each part in the report."""

_T_QUANTILES: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t with 1 to 9 degrees of freedom."""


class _SimulationReport(msgspec.Struct):
    """The part of a simulation report that is read; null where the regret is unknown."""

    regret: Regret | None = None


class Replicate(NamedTuple):
    """A part: users that are the same for every arm, by options of ``headrace simulate``."""

    name: str
    options: Sequence[str]


def log_tenths(log: Path, log_format: str, tenths: int, users: int, warm_up: float) -> list[Replicate]:
    """Disjoint tenths of a log.

    Parameters
    ----------
    users
        Maximum number of users of each tenth.
    warm_up
        Share of the log that is replayed unchanged at the start.
    """
    options = ["--sessions", str(log), "--format", log_format, "--warm-up", str(warm_up)]
    options += ["--users", str(users)]
    return [Replicate(f"tenth {n}", [*options, "--tenth", f"{n}/10"]) for n in range(1, tenths + 1)]


def generated_shops(seeds: int, users: int) -> list[Replicate]:
    """Generated shops with preference drift, with seeds from 1."""
    return [Replicate(f"seed {n}", ["--seed", str(n), "--users", str(users)]) for n in range(1, seeds + 1)]


def measure(parts: Sequence[Replicate], done: Callable[[str], None]) -> dict[str, Any]:
    """Run every arm on every part, and compare the arms.

    Parameters
    ----------
    done
        Called with the name of each finished run.

    Returns
    -------
    dict
        Metrics of each arm and differences of each pair, with 95 % intervals over parts (null for a single part); the
        sums of each part, in the order of ``columns``; and where the best list is known, the ``regret`` per list over
        time, with the number of lists in each interval.
    """
    sums = np.zeros((len(parts), len(ARMS), len(COLUMNS)))
    user_counts = np.zeros(len(ARMS), np.int64)
    regrets: dict[str, list[Regret]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory(prefix="headrace-loop-") as folder:
        for number, part in enumerate(parts):
            for arm_index, (arm, settings) in enumerate(ARMS.items()):
                out = Path(folder) / f"{arm}-{number}.json"
                regret = _simulate(part.options, settings, out)
                if regret is not None:
                    regrets[arm].append(regret)
                user_sums = _user_sums(out)
                sums[number, arm_index] = user_sums.sum(axis=0)
                user_counts[arm_index] += np.count_nonzero(user_sums[:, COLUMNS.index("lists")])
                done(f"{arm}, {part.name}")
    counted = [COLUMNS.index(name) for name in REPORTED_SUMS]
    results = {
        "arms": {
            arm: _arm(sums, arm_index, int(user_counts[arm_index])) for arm_index, arm in enumerate(ARMS)
        },
        "pairs": [_pair(sums, *pair, name) for pair in PAIRS for name in METRICS],
        "columns": REPORTED_SUMS,
        "parts": {arm: sums[:, arm_index, counted].tolist() for arm_index, arm in enumerate(ARMS)},
    }
    if all(regrets.values()):
        [first, *_] = regrets[next(iter(ARMS))]
        per_interval = {arm: _regret_per_interval(each) for arm, each in regrets.items()}
        results["regret"] = {
            "days": first.days,
            "shifts": first.shifts,
            "lists": {arm: lists for arm, (lists, _) in per_interval.items()},
            "per_list": {arm: per_list for arm, (_, per_list) in per_interval.items()},
        }
    return results


def _regret_per_interval(regrets: Sequence[Regret]) -> tuple[list[int], list[float | None]]:
    """The number of lists of an arm in each time interval, and the regret per list; None without lists."""
    curves = [curve for regret in regrets for curve in regret.curves]
    lists = np.array([curve.lists for curve in curves]).sum(axis=0).tolist()
    total = np.array([np.diff(curve.cumulative, prepend=0.0) for curve in curves]).sum(axis=0)
    return lists, [round(r / n, 4) if n else None for r, n in zip(total.tolist(), lists, strict=True)]


def jackknife_interval(sums: Values, statistic: Callable[[Values], float]) -> ConfidenceInterval:
    """A statistic of sums over all parts, and its 95 % interval.

    The delete-one-group jackknife: the variance is that of the statistic with each part left out in turn, and the
    interval is Student's with one degree of freedom less than parts. If all parts have the same size, the statistic
    is the mean over parts, and this is the t interval of that mean.

    Parameters
    ----------
    sums : ndarray of float64, shape (parts, ...)
        Sums of each part.
    statistic
        Function from sums, shape (...), to the statistic.

    Returns
    -------
    ConfidenceInterval
        Bounds are NaN for a single part, for more than 10, and where the statistic of a subset is NaN.

    References
    ----------
    Efron, Tibshirani: An introduction to the bootstrap, 1993, ch. 11. MacKinnon, Nielsen, Webb: Fast and reliable
    jackknife and bootstrap methods for cluster-robust inference, J. Applied Econometrics 2023 (with t quantiles).

    Examples
    --------
    Clicks and lists of three parts, 10, 20 and 30 clicks in 100 lists each:

    >>> sums = np.array([[10.0, 100.0], [20.0, 100.0], [30.0, 100.0]])
    >>> jackknife_interval(sums, lambda total: total[0] / total[1]).rounded()
    ConfidenceInterval(mean=0.2, low=-0.048434, high=0.448434)
    """
    whole, parts = sums.sum(axis=0), len(sums)
    value = float(statistic(whole))
    if not 1 < parts <= len(_T_QUANTILES) + 1:
        return ConfidenceInterval(value, math.nan, math.nan)
    leave_one_out = np.array([statistic(whole - each) for each in sums])
    error = math.sqrt((parts - 1) * float(np.var(leave_one_out)))
    half_width = _T_QUANTILES[parts - 2] * error
    return ConfidenceInterval(value, value - half_width, value + half_width)


def _simulate(options: Sequence[str], settings: dict[str, object], out: Path) -> Regret | None:
    """Run one arm on one part, with outcomes written to `out`; return the regret if known."""
    log_path, report = out.with_suffix(".log"), out.with_suffix(".report.json")
    command = [sys.executable, "-m", "stream_app", "simulate", *options]
    command += ["--own-servers", "--outcomes", str(out), "--report", str(report)]
    with log_path.open("wb") as file:
        run = subprocess.run(  # noqa: S603  # our own command
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            # the guardrail would pause a worse policy
            env=child_environment(**settings, guardrail_margin=1.0),
            check=False,
        )
    if run.returncode != 0:
        raise UserError(f"headrace simulate ended with status {run.returncode}. {log_tail(log_path)}")
    return msgspec.json.decode(report.read_bytes(), type=_SimulationReport).regret


def _user_sums(out: Path) -> Values:
    """Sums by user over personalized lists, shape (users, columns); fallback lists are ignored."""
    results = UserOutcomes.read(out)
    user_sums = [
        arm_index for arm_index, policy in enumerate(results.policies) if not policy.endswith("(fallback)")
    ]
    sums: Values = results.sums[:, user_sums].sum(axis=1)
    return sums


def _ratio(total: Values, metric: RatioMetric) -> float:
    denominator = total[COLUMNS.index(metric.denominator)]
    return float(total[COLUMNS.index(metric.numerator)] / denominator) if denominator else math.nan


def _log_ratio(total: Values, arm: int, against: int, metric: RatioMetric) -> float:
    one, other = _ratio(total[arm], metric), _ratio(total[against], metric)
    return math.log(one / other) if one > 0 and other > 0 else math.nan


def _arm(sums: Values, arm_index: int, user_counts: int) -> dict[str, Any]:
    results: dict[str, Any] = {
        "users": user_counts,
        "lists": int(sums[:, arm_index, COLUMNS.index("lists")].sum()),
    }
    for name, metric in METRICS.items():
        results[name] = _format_interval(
            jackknife_interval(sums, lambda total, metric=metric: _ratio(total[arm_index], metric))  # type: ignore[misc]
        )
    return results


def _pair(sums: Values, arm: str, against: str, name: str) -> dict[str, Any]:
    one, other = list(ARMS).index(arm), list(ARMS).index(against)
    metric = METRICS[name]
    difference = jackknife_interval(
        sums, lambda total: _ratio(total[one], metric) - _ratio(total[other], metric)
    )
    pair = {"policy": arm, "against": against, "metric": name, "difference": _format_interval(difference)}
    # on the log scale, where a half and a double are symmetric
    ratio = jackknife_interval(sums, lambda total: _log_ratio(total, one, other, metric))
    if math.isfinite(ratio.mean):
        pair["lift"] = _format_interval(
            ConfidenceInterval(*(math.expm1(value) for value in (ratio.mean, ratio.low, ratio.high)))
        )
    return pair


def _format_interval(interval: ConfidenceInterval) -> dict[str, float | None]:
    return {
        bound: value if math.isfinite(value) else None for bound, value in asdict(interval.rounded()).items()
    }


def _table(results: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "lists", *_HEADINGS):
        table.add_column(heading, justify="left" if not heading else "right")
    for arm, each in results["arms"].items():
        table.add_row(arm, f"{each['lists']:,}", *(_format_bounds(each[name], "{:.4f}") for name in METRICS))
    for arm, against in PAIRS:
        pair = {
            each["metric"]: each
            for each in results["pairs"]
            if (each["policy"], each["against"]) == (arm, against)
        }
        lifts = (
            _format_bounds(pair[name]["lift"], "{:+.1%}") if "lift" in pair[name] else "-" for name in METRICS
        )
        table.add_row(f"{arm} over {against}", "", *lifts)
    return table


def _format_bounds(interval: dict[str, float | None], form: str) -> str:
    mean, low, high = (
        "-" if interval[bound] is None else form.format(interval[bound]) for bound in ("mean", "low", "high")
    )
    return f"{mean} [{low}, {high}]"


def regret_table(regret: dict[str, Any]) -> Table:
    """A table of the regret per list over time, by half days; rows mark the preference shifts.

    Parameters
    ----------
    regret
        Entry ``regret`` of the result of `measure`.
    """
    days, shifts = regret["days"], set(regret["shifts"])
    group_size = max(1, round(len(days) * 0.5 / days[-1]))
    arms = list(regret["per_list"])
    table = Table("day", *arms, box=None, pad_edge=False, title="regret per list", title_justify="left")
    for arm_index in range(0, len(days), group_size):
        begin, end = (
            days[arm_index - 1] if arm_index else 0.0,
            days[min(arm_index + group_size, len(days)) - 1],
        )
        if any(begin <= shift < end for shift in shifts):
            table.add_row("preferences shift", *("" for _ in arms))
        segment = slice(arm_index, arm_index + group_size)
        cells = [_mean(regret["lists"][arm][segment], regret["per_list"][arm][segment]) for arm in arms]
        table.add_row(f"{begin:g} to {end:g}", *cells)
    return table


def _mean(lists: Sequence[int], per_list: Sequence[float | None]) -> str:
    total = sum(n * each for n, each in zip(lists, per_list, strict=True) if each is not None)
    return f"{total / sum(lists):.3f}" if any(lists) else "-"


def main(
    sessions: Annotated[
        Path | None,
        typer.Option(exists=True, help="The log that users follow; without it users are generated."),
    ] = None,
    log_format: Annotated[
        str, typer.Option("--format", help="Format of the log, as for `headrace simulate`.")
    ] = "diginetica",
    parts: Annotated[
        int, typer.Option(min=1, max=10, help="Number of tenths of the log, or of generated shops.")
    ] = 10,
    users: Annotated[int, typer.Option(min=1, help="Maximum number of users of each part.")] = 400,
    warm_up: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the log replayed unchanged at the start.")
    ] = 0.03,
    report: Annotated[Path, typer.Option(help="Write all results here.")] = Path("build/closed_loop.json"),
) -> None:
    """Compare Thompson sampling, the fused order and the popularity list in a closed loop.

    About 40 seconds a run, three runs a part. Example: `python -m stream_app.tools.bench.closed_loop --sessions
    train_sessions.jsonl.gz`.
    """
    chosen = (
        generated_shops(parts, users)
        if sessions is None
        else log_tenths(sessions, log_format, parts, users, warm_up)
    )
    console = Console(width=None if sys.stdout.isatty() else 120)
    finished_runs = itertools.count(1)
    with progress_bar(console, "closed loop", parts * len(ARMS)) as update_bar:

        def done(run: str) -> None:
            update_bar(next(finished_runs), run)
            if not console.is_terminal:
                console.print(run)

        results = measure(chosen, done)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(results, indent=2))
    console.print(_table(results))
    if "regret" in results:
        console.print(regret_table(results["regret"]))
    console.print(f"all results in {report}")


if __name__ == "__main__":
    run_script(main, "closed loop")
