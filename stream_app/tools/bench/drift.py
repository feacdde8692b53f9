"""What faster decay after a drift brings: a generated shop with shifts of tastes, in memory and in the shop's time.

The components of a worker run over ports in memory, and the clock of the broker is that of the shop: a half-life of
days means days of the shop, which it does not in ``headrace simulate``, where ten days pass in a minute. Users take
their steps one after the other, so that a run depends on its seed alone.
"""

import heapq
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import typer
from msgspec import structs
from rich.console import Console
from rich.table import Table

from state.row import EMPTY_ROW, UserRow
from state.snapshots.store import folder_store
from state.user_rows import UnreadableRow
from stream_app.client.redis_contract import decode_list
from stream_app.experiment.drift import Detector, Direction, Drift
from stream_app.kafka.event_records import event_record
from stream_app.metrics import Metrics
from stream_app.publishing.list_builder import ListBuilder
from stream_app.publishing.memory_publisher import MemoryPublisher
from stream_app.ranking.assembly import make_ranker
from stream_app.settings import Settings
from stream_app.tools.bench.closed_loop import jackknife_interval
from stream_app.tools.console import run_script
from stream_app.tools.evaluation.bootstrap import Values
from stream_app.tools.progress import progress_bar
from stream_app.tools.simulator.preference_world import DAY
from stream_app.tools.simulator.simulated_user import NAMED_REACTION_SETTINGS, SimulatedUser
from stream_app.tools.simulator.simulation_options import SimulationOptions
from stream_app.tools.simulator.tally import ExaminedLists, SimulationTally
from stream_app.tools.simulator.user_sources import GeneratedUserSource
from stream_app.worker.bootstrap import Components, Ports, build_components
from topics.catalog import CONTROL
from topics.events import Event, format_time
from topics.records import RecommendationList

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


class _Rows:
    """Rows in a dict."""

    def __init__(self) -> None:
        self.on_unreadable: Callable[[UnreadableRow], None] = lambda _: None
        self._rows: dict[str, UserRow] = {}

    def get(self, user_id: str) -> UserRow:
        return self._rows.get(user_id, EMPTY_ROW)

    def put(self, user_id: str, row: UserRow, partition: int) -> None:
        del partition
        self._rows[user_id] = row

    def partition_of(self, user_id: str) -> int:
        del user_id
        return 0

    def scan(self) -> Iterator[tuple[str, UserRow]]:
        yield from self._rows.items()

    def clear_cache(self) -> None:
        """Do nothing: there is no cache."""


class ShopInMemory:
    """A worker without Kafka and Redis, in the time of its events."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.now = 0.0
        self.metrics = Metrics()
        self._rows = _Rows()
        self._offsets: dict[str, int] = {}
        clock = lambda: self.now  # noqa: E731  # a port
        ports = Ports(
            self._rows,
            self._append,
            MemoryPublisher(),
            folder_store(folder),
            self.metrics,
            clock,
            timer=clock,
        )
        self.components: Components = build_components(settings, ports)
        self._lists = ListBuilder(
            make_ranker(self.components.models, settings.ranking_config), self._rows, self.metrics
        )

    def _append(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, on_delivered: Any = None, /
    ) -> None:
        """Apply records of the control topic; no one else reads what a single worker writes."""
        del partition, on_delivered
        if topic == CONTROL.name and key is not None:
            self.components.policies.apply_record(key, value, self.now, 0)

    def send(self, event: Event) -> None:
        """Process an event of a user."""
        record = event_record(event)
        offset = self._offsets[record.topic] = self._offsets.get(record.topic, -1) + 1
        message = SimpleNamespace(
            topic=record.topic,
            partition=0,
            offset=offset,
            timestamp=self.now,
            key=record.key,
            value=record.value,
        )
        letter = self.components.user_events.handle(message)
        if letter is not None:
            raise RuntimeError(f"an event of the simulator was refused: {letter}")

    def list_for(self, user: SimulatedUser) -> RecommendationList | None:
        """The list of a user's page, as the worker publishes it and the client reads it."""
        lists = self._lists.build_user_lists(
            user.user_id, format_time(self.now), degraded=False, with_search=False
        )
        if lists is None:
            return None
        self.components.list_store.add(user.user_id, 0, lists.recommended.published)
        displayed = decode_list(lists.recommended.document.value)
        items = tuple(each for each in displayed.items if each.id != user.current_item)
        return structs.replace(displayed, items=items) if items else None


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
    tally = _run_users(shop, source, shifts if arm.known else [])
    displayed = tally.displayed()
    after = np.zeros(len(displayed.time), np.bool_)
    for shift in shifts:
        after |= (displayed.time >= shift) & (displayed.time < shift + AFTER_SHIFT)
    return Outcome(*_sums(displayed, np.ones_like(after)), *_sums(displayed, after)), found


def _run_users(shop: ShopInMemory, source: GeneratedUserSource, known_shifts: list[float]) -> SimulationTally:
    tally, models = SimulationTally(), shop.components.models
    for item in source.warm_up():
        models.learn_catalog(item)  # type: ignore[arg-type]  # the warm-up of a generated shop is its catalog
    arrivals, shifts = list(source.arrivals())[::-1], known_shifts[::-1]
    queue = [
        (user.next_time, number, user)
        for number, user in enumerate(source.users())
        if user.next_time is not None
    ]
    heapq.heapify(queue)
    while queue:
        now, number, user = heapq.heappop(queue)
        shop.now = now
        while arrivals and arrivals[-1].time <= now:
            models.learn_catalog(arrivals.pop())
        while shifts and shifts[-1] <= now:
            fall = Drift("hit_rate", Detector.ADWIN, Direction.DOWN, 0.0, 0.0, is_sure=True)
            shop.components.decay.on_loss(fall, shifts.pop())
        displayed = shop.list_for(user)
        step = user.step(displayed)
        for event in step.events:
            shop.send(event)
        tally.add(user.user_id, now, displayed, step, is_user_list=True)
        if user.next_time is not None:
            heapq.heappush(queue, (user.next_time, number, user))
    return tally


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
