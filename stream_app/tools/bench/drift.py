"""Faster decay after a drift, in generated shops with shifts of tastes, in memory and in the time of the shop."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import typer
from msgspec import structs
from rich.console import Console
from rich.table import Table

from stream_app.experiment.drift import Detector, Direction, Drift
from stream_app.settings import Settings
from stream_app.tools.bench.closed_loop import jackknife_interval
from stream_app.tools.bench.shop_in_memory import ShopInMemory, run_users
from stream_app.tools.console import run_script
from stream_app.tools.evaluation.bootstrap import Values
from stream_app.tools.progress import progress_bar
from stream_app.tools.simulator.preference_world import DAY
from stream_app.tools.simulator.simulated_user import NAMED_REACTION_SETTINGS
from stream_app.tools.simulator.simulation_options import SimulationOptions
from stream_app.tools.simulator.tally import ExaminedLists
from stream_app.tools.simulator.user_sources import GeneratedUserSource

END: Final = 1.75e9
"""The end of the shop's time, seconds since the epoch."""

AFTER_SHIFT: Final = 1.5 * DAY
"""Time after a shift that is reported by itself."""


class Arm(NamedTuple):
    """What is compared."""

    rate: float  # how many times as fast counts lose weight after a drift
    seconds: float  # and for how long
    known: bool = False  # whether the shifts are known, instead of detected

    @property
    def name(self) -> str:
        """Name in the table."""
        if self.rate == 1.0:
            return "unchanged"
        return f"x{self.rate:g} for {self.seconds / DAY:g} d" + (", shifts known" if self.known else "")


class Outcome(NamedTuple):
    """The sums of a run."""

    lists: float
    clicks: float
    regret: float
    lists_after_shift: float
    clicks_after_shift: float
    regret_after_shift: float


def run_shop(seed: int, users: int, arm: Arm, folder: Path) -> tuple[Outcome, list[float]]:
    """Run a shop; its sums, and the days at which a sure fall was found."""
    source = GeneratedUserSource(SimulationOptions(seed=seed, users=users), "", END)
    shop = ShopInMemory(
        Settings(
            data_dir=folder,
            max_event_age=0.0,
            drift_decay_rate=arm.rate,
            drift_decay_seconds=arm.seconds,
            **dict(NAMED_REACTION_SETTINGS),  # type: ignore[arg-type]
        ),
        folder,
    )
    found: list[float] = []
    drift, decay = shop.components.drift, shop.components.decay

    def on_loss(loss: Drift, at: float) -> None:
        found.append((at - source.begin) / DAY)
        if not arm.known:
            decay.on_loss(loss, at)

    drift.on_loss = on_loss
    shifts = [source.begin + day * DAY for day in SimulationOptions().shifts]
    left = shifts[::-1] if arm.known else []

    def announce_known_shift(now: float) -> None:
        if left and left[-1] <= now:
            fall = Drift("hit_rate", Detector.ADWIN, Direction.DOWN, 0.0, 0.0, is_sure=True)
            decay.on_loss(fall, left.pop())

    displayed = run_users(shop, source, announce_known_shift).displayed()
    after = np.zeros(len(displayed.time), np.bool_)
    for shift in shifts:
        after |= (displayed.time >= shift) & (displayed.time < shift + AFTER_SHIFT)
    return Outcome(*_sums(displayed, np.ones_like(after)), *_sums(displayed, after)), found


def _sums(displayed: ExaminedLists, rows: Any) -> tuple[float, float, float]:
    """Lists, clicks and regret of some lists."""
    regret = (displayed.best - displayed.expected)[rows].sum()
    return float(rows.sum()), float(displayed.clicked[rows].sum()), float(regret)


_METRICS: Final = {
    "clicks": (1, 0),
    "regret": (2, 0),
    "clicks_after_shift": (4, 3),
    "regret_after_shift": (5, 3),
}
"""Fields of `Outcome` whose ratio is a metric."""


def compare(outcomes: dict[str, list[Outcome]]) -> dict[str, Any]:
    """Rates of each arm, and differences to the first one, with 95 % intervals over seeds."""
    sums = np.array(list(outcomes.values())).transpose(1, 0, 2)
    results: dict[str, Any] = {}
    for number, arm in enumerate(outcomes):
        results[arm] = {}
        for metric in _METRICS:
            results[arm][metric] = _interval(sums, metric, number)
            if number:
                results[arm][f"{metric}_difference"] = _interval(sums, metric, number, minus=0)
    return results


def _interval(sums: Values, metric: str, arm: int, minus: int | None = None) -> dict[str, float]:
    """A metric of an arm, or its difference to that of another one, over seeds."""
    top, bottom = _METRICS[metric]

    def statistic(each: Values) -> float:
        rates = each[:, top] / each[:, bottom]
        return float(rates[arm] - (0.0 if minus is None else rates[minus]))

    return structs.asdict(jackknife_interval(sums, statistic).rounded())


def _table(results: dict[str, Any]) -> Table:
    names = ("clicks", "regret", "clicks_after_shift", "regret_after_shift")
    table = Table("per list", *(name.replace("_", " ") for name in names), box=None, pad_edge=False)
    for arm, each in results.items():
        cells = []
        for name in names:
            difference = each.get(f"{name}_difference")
            cells.append(
                f"{each[name]['mean']:.4f}"
                if difference is None
                else f"{difference['mean']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}]"
            )
        table.add_row(arm, *cells)
    return table


def main(
    seeds: Annotated[int, typer.Option(min=2, max=10, help="Generated shops, with seeds from 1.")] = 5,
    users: Annotated[int, typer.Option(min=1, help="Users of each shop.")] = 400,
    rates: Annotated[str, typer.Option(help="Rates of decay after a drift, comma-separated.")] = "4,16",
    days: Annotated[float, typer.Option(min=0.01, help="Days for which it is faster.")] = 1.0,
    report: Annotated[Path, typer.Option(help="Write all results here.")] = Path("build/drift.json"),
) -> None:
    """Compare decay that is faster after a drift with the unchanged one, in generated shops with two shifts."""
    arms = [Arm(1.0, DAY)]
    for rate in map(float, rates.split(",")):
        arms += [Arm(rate, days * DAY), Arm(rate, days * DAY, known=True)]
    console = Console(width=None if sys.stdout.isatty() else 130)
    outcomes: dict[str, list[Outcome]] = {arm.name: [] for arm in arms}
    found: dict[str, list[list[float]]] = {arm.name: [] for arm in arms}
    with (
        progress_bar(console, "drift", seeds * len(arms)) as update_bar,
        tempfile.TemporaryDirectory() as folder,
    ):
        for number, (seed, arm) in enumerate((seed, arm) for seed in range(1, seeds + 1) for arm in arms):
            outcome, days_found = run_shop(seed, users, arm, Path(folder))
            outcomes[arm.name].append(outcome)
            found[arm.name].append([round(day, 2) for day in days_found])
            update_bar(number + 1, f"seed {seed}, {arm.name}")
    results = {
        "arms": compare(outcomes),
        "found_at_days": found,
        "sums": {arm: [list(each) for each in runs] for arm, runs in outcomes.items()},
    }
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(results, indent=2))
    console.print(_table(results["arms"]))
    console.print("sure falls found at days (shifts at 4 and 7):", *found[arms[0].name], highlight=False)
    console.print(f"all results in {report}")


if __name__ == "__main__":
    run_script(main, "drift")
