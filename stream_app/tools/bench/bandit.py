"""``python -m stream_app.tools.bench.bandit``: the policies beside River's, on its environments and a linear one.

Everything in one run: regret with 95 % intervals over the seeds, steps a second, and what a decision and an update
cost at the size the ranker uses them. As a table and as ``build/bandit.json``.
"""

import json
import math
import platform
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from stream_app.bandit.policy_registry import POLICIES, create_policy, warm_up
from stream_app.errors import UserError
from stream_app.tools.bench.bandit_agents import ENTRANTS, Entrant
from stream_app.tools.bench.bandit_environments import ENVIRONMENTS, RIVER_NEEDED, Environment, Linear
from stream_app.tools.bench.bandit_loops import play_arms, play_linear
from stream_app.tools.evaluation.progress import Tell, watching
from stream_app.tools.evaluation.statistics import Bootstrap

CANDIDATES: Final = 200
FEATURES: Final = 20
PLACES: Final = 20
"""Of the decisions that are timed."""

LOOP_RUNS: Final = 20
"""Runs of a compiled loop a seed, which alone would be over too soon to be timed."""

LOOP: Final = "compiled loop, policy alone"
"""Names, in the report, the first policy of ours played in machine code, less the time of the problem."""

WHOLE: Final = "compiled loop, with the problem"
"""Names the same runs, with all of their time."""


def measure_regret(seeds: int, tell: Tell) -> dict[str, Any]:
    """Run each entrant on each environment; all of them in turn a seed, since the machine's pace changes.

    Parameters
    ----------
    seeds
        Runs of each; the same problems for all entrants.
    tell
        Told the runs done.

    Returns
    -------
    dict
        By environment and entrant: ``regret`` (mean and 95 % interval), ``steps_per_second`` (median; time in the
        policy alone, but for `WHOLE`), and for ours ``against`` each of River's: the interval of the difference,
        paired by seed, and the median of the ratios of the steps a second, paired alike.
    """
    done = 0
    figures: dict[str, Any] = {}
    for environment, make in ENVIRONMENTS.items():
        entrants = ENTRANTS[environment]
        regrets = {name: np.zeros(seeds) for name in (*entrants, LOOP, WHOLE)}
        rates = {name: np.zeros(seeds) for name in (*entrants, LOOP, WHOLE)}
        _loop(environment, 0, make.steps, playing=True)
        for seed in range(seeds):
            for name, enter in entrants.items():
                regrets[name][seed], rates[name][seed] = _run(make(seed), enter(1_000 + seed), make.steps)
                done += 1
                tell(done)
            regrets[LOOP][seed], rates[LOOP][seed], rates[WHOLE][seed] = _run_loop(
                environment, seed, make.steps
            )
            regrets[WHOLE][seed] = regrets[LOOP][seed]
        figures[environment] = {
            "steps": make.steps,
            "entrants": {name: _entry(name, regrets, rates) for name in regrets},
        }
    return figures


def _run(run: Environment, entrant: Entrant, steps: int) -> tuple[float, float]:
    """Regret, and steps a second of the policy alone."""
    spent = 0
    for _ in range(steps):
        features, context = run.features, run.context
        start = time.perf_counter_ns()
        arm = entrant.pull(features, context)
        pulled = time.perf_counter_ns()
        reward = run.pull(arm)
        back = time.perf_counter_ns()
        entrant.update(arm, reward)
        spent += time.perf_counter_ns() - back + pulled - start
    return run.regret, steps / spent * 1e9


def _run_loop(environment: str, seed: int, steps: int) -> tuple[float, float, float]:
    """Mean regret of the runs in machine code, and steps a second of the policy alone and with the problem.

    The time of the problem is that of the same loop without the policy, each run beside its own; of both the median
    counts, since the machine may turn to others in the middle of a run.
    """
    regrets, whole, problem = np.zeros((3, LOOP_RUNS))
    for turn in range(LOOP_RUNS):
        start = time.perf_counter()
        regrets[turn] = _loop(environment, LOOP_RUNS * seed + turn, steps, playing=True)
        middle = time.perf_counter()
        _loop(environment, LOOP_RUNS * seed + turn, steps, playing=False)
        whole[turn], problem[turn] = middle - start, time.perf_counter() - middle
    both, less = float(np.median(whole)), float(np.median(problem))
    return float(regrets.mean()), steps / (both - less), steps / both


def _loop(environment: str, seed: int, steps: int, *, playing: bool) -> float:
    """Regret of a run in machine code on a problem of the same kind."""
    rng = np.random.default_rng(seed)
    if environment == "Linear":
        weights = rng.normal(size=Linear.traits) / math.sqrt(Linear.traits)
        items = rng.normal(size=(Linear.arms, Linear.traits))
        return play_linear(weights, items, Linear.noise, steps, seed, playing)
    if environment == "CandyCaneContest":
        return play_arms(rng.random(100), 0.97, False, 2.0, 0.5, 1.0, steps, seed, playing)
    return play_arms(rng.normal(size=10), 1.0, True, 1.0, 0.0, 1.0, steps, seed, playing)


def _entry(
    name: str, regrets: dict[str, NDArray[np.float64]], rates: dict[str, NDArray[np.float64]]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "regret": _interval(regrets[name]),
        "steps_per_second": round(float(np.median(rates[name]))),
    }
    if not name.startswith("River"):
        entry["against"] = {
            other: {
                "regret_difference": _interval(regrets[name] - regrets[other]),
                "speed_ratio": round(float(np.median(rates[name] / rates[other])), 2),
            }
            for other in regrets
            if other.startswith("River")
        }
    return entry


def _interval(values: NDArray[np.float64]) -> dict[str, float]:
    [interval] = Bootstrap(np.arange(len(values)), resamples=4_000).intervals(values[:, None])
    return {
        "mean": round(interval.mean, 2),
        "low": round(interval.low, 2),
        "high": round(interval.high, 2),
    }


def measure_latency(decisions: int) -> dict[str, Any]:
    """Time decisions with their propensities, and updates, in microseconds."""
    rng = np.random.default_rng(1)
    options = rng.random((CANDIDATES, FEATURES)).astype(np.float32)
    options[:, 0] = np.sort(options[:, 0])[::-1]
    items = np.arange(1, CANDIDATES + 1, dtype=np.uint64)
    places = np.arange(PLACES, dtype=np.int32)
    figures = {}
    for name in POLICIES:
        policy = create_policy(name, FEATURES)
        times = np.zeros((decisions, 4))
        for turn in range(decisions):
            now = float(turn)
            start = time.perf_counter_ns()
            slate = policy.decide(options, PLACES, turn, items)
            decided = time.perf_counter_ns()
            policy.decide(options, PLACES, turn + 1, items)
            again = time.perf_counter_ns()
            shown, which = options[slate.order], items[slate.order]
            before = time.perf_counter_ns()
            policy.see(shown, places, now, which)
            seen = time.perf_counter_ns()
            policy.reward(shown[3], 3, 1.0, now, item=int(which[3]), user=f"u{turn % 100}")
            rewarded = time.perf_counter_ns()
            times[turn] = (
                again - decided,
                decided - start,
                (seen - before) / PLACES,
                rewarded - seen,
            )
        middle, high = np.quantile(times[len(times) // 10 :] / 1e3, (0.5, 0.99), axis=0)
        names = ("decision_us", "decision_after_update_us", "see_us_an_item", "reward_us")
        figures[name] = {
            each: {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}
            for each, p50, p99 in zip(names, middle, high, strict=True)
        }
    return figures


def measure(seeds: int, console: Console) -> dict[str, Any]:
    """Measure everything.

    Raises
    ------
    UserError
        If River's environments are not there.
    """
    try:
        import gymnasium  # noqa: F401, PLC0415 - optional, and River hides its environments without it
    except ImportError as error:
        raise UserError(RIVER_NEEDED) from error
    warm_up()
    runs = seeds * sum(len(each) for each in ENTRANTS.values())
    with watching(console)("regret", runs) as tell:
        regret = measure_regret(seeds, tell)
    with watching(console)("times", 1):
        latency = measure_latency(2_000)
    return {
        "machine": {"python": platform.python_version(), "processor": platform.machine()},
        "seeds": seeds,
        "environments": regret,
        "latency": {
            "candidates": CANDIDATES,
            "features": FEATURES,
            "places": PLACES,
            "policies": latency,
        },
    }


def _tables(figures: dict[str, Any]) -> list[Table]:
    regret = Table("environment", "policy", "regret", "95 % interval", "steps/s", "against River", box=None)
    for number in (2, 3, 4):
        regret.columns[number].justify = "right"
    for environment, each in figures["environments"].items():
        for name, entry in each["entrants"].items():
            regret.add_row(environment, name, *_cells(entry), _against(entry))
    latency = Table("policy, µs (p50)", "decision", "after an update", "seen, an item", "reward", box=None)
    for column in latency.columns[1:]:
        column.justify = "right"
    for name, times in figures["latency"]["policies"].items():
        latency.add_row(name, *(f"{each['p50']:,.1f}" for each in times.values()))
    return [regret, latency]


def _cells(entry: dict[str, Any]) -> tuple[str, str, str]:
    regret = entry["regret"]
    return (
        f"{regret['mean']:,.1f}",
        f"{regret['low']:,.1f} to {regret['high']:,.1f}",
        f"{entry['steps_per_second']:,}",
    )


def _against(entry: dict[str, Any]) -> str:
    told = []
    for name, each in entry.get("against", {}).items():
        difference = each["regret_difference"]
        told.append(
            f"{difference['mean']:+,.0f} ({difference['low']:+,.0f} to {difference['high']:+,.0f}), "
            f"{each['speed_ratio']:.1f} x {name[6:]}"
        )
    return "; ".join(told)


def bench(
    seeds: Annotated[int, typer.Option(help="Runs of each policy on each environment.", min=2)] = 20,
    report: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path("build/bandit.json"),
) -> None:
    """Compare the bandit policies with River's: regret, steps a second, and what a decision costs.

    Regrets do not depend on the machine; of the times, compare ratios.
    """
    console = Console(width=None if sys.stdout.isatty() else 180)
    figures = measure(seeds, console)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures, indent=2) + "\n")
    for table in _tables(figures):
        console.print(table)
        console.print()
    console.print(f"written to {report}")


def main() -> None:
    """Run; an error for people becomes one sentence."""
    try:
        typer.run(bench)
    except UserError as error:
        print(f"headrace bandit bench: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
