"""``python -m stream_app.tools.bench.bandit``: the policies compared with River's, on bandit environments.

One run measures regret with 95 % intervals over the seeds, steps per second, and the latency of decisions and updates
at the size that the ranker uses. Output is a table and ``build/bandit.json``.
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

from stream_app.bandit.kernels.item_posteriors import ItemPrior
from stream_app.bandit.policy_registry import POLICIES, create_policy, warm_up
from stream_app.errors import UserError
from stream_app.tools.bench.bandit_agents import BENCH_AGENTS, BenchAgent
from stream_app.tools.bench.bandit_environments import (
    ENVIRONMENTS,
    RIVER_NEEDED,
    BanditEnvironment,
    LinearProblem,
)
from stream_app.tools.bench.bandit_loops import play_arms, play_linear
from stream_app.tools.console import run_script
from stream_app.tools.evaluation.bootstrap import ClusterBootstrap
from stream_app.tools.progress import UpdateProgress, progress_bars

CANDIDATES: Final = 200
FEATURES: Final = 20
SLATE_SIZE: Final = 20
"""Length of the slates whose latency is measured."""

LOOP_RUNS: Final = 20
"""Runs of a compiled loop per seed; a single one is too short to be timed."""

LOOP_POLICY_ONLY: Final = "compiled loop, policy alone"
"""Entry of the report: the first Headrace policy in a compiled loop, without the time of the environment."""

LOOP_WITH_PROBLEM: Final = "compiled loop, with the problem"
"""Entry of the report: the same runs with all of their time."""


def measure_regret(seeds: int, update_progress: UpdateProgress) -> dict[str, Any]:
    """Run each agent on each environment; all agents in turn for each seed, since the speed of the machine varies.

    Parameters
    ----------
    seeds
        Runs of each agent; the seeds are the same for all agents.

    Returns
    -------
    dict
        By environment and agent: ``regret`` (mean and 95 % interval), ``steps_per_second`` (median; time in the
        policy alone, except `LOOP_WITH_PROBLEM`), and for Headrace's ``versus_river`` by agent of River: the interval
        of the difference and the median ratio of the steps per second, both paired by seed.
    """
    n_done = 0
    results: dict[str, Any] = {}
    for environment, make_environment in ENVIRONMENTS.items():
        agents = BENCH_AGENTS[environment]
        regrets = {name: np.zeros(seeds) for name in (*agents, LOOP_POLICY_ONLY, LOOP_WITH_PROBLEM)}
        rates = {name: np.zeros(seeds) for name in (*agents, LOOP_POLICY_ONLY, LOOP_WITH_PROBLEM)}
        _play_loop(environment, 0, make_environment.steps, with_policy=True)
        for seed in range(seeds):
            for name, make_agent in agents.items():
                regrets[name][seed], rates[name][seed] = _run(
                    make_environment(seed), make_agent(1_000 + seed), make_environment.steps
                )
                n_done += 1
                update_progress(n_done)
            regrets[LOOP_POLICY_ONLY][seed], rates[LOOP_POLICY_ONLY][seed], rates[LOOP_WITH_PROBLEM][seed] = (
                _run_loop(environment, seed, make_environment.steps)
            )
            regrets[LOOP_WITH_PROBLEM][seed] = regrets[LOOP_POLICY_ONLY][seed]
        results[environment] = {
            "steps": make_environment.steps,
            "agents": {name: _summarize(name, regrets, rates) for name in regrets},
        }
    return results


def _run(run: BanditEnvironment, agent: BenchAgent, steps: int) -> tuple[float, float]:
    """Regret, and steps per second of the policy alone."""
    policy_ns = 0
    for _ in range(steps):
        features, context = run.features, run.context
        start = time.perf_counter_ns()
        arm = agent.pull(features, context)
        pulled_at = time.perf_counter_ns()
        reward = run.pull(arm)
        rewarded_at = time.perf_counter_ns()
        agent.update(arm, reward)
        policy_ns += time.perf_counter_ns() - rewarded_at + pulled_at - start
    return run.regret, steps / policy_ns * 1e9


def _run_loop(environment: str, seed: int, steps: int) -> tuple[float, float, float]:
    """Mean regret of the compiled runs, and steps per second of the policy alone and with the environment.

    The time of the environment is that of the same loop without the policy, measured after each run. Both times are
    medians, since other processes may interrupt a run.
    """
    regrets, loop_seconds, problem_seconds = np.zeros((3, LOOP_RUNS))
    for repeat in range(LOOP_RUNS):
        start = time.perf_counter()
        regrets[repeat] = _play_loop(environment, LOOP_RUNS * seed + repeat, steps, with_policy=True)
        medians = time.perf_counter()
        _play_loop(environment, LOOP_RUNS * seed + repeat, steps, with_policy=False)
        loop_seconds[repeat], problem_seconds[repeat] = medians - start, time.perf_counter() - medians
    loop_median, problem_median = float(np.median(loop_seconds)), float(np.median(problem_seconds))
    return float(regrets.mean()), steps / (loop_median - problem_median), steps / loop_median


def _play_loop(environment: str, seed: int, steps: int, *, with_policy: bool) -> float:
    """Regret of a compiled run on an environment of the same kind."""
    rng = np.random.default_rng(seed)
    if environment == "LinearProblem":
        weights = rng.normal(size=LinearProblem.n_features) / math.sqrt(LinearProblem.n_features)
        items = rng.normal(size=(LinearProblem.arms, LinearProblem.n_features))
        return play_linear(weights, items, LinearProblem.noise, steps, seed, with_policy)
    if environment == "CandyCaneContest":
        return play_arms(rng.random(100), 0.97, ItemPrior(2.0, 0.5, False, 1.0), steps, seed, with_policy)
    return play_arms(rng.normal(size=10), 1.0, ItemPrior(1.0, 0.0, True, 1.0), steps, seed, with_policy)


def _summarize(
    name: str, regrets: dict[str, NDArray[np.float64]], rates: dict[str, NDArray[np.float64]]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "regret": _interval(regrets[name]),
        "steps_per_second": round(float(np.median(rates[name]))),
    }
    if not name.startswith("River"):
        entry["versus_river"] = {
            other: {
                "regret_difference": _interval(regrets[name] - regrets[other]),
                "speed_ratio": round(float(np.median(rates[name] / rates[other])), 2),
            }
            for other in regrets
            if other.startswith("River")
        }
    return entry


def _interval(values: NDArray[np.float64]) -> dict[str, float]:
    [interval] = ClusterBootstrap(np.arange(len(values)), resamples=4_000).intervals(values[:, None])
    return {
        "mean": round(interval.mean, 2),
        "low": round(interval.low, 2),
        "high": round(interval.high, 2),
    }


def measure_latency(decisions: int) -> dict[str, Any]:
    """Time decisions with their propensities, and updates, in microseconds."""
    rng = np.random.default_rng(1)
    candidate_features = rng.random((CANDIDATES, FEATURES)).astype(np.float32)
    candidate_features[:, 0] = np.sort(candidate_features[:, 0])[::-1]
    items = np.arange(1, CANDIDATES + 1, dtype=np.uint64)
    positions = np.arange(SLATE_SIZE, dtype=np.int32)
    results = {}
    for name in POLICIES:
        policy = create_policy(name, FEATURES)
        times = np.zeros((decisions, 4))
        for repeat in range(decisions):
            now = float(repeat)
            start = time.perf_counter_ns()
            slate = policy.decide(candidate_features, SLATE_SIZE, repeat, items)
            decided = time.perf_counter_ns()
            policy.decide(candidate_features, SLATE_SIZE, repeat + 1, items)
            decided_again = time.perf_counter_ns()
            slate_features, slate_items = candidate_features[slate.order], items[slate.order]
            see_start = time.perf_counter_ns()
            policy.observe_impressions(slate_features, positions, now, slate_items)
            seen = time.perf_counter_ns()
            policy.reward(slate_features[3], 3, 1.0, now, item=int(slate_items[3]), user=f"u{repeat % 100}")
            rewarded = time.perf_counter_ns()
            times[repeat] = (
                decided_again - decided,
                decided - start,
                (seen - see_start) / SLATE_SIZE,
                rewarded - seen,
            )
        medians, p99s = np.quantile(times[len(times) // 10 :] / 1e3, (0.5, 0.99), axis=0)
        names = ("decision_us", "decision_after_update_us", "impression_us_per_item", "reward_us")
        results[name] = {
            each: {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}
            for each, p50, p99 in zip(names, medians, p99s, strict=True)
        }
    return results


def measure(seeds: int, console: Console) -> dict[str, Any]:
    """Measure everything.

    Raises
    ------
    UserError
        If River's environments are not installed.
    """
    try:
        import gymnasium  # noqa: F401, PLC0415  # optional; River needs it
    except ImportError as error:
        raise UserError(RIVER_NEEDED) from error
    warm_up()
    runs = seeds * sum(len(each) for each in BENCH_AGENTS.values())
    with progress_bars(console)("regret", runs) as update_progress:
        regret = measure_regret(seeds, update_progress)
    with progress_bars(console)("times", 1):
        latency = measure_latency(2_000)
    return {
        "machine": {"python": platform.python_version(), "processor": platform.machine()},
        "seeds": seeds,
        "environments": regret,
        "latency": {
            "candidates": CANDIDATES,
            "features": FEATURES,
            "slate_size": SLATE_SIZE,
            "policies": latency,
        },
    }


def _tables(results: dict[str, Any]) -> list[Table]:
    regret = Table("environment", "policy", "regret", "95 % interval", "steps/s", "versus River", box=None)
    for number in (2, 3, 4):
        regret.columns[number].justify = "right"
    for environment, each in results["environments"].items():
        for name, entry in each["agents"].items():
            regret.add_row(environment, name, *_cells(entry), _river_comparison(entry))
    latency = Table(
        "policy, µs (p50)", "decision", "after an update", "impression of an item", "reward", box=None
    )
    for column in latency.columns[1:]:
        column.justify = "right"
    for name, times in results["latency"]["policies"].items():
        latency.add_row(name, *(f"{each['p50']:,.1f}" for each in times.values()))
    return [regret, latency]


def _cells(entry: dict[str, Any]) -> tuple[str, str, str]:
    regret = entry["regret"]
    return (
        f"{regret['mean']:,.1f}",
        f"{regret['low']:,.1f} to {regret['high']:,.1f}",
        f"{entry['steps_per_second']:,}",
    )


def _river_comparison(entry: dict[str, Any]) -> str:
    lines = []
    for name, each in entry.get("versus_river", {}).items():
        difference = each["regret_difference"]
        lines.append(
            f"{difference['mean']:+,.0f} ({difference['low']:+,.0f} to {difference['high']:+,.0f}), "
            f"{each['speed_ratio']:.1f} x {name[6:]}"
        )
    return "; ".join(lines)


def bench(
    seeds: Annotated[int, typer.Option(help="Runs of each policy on each environment.", min=2)] = 20,
    report: Annotated[Path, typer.Option(help="Write all results here.")] = Path("build/bandit.json"),
) -> None:
    """Compare the bandit policies with River's: regret, steps per second, and the latency of a decision.

    Regret does not depend on the machine; of the times, compare ratios.
    """
    console = Console(width=None if sys.stdout.isatty() else 180)
    results = measure(seeds, console)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(results, indent=2) + "\n")
    for table in _tables(results):
        console.print(table)
        console.print()
    console.print(f"written to {report}")


if __name__ == "__main__":
    run_script(bench, "headrace bandit bench")
