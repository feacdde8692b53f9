"""Click-through and conversion of policies in a closed loop, shopper by shopper, over disjoint tenths of a log.

For each tenth and each arm ``headrace simulate`` is run on servers of its own: the same shoppers, as patient,
read the lists of that arm's policy through the real broker and Redis. So two arms are compared shopper by shopper.
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
from stream_app.evaluation.statistics import Values
from stream_app.settings import child_environment
from stream_app.simulator import outcomes as simulated
from stream_app.simulator.outcomes import CLICK_THROUGH, COLUMNS, Outcomes

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

Sums = dict[tuple[str, str], Values]
"""Sums of a shopper in the order of `COLUMNS`, by tenth and shopper."""


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
        Figures of each arm and differences of each pair, with 95 % intervals over shoppers.
    """
    sums: dict[str, Sums] = {arm: {} for arm in ARMS}
    with tempfile.TemporaryDirectory(prefix="headrace-loop-") as folder:
        for tenth in range(1, tenths + 1):
            for arm, settings in ARMS.items():
                out = Path(folder) / f"{arm}-{tenth}.json"
                _simulate(log, log_format, tenth, shoppers, warm_up, settings, out)
                for shopper, values in _own_lists(out).items():
                    sums[arm][str(tenth), shopper] = values
                done(f"{arm}, tenth {tenth}")
    outcomes = _together(sums)
    return {
        "arms": {arm: _arm(outcomes, arm) for arm in ARMS},
        "pairs": [_pair(outcomes, *pair, name) for pair in PAIRS for name in FIGURES],
    }


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


def _own_lists(out: Path) -> dict[str, Values]:
    """Sums of each shopper's own lists; a page shown for want of one is nobody's."""
    told = Outcomes.read(out)
    own = [at for at, policy in enumerate(told.policies) if not policy.endswith("(fallback)")]
    return dict(zip(told.users, told.sums[:, own].sum(axis=1), strict=True))


def _together(sums: dict[str, Sums]) -> Outcomes:
    """All arms, shopper by shopper; whoever had lists in one run alone counts with none in the others."""
    shoppers = list(dict.fromkeys(shopper for of_arm in sums.values() for shopper in of_arm))
    nothing = np.zeros(len(COLUMNS))
    rows = [[of_arm.get(shopper, nothing) for of_arm in sums.values()] for shopper in shoppers]
    return Outcomes([" ".join(shopper) for shopper in shoppers], list(sums), np.array(rows))


def _arm(outcomes: Outcomes, arm: str) -> dict[str, Any]:
    told: dict[str, Any] = {"shoppers": outcomes.shoppers(arm), "lists": int(outcomes.total(arm, "lists"))}
    found = outcomes.intervals(arm, list(FIGURES.values()))
    return told | {name: asdict(each) for name, each in zip(FIGURES, found, strict=True)}


def _pair(outcomes: Outcomes, arm: str, against: str, name: str) -> dict[str, Any]:
    figure = FIGURES[name]
    pair: dict[str, Any] = {"policy": arm, "against": against, "figure": name}
    pair["difference"] = asdict(outcomes.difference(arm, against, figure))
    percent = outcomes.lift(arm, against, figure)
    if math.isfinite(percent.mean):
        pair["lift"] = {bound: value / 100.0 for bound, value in asdict(percent).items()}
    return pair


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


def _span(interval: dict[str, float], form: str) -> str:
    mean, low, high = (form.format(interval[bound]) for bound in ("mean", "low", "high"))
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
