"""Click-through and conversion of policies in a closed loop, shopper by shopper, over disjoint tenths of a log.

For each tenth and each arm ``headrace simulate`` is run on servers of its own: the same shoppers, as patient,
read the lists of that arm's policy through the real broker and Redis. So two arms are compared shopper by shopper.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_app.embedded.process import log_tail
from stream_app.errors import UserError
from stream_app.settings import child_environment

ARMS: Final[dict[str, dict[str, object]]] = {
    "popularity": {"models": ["popularity"], "fusion": "rrf", "policies": {"fixed": 1.0}},
    "fixed": {"policies": {"fixed": 1.0}},
    "thompson": {"policies": {"thompson": 1.0}},
}
"""Settings of each arm: the popularity page, the fused order as it is, and Thompson sampling on it."""

PAIRS: Final = (("fixed", "popularity"), ("thompson", "popularity"), ("thompson", "fixed"))
FIGURES: Final = {"clicks": "click-through", "conversions": "conversion"}
_RESAMPLES: Final = 2_000

Sums = dict[tuple[str, str], NDArray[np.float64]]
"""Lists, clicks, conversions by tenth and shopper."""


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
    return {"arms": {arm: _arm(each) for arm, each in sums.items()}, "pairs": _pairs(sums)}


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


def _own_lists(out: Path) -> dict[str, NDArray[np.float64]]:
    """Lists, clicks and conversions of each shopper's own lists; a page shown for want of one is nobody's."""
    told = json.loads(out.read_text())
    columns = [told["columns"].index(name) for name in ("lists", *FIGURES)]
    found: dict[str, NDArray[np.float64]] = {}
    for shopper, policy, values in told["rows"]:
        if not policy.endswith("(fallback)"):
            found[shopper] = found.get(shopper, np.zeros(3)) + [values[column] for column in columns]
    return found


def _arm(sums: Sums) -> dict[str, Any]:
    rows = np.array(list(sums.values())).reshape(-1, 3)
    weights = _resamples(len(rows))
    told: dict[str, Any] = {"shoppers": len(rows), "lists": int(rows[:, 0].sum())}
    for column, name in enumerate(FIGURES, 1):
        told[name] = _interval(
            _share(rows, weights, column), rows[:, column].sum() / max(1.0, rows[:, 0].sum())
        )
    return told


def _pairs(sums: dict[str, Sums]) -> list[dict[str, Any]]:
    told = []
    for arm, against in PAIRS:
        # whoever had lists in one run alone counts with none in the other
        shoppers = sorted({*sums[arm], *sums[against]})
        mine, other = (
            np.array([sums[each].get(shopper, np.zeros(3)) for shopper in shoppers]).reshape(-1, 3)
            for each in (arm, against)
        )
        weights = _resamples(len(shoppers))
        for column, name in enumerate(FIGURES, 1):
            one, two = (rows[:, column].sum() / max(1.0, rows[:, 0].sum()) for rows in (mine, other))
            ones, twos = _share(mine, weights, column), _share(other, weights, column)
            pair: dict[str, Any] = {"policy": arm, "against": against, "figure": name}
            pair["difference"] = _interval(ones - twos, one - two)
            if two > 0:
                pair["lift"] = _interval(ones / np.maximum(twos, 1e-9) - 1.0, one / two - 1.0)
            told.append(pair)
    return told


def _resamples(n: int) -> NDArray[np.float64]:
    """How often each shopper is drawn, shape (resamples, n); the same for every figure, so that pairs stay pairs."""
    return np.random.default_rng(7).multinomial(n, np.full(n, 1.0 / n), _RESAMPLES).astype(np.float64)


def _share(rows: NDArray[np.float64], weights: NDArray[np.float64], column: int) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = (weights @ rows[:, column]) / np.maximum(1.0, weights @ rows[:, 0])
    return shares


def _interval(draws: NDArray[np.float64], mean: float) -> dict[str, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"mean": round(float(mean), 5), "low": round(float(low), 5), "high": round(float(high), 5)}


def _table(told: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "lists", *FIGURES.values()):
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
