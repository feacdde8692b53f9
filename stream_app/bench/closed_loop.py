"""Click-through and conversion of policies in a closed loop, over disjoint tenths of a log.

For each tenth and each arm ``headrace simulate`` is run on servers of its own: the same shoppers, as patient,
read the lists of that arm's policy through the real broker and Redis. So two arms are compared tenth by tenth. All
shoppers of a tenth share what was learned from them, so that the tenth, not the shopper, is what intervals count.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from msgspec.structs import asdict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_app.embedded.process import log_tail
from stream_app.errors import UserError
from stream_app.evaluation.statistics import Interval, Values
from stream_app.settings import child_environment
from stream_app.simulator import outcomes as simulated
from stream_app.simulator.outcomes import CLICK_THROUGH, COLUMNS, Figure, Outcomes

ARMS: Final[dict[str, dict[str, object]]] = {
    "popularity": {"models": ["popularity"], "fusion": "rrf", "policies": {"fixed": 1.0}},
    "fixed": {"policies": {"fixed": 1.0}},
    "thompson": {"policies": {"thompson": 1.0}},
}
"""Settings of each arm: the popularity page, the fused order as it is, and Thompson sampling on it."""

PAIRS: Final = (("fixed", "popularity"), ("thompson", "popularity"), ("thompson", "fixed"))
FIGURES: Final = {
    "clicks": CLICK_THROUGH,
    "conversions": next(each for each in simulated.FIGURES if each.over == "conversions"),
}
_HEADINGS: Final = ("click-through", "conversion")

COUNTED: Final = ("lists", "clicks", "conversions")
"""Sums of each tenth that the report has."""

_STUDENT: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t with 1 to 9 degrees of freedom."""


def measure(
    log: Path, log_format: str, tenths: int, shoppers: int, warm_up: float, done: Callable[[str], None]
) -> dict[str, Any]:
    """Run every arm on every tenth, and compare.

    Parameters
    ----------
    log, log_format
        The sessions that shoppers follow.
    tenths
        How many of the ten parts.
    shoppers
        Followed of each, at most.
    warm_up
        Share of the log that is fed as it is first.
    done
        Told of each run that has ended.

    Returns
    -------
    dict
        Figures of each arm and differences of each pair, with 95 % intervals over tenths, null of a single one; and
        the sums they come from: of each tenth, in the order of ``columns``.
    """
    sums = np.zeros((tenths, len(ARMS), len(COLUMNS)))
    people = np.zeros(len(ARMS), np.int64)
    with tempfile.TemporaryDirectory(prefix="headrace-loop-") as folder:
        for tenth in range(tenths):
            for at, (arm, settings) in enumerate(ARMS.items()):
                out = Path(folder) / f"{arm}-{tenth + 1}.json"
                _simulate(log, log_format, tenth + 1, shoppers, warm_up, settings, out)
                own = _own_lists(out)
                sums[tenth, at] = own.sum(axis=0)
                people[at] += np.count_nonzero(own[:, COLUMNS.index("lists")])
                done(f"{arm}, tenth {tenth + 1}")
    counted = [COLUMNS.index(name) for name in COUNTED]
    return {
        "arms": {arm: _arm(sums, at, int(people[at])) for at, arm in enumerate(ARMS)},
        "pairs": [_pair(sums, *pair, name) for pair in PAIRS for name in FIGURES],
        "columns": COUNTED,
        "tenths": {arm: sums[:, at, counted].tolist() for at, arm in enumerate(ARMS)},
    }


def over_tenths(sums: Values, figure: Callable[[Values], float]) -> Interval:
    """A figure of sums over all tenths, and its 95 % interval.

    The figure with each tenth left out in turn tells how much it hangs on chance (the delete-one-group
    jackknife); the interval is Student's, with one degree of freedom less than there are tenths. Where tenths are
    equally large, the figure of all is the mean of theirs, and this is the t interval of that mean.

    Parameters
    ----------
    sums : ndarray of float64, shape (tenths, ...)
        Of each tenth.
    figure
        Makes the figure of sums like those of one tenth.

    Returns
    -------
    Interval
        Bounds are NaN where a single tenth, or one left out, tells nothing.

    References
    ----------
    Efron, Tibshirani: An introduction to the bootstrap, 1993, ch. 11. MacKinnon, Nielsen, Webb: Fast and reliable
    jackknife and bootstrap methods for cluster-robust inference, J. Applied Econometrics 2023 (with t quantiles).

    Examples
    --------
    Clicks and lists of three tenths, 10, 20 and 30 clicks in 100 lists each:

    >>> sums = np.array([[10.0, 100.0], [20.0, 100.0], [30.0, 100.0]])
    >>> over_tenths(sums, lambda total: total[0] / total[1]).rounded()
    Interval(mean=0.2, low=-0.048434, high=0.448434)
    """
    whole, tenths = sums.sum(axis=0), len(sums)
    value = float(figure(whole))
    if not 1 < tenths <= len(_STUDENT) + 1:
        return Interval(value, math.nan, math.nan)
    without = np.array([figure(whole - each) for each in sums])
    error = math.sqrt((tenths - 1) * float(np.var(without)))
    half = _STUDENT[tenths - 2] * error
    return Interval(value, value - half, value + half)


def _simulate(
    log: Path,
    log_format: str,
    tenth: int,
    shoppers: int,
    warm_up: float,
    settings: dict[str, object],
    out: Path,
) -> None:
    said = out.with_suffix(".log")
    command = [sys.executable, "-m", "stream_app", "simulate", "--sessions", str(log), "--format", log_format]
    command += ["--tenth", f"{tenth}/10", "--shoppers", str(shoppers), "--warm-up", str(warm_up)]
    command += ["--own-servers", "--outcomes", str(out)]
    with said.open("wb") as file:
        run = subprocess.run(  # noqa: S603  # our own command
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            # the guard would send shoppers of a worse policy elsewhere
            env=child_environment(**settings, guard_margin=1.0),
            check=False,
        )
    if run.returncode != 0:
        raise UserError(f"headrace simulate ended with status {run.returncode}. {log_tail(said)}")


def _own_lists(out: Path) -> Values:
    """Sums of each shopper's own lists, shape (shoppers, columns); a page shown for want of one is nobody's."""
    told = Outcomes.read(out)
    own = [at for at, policy in enumerate(told.policies) if not policy.endswith("(fallback)")]
    sums: Values = told.sums[:, own].sum(axis=1)
    return sums


def _ratio(total: Values, figure: Figure) -> float:
    under = total[COLUMNS.index(figure.under)]
    return float(total[COLUMNS.index(figure.over)] / under) if under else math.nan


def _log_ratio(total: Values, arm: int, against: int, figure: Figure) -> float:
    one, other = _ratio(total[arm], figure), _ratio(total[against], figure)
    return math.log(one / other) if one > 0 and other > 0 else math.nan


def _arm(sums: Values, at: int, people: int) -> dict[str, Any]:
    told: dict[str, Any] = {"shoppers": people, "lists": int(sums[:, at, COLUMNS.index("lists")].sum())}
    for name, figure in FIGURES.items():
        told[name] = _told(over_tenths(sums, lambda total, figure=figure: _ratio(total[at], figure)))  # type: ignore[misc]
    return told


def _pair(sums: Values, arm: str, against: str, name: str) -> dict[str, Any]:
    one, other = list(ARMS).index(arm), list(ARMS).index(against)
    figure = FIGURES[name]
    difference = over_tenths(sums, lambda total: _ratio(total[one], figure) - _ratio(total[other], figure))
    pair = {"policy": arm, "against": against, "figure": name, "difference": _told(difference)}
    # by its logarithm, which is as far from 0 for half as for twice
    times = over_tenths(sums, lambda total: _log_ratio(total, one, other, figure))
    if math.isfinite(times.mean):
        pair["lift"] = _told(Interval(*(math.expm1(value) for value in (times.mean, times.low, times.high))))
    return pair


def _told(interval: Interval) -> dict[str, float | None]:
    return {
        bound: value if math.isfinite(value) else None for bound, value in asdict(interval.rounded()).items()
    }


def _table(told: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "lists", *_HEADINGS):
        table.add_column(heading, justify="left" if not heading else "right")
    for arm, each in told["arms"].items():
        table.add_row(arm, f"{each['lists']:,}", *(_span(each[name], "{:.4f}") for name in FIGURES))
    for arm, against in PAIRS:
        pair = {
            each["figure"]: each
            for each in told["pairs"]
            if (each["policy"], each["against"]) == (arm, against)
        }
        lifts = (_span(pair[name]["lift"], "{:+.1%}") if "lift" in pair[name] else "-" for name in FIGURES)
        table.add_row(f"{arm} over {against}", "", *lifts)
    return table


def _span(interval: dict[str, float | None], form: str) -> str:
    mean, low, high = (
        "-" if interval[bound] is None else form.format(interval[bound]) for bound in ("mean", "low", "high")
    )
    return f"{mean} [{low}, {high}]"


def main(
    sessions: Annotated[Path, typer.Option(exists=True, help="The log that shoppers follow.")],
    log_format: Annotated[
        str, typer.Option("--format", help="Of the log, as `headrace simulate`.")
    ] = "diginetica",
    tenths: Annotated[int, typer.Option(min=1, max=10, help="Run so many of the ten parts.")] = 10,
    shoppers: Annotated[int, typer.Option(min=1, help="Shoppers followed of each part, at most.")] = 700,
    warm_up: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the log fed as it is first.")
    ] = 0.03,
    report: Annotated[Path, typer.Option(help="Write all figures here.")] = Path("build/closed_loop.json"),
) -> None:
    """Compare Thompson sampling, the fused order and the popularity page in a closed loop.

    Some 40 seconds a run, three runs a tenth. Example: `python -m stream_app.bench.closed_loop --sessions
    train_sessions.jsonl.gz`.
    """
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("closed loop", total=tenths * len(ARMS))

        def done(what: str) -> None:
            bar.update(task, advance=1, description=what)
            if not console.is_terminal:
                console.print(what)

        told = measure(sessions, log_format, tenths, shoppers, warm_up, done)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(told, indent=2))
    console.print(_table(told))
    console.print(f"all figures in {report}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except UserError as error:
        sys.exit(f"closed loop: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
