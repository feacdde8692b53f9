"""Click-through and conversion of policies in a closed loop, over disjoint tenths of a log or generated shops.

For each part (a tenth, or a shop of another seed) and each arm ``headrace simulate`` is run on servers of its own:
the same shoppers, as patient, read the lists of that arm's policy through the real broker and Redis. So two arms are
compared part by part. All shoppers of a part share what was learned from them, so that the part, not the shopper, is
what intervals count.
"""

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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_app.errors import UserError
from stream_app.settings import child_environment
from stream_app.tools.embedded.child_process import log_tail
from stream_app.tools.evaluation.statistics import Interval, Values
from stream_app.tools.simulator import user_outcomes as simulated
from stream_app.tools.simulator.simulation_report import Regret
from stream_app.tools.simulator.user_outcomes import CLICK_THROUGH, COLUMNS, Figure, Outcomes

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
"""Sums of each part that the report has."""

_STUDENT: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t with 1 to 9 degrees of freedom."""


class _Reported(msgspec.Struct):
    """What is read of a run's report; figures that are not known there are null."""

    regret: Regret | None = None


class Part(NamedTuple):
    """Shoppers who are the same for every arm.

    Attributes
    ----------
    name
        Which of them, in words.
    options
        Of ``headrace simulate``.
    """

    name: str
    options: Sequence[str]


def tenths_of(log: Path, log_format: str, tenths: int, shoppers: int, warm_up: float) -> list[Part]:
    """Disjoint tenths of a log.

    Parameters
    ----------
    log, log_format
        The sessions that shoppers follow.
    tenths
        How many of the ten.
    shoppers
        Followed of each, at most.
    warm_up
        Share of the log that is fed as it is first.
    """
    options = ["--sessions", str(log), "--format", log_format, "--warm-up", str(warm_up)]
    options += ["--shoppers", str(shoppers)]
    return [Part(f"tenth {n}", [*options, "--tenth", f"{n}/10"]) for n in range(1, tenths + 1)]


def shops_of(seeds: int, shoppers: int) -> list[Part]:
    """Generated shops, in which tastes change, of the seeds from 1 on."""
    return [Part(f"seed {n}", ["--seed", str(n), "--shoppers", str(shoppers)]) for n in range(1, seeds + 1)]


def measure(parts: Sequence[Part], done: Callable[[str], None]) -> dict[str, Any]:
    """Run every arm on every part, and compare.

    Parameters
    ----------
    parts
        Who the shoppers are.
    done
        Told of each run that has ended.

    Returns
    -------
    dict
        Figures of each arm and differences of each pair, with 95 % intervals over parts, null of a single one; the
        sums they come from: of each part, in the order of ``columns``; and where the best list is known the
        ``regret`` a list over the shop's time, with the lists of each piece of it.
    """
    sums = np.zeros((len(parts), len(ARMS), len(COLUMNS)))
    people = np.zeros(len(ARMS), np.int64)
    regrets: dict[str, list[Regret]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory(prefix="headrace-loop-") as folder:
        for number, part in enumerate(parts):
            for at, (arm, settings) in enumerate(ARMS.items()):
                out = Path(folder) / f"{arm}-{number}.json"
                regret = _simulate(part.options, settings, out)
                if regret is not None:
                    regrets[arm].append(regret)
                own = _own_lists(out)
                sums[number, at] = own.sum(axis=0)
                people[at] += np.count_nonzero(own[:, COLUMNS.index("lists")])
                done(f"{arm}, {part.name}")
    counted = [COLUMNS.index(name) for name in COUNTED]
    told = {
        "arms": {arm: _arm(sums, at, int(people[at])) for at, arm in enumerate(ARMS)},
        "pairs": [_pair(sums, *pair, name) for pair in PAIRS for name in FIGURES],
        "columns": COUNTED,
        "parts": {arm: sums[:, at, counted].tolist() for at, arm in enumerate(ARMS)},
    }
    if all(regrets.values()):
        [first, *_] = regrets[next(iter(ARMS))]
        pieces = {arm: _pieces(each) for arm, each in regrets.items()}
        told["regret"] = {
            "days": first.days,
            "shifts": first.shifts,
            "lists": {arm: lists for arm, (lists, _) in pieces.items()},
            "per_list": {arm: per_list for arm, (_, per_list) in pieces.items()},
        }
    return told


def _pieces(regrets: Sequence[Regret]) -> tuple[list[int], list[float | None]]:
    """The lists of an arm that policies made in each piece of time, and the regret of one; None without lists."""
    curves = [curve for regret in regrets for curve in regret.curves]
    lists = np.array([curve.lists for curve in curves]).sum(axis=0).tolist()
    total = np.array([np.diff(curve.cumulative, prepend=0.0) for curve in curves]).sum(axis=0)
    return lists, [round(r / n, 4) if n else None for r, n in zip(total.tolist(), lists, strict=True)]


def over_parts(sums: Values, figure: Callable[[Values], float]) -> Interval:
    """A figure of sums over all parts, and its 95 % interval.

    The figure with each part left out in turn tells how much it hangs on chance (the delete-one-group
    jackknife); the interval is Student's, with one degree of freedom less than there are parts. Where parts are
    equally large, the figure of all is the mean of theirs, and this is the t interval of that mean.

    Parameters
    ----------
    sums : ndarray of float64, shape (parts, ...)
        Of each part.
    figure
        Makes the figure of sums like those of one part.

    Returns
    -------
    Interval
        Bounds are NaN where a single part, or one left out, tells nothing.

    References
    ----------
    Efron, Tibshirani: An introduction to the bootstrap, 1993, ch. 11. MacKinnon, Nielsen, Webb: Fast and reliable
    jackknife and bootstrap methods for cluster-robust inference, J. Applied Econometrics 2023 (with t quantiles).

    Examples
    --------
    Clicks and lists of three parts, 10, 20 and 30 clicks in 100 lists each:

    >>> sums = np.array([[10.0, 100.0], [20.0, 100.0], [30.0, 100.0]])
    >>> over_parts(sums, lambda total: total[0] / total[1]).rounded()
    Interval(mean=0.2, low=-0.048434, high=0.448434)
    """
    whole, parts = sums.sum(axis=0), len(sums)
    value = float(figure(whole))
    if not 1 < parts <= len(_STUDENT) + 1:
        return Interval(value, math.nan, math.nan)
    without = np.array([figure(whole - each) for each in sums])
    error = math.sqrt((parts - 1) * float(np.var(without)))
    half = _STUDENT[parts - 2] * error
    return Interval(value, value - half, value + half)


def _simulate(options: Sequence[str], settings: dict[str, object], out: Path) -> Regret | None:
    """Run one arm on one part; outcomes go to `out`, the regret is returned where it is known."""
    said, report = out.with_suffix(".log"), out.with_suffix(".report.json")
    command = [sys.executable, "-m", "stream_app", "simulate", *options]
    command += ["--own-servers", "--outcomes", str(out), "--report", str(report)]
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
    return msgspec.json.decode(report.read_bytes(), type=_Reported).regret


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
        told[name] = _told(over_parts(sums, lambda total, figure=figure: _ratio(total[at], figure)))  # type: ignore[misc]
    return told


def _pair(sums: Values, arm: str, against: str, name: str) -> dict[str, Any]:
    one, other = list(ARMS).index(arm), list(ARMS).index(against)
    figure = FIGURES[name]
    difference = over_parts(sums, lambda total: _ratio(total[one], figure) - _ratio(total[other], figure))
    pair = {"policy": arm, "against": against, "figure": name, "difference": _told(difference)}
    # by its logarithm, which is as far from 0 for half as for twice
    times = over_parts(sums, lambda total: _log_ratio(total, one, other, figure))
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


def regret_table(regret: dict[str, Any]) -> Table:
    """Regret a list over the shop's time, in pieces of about half a day, a bar where tastes change.

    Parameters
    ----------
    regret
        As `measure` tells it.
    """
    days, shifts = regret["days"], set(regret["shifts"])
    together = max(1, round(len(days) * 0.5 / days[-1]))
    arms = list(regret["per_list"])
    table = Table("day", *arms, box=None, pad_edge=False, title="regret a list", title_justify="left")
    for at in range(0, len(days), together):
        begin, end = days[at - 1] if at else 0.0, days[min(at + together, len(days)) - 1]
        if any(begin <= shift < end for shift in shifts):
            table.add_row("tastes change", *("" for _ in arms))
        piece = slice(at, at + together)
        cells = [_mean(regret["lists"][arm][piece], regret["per_list"][arm][piece]) for arm in arms]
        table.add_row(f"{begin:g} to {end:g}", *cells)
    return table


def _mean(lists: Sequence[int], per_list: Sequence[float | None]) -> str:
    total = sum(n * each for n, each in zip(lists, per_list, strict=True) if each is not None)
    return f"{total / sum(lists):.3f}" if any(lists) else "-"


def main(
    sessions: Annotated[
        Path | None,
        typer.Option(exists=True, help="The log that shoppers follow; without it they are generated."),
    ] = None,
    log_format: Annotated[
        str, typer.Option("--format", help="Of the log, as `headrace simulate`.")
    ] = "diginetica",
    parts: Annotated[
        int, typer.Option(min=1, max=10, help="Tenths of the log that are run, or seeds of generated shops.")
    ] = 10,
    shoppers: Annotated[int, typer.Option(min=1, help="Shoppers of each part, at most.")] = 400,
    warm_up: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the log fed as it is first.")
    ] = 0.03,
    report: Annotated[Path, typer.Option(help="Write all figures here.")] = Path("build/closed_loop.json"),
) -> None:
    """Compare Thompson sampling, the fused order and the popularity page in a closed loop.

    Some 40 seconds a run, three runs a part. Example: `python -m stream_app.tools.bench.closed_loop --sessions
    train_sessions.jsonl.gz`.
    """
    chosen = (
        shops_of(parts, shoppers)
        if sessions is None
        else tenths_of(sessions, log_format, parts, shoppers, warm_up)
    )
    console = Console(width=None if sys.stdout.isatty() else 120)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("closed loop", total=parts * len(ARMS))

        def done(what: str) -> None:
            bar.update(task, advance=1, description=what)
            if not console.is_terminal:
                console.print(what)

        told = measure(chosen, done)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(told, indent=2))
    console.print(_table(told))
    if "regret" in told:
        console.print(regret_table(told["regret"]))
    console.print(f"all figures in {report}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except UserError as error:
        sys.exit(f"closed loop: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
