"""The default policies against the fused order alone, in generated shops that send impressions and that do not."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from stream_app.settings import Settings
from stream_app.tools.bench.closed_loop import jackknife_interval
from stream_app.tools.bench.drift import END
from stream_app.tools.bench.shop_in_memory import ShopInMemory, run_users
from stream_app.tools.console import run_script
from stream_app.tools.evaluation.bootstrap import Values
from stream_app.tools.progress import progress_bar
from stream_app.tools.simulator.simulated_user import NAMED_REACTION_SETTINGS
from stream_app.tools.simulator.simulation_options import SimulationOptions
from stream_app.tools.simulator.user_sources import GeneratedUserSource


class Arm(NamedTuple):
    """Policies, and whether the shop sends impressions."""

    name: str
    policies: dict[str, float]
    impressions: bool


ARMS: Final = (
    Arm("fused order", {"fixed": 1.0}, impressions=True),
    Arm("default", {"thompson": 0.9, "fixed": 0.1}, impressions=True),
    Arm("fused order, no impressions", {"fixed": 1.0}, impressions=False),
    Arm("default, no impressions", {"thompson": 0.9, "fixed": 0.1}, impressions=False),
)
"""Each second arm is compared with the one before it."""


def run_arm(seed: int, users: int, arm: Arm, folder: Path) -> tuple[float, float, float]:
    """Lists, clicks and order lines from lists in one shop."""
    settings = Settings(
        data_dir=folder,
        max_event_age=0.0,
        policies=arm.policies,
        **dict(NAMED_REACTION_SETTINGS),  # type: ignore[arg-type]
    )
    source = GeneratedUserSource(SimulationOptions(seed=seed, users=users), "", END)
    tally = run_users(ShopInMemory(settings, folder), source, impressions=arm.impressions)
    displayed = tally.displayed()
    return (
        float(len(displayed.time)),
        float(displayed.clicked.sum()),
        float(len(tally.attributed_sales().user)),
    )


def lift(sums: Values, arm: int, metric: int) -> str:
    """The lift of an arm over the one before it, with its 95 % interval over shops."""

    def statistic(total: Values) -> float:
        one, other = (total[number, metric] / total[number, 0] for number in (arm, arm - 1))
        return float(np.log(one / other))

    interval = jackknife_interval(sums, statistic)
    mean, low, high = (np.expm1(each) for each in (interval.mean, interval.low, interval.high))
    return f"{mean:+.1%} [{low:+.1%}, {high:+.1%}]"


def main(
    seeds: Annotated[int, typer.Option(min=2, max=10, help="Generated shops, with seeds from 1.")] = 5,
    users: Annotated[int, typer.Option(min=1, help="Users of each shop.")] = 200,
) -> None:
    """Compare the default policies with the fused order, with and without impressions."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    sums = np.zeros((seeds, len(ARMS), 3))
    with (
        progress_bar(console, "policies", seeds * len(ARMS)) as update_bar,
        tempfile.TemporaryDirectory() as path,
    ):
        for seed in range(seeds):
            for number, arm in enumerate(ARMS):
                sums[seed, number] = run_arm(seed + 1, users, arm, Path(path))
                update_bar(seed * len(ARMS) + number + 1, f"seed {seed + 1}, {arm.name}")
    table = Table(
        "", "lists", "clicks per list", "sales per list", "lift of clicks", "lift of sales", box=None
    )
    for number, arm in enumerate(ARMS):
        lists, clicks, sales = sums[:, number].sum(axis=0)
        lifts = [lift(sums, number, metric) for metric in (1, 2)] if number % 2 else ["", ""]
        table.add_row(arm.name, f"{lists:,.0f}", f"{clicks / lists:.4f}", f"{sales / lists:.4f}", *lifts)
    console.print(table)


if __name__ == "__main__":
    run_script(main, "default policies")
