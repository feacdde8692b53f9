"""CPU time of a user's list with and without the default policies, or the two-tower model, side by side."""

from dataclasses import replace
from time import thread_time
from typing import Annotated, Final

import numpy as np
import typer

from state.dedup import RecordId
from state.fold import interaction_of
from stream_app.experiment.live_policies import LivePolicies
from stream_app.models.model_set import ModelSet
from stream_app.models.two_tower import TwoTower
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.ranking.config import RankingConfig
from stream_app.ranking.request import RankRequest
from stream_app.settings import Settings
from stream_app.tools.bench.random_model import random_weights
from stream_app.tools.console import run_script
from stream_app.tools.simulator.benchmark_load import benchmark_events, benchmark_items
from stream_app.worker.warm_up import warm_up
from topics.records import Source

_RATE: Final = 300.0
"""Events per second of event time."""

_WARM_UP_LISTS: Final = 100


def main(
    events: Annotated[int, typer.Option(min=1_000, help="Events that the models learn first.")] = 20_000,
    users: Annotated[int, typer.Option(min=100, help="Users of these events.")] = 2_000,
    neural: Annotated[
        bool, typer.Option("--neural", help="Compare with the two-tower model (random vectors, 64 factors).")
    ] = False,
) -> None:
    """Rank each user of a policy that learns with and without it; print medians and the median ratio."""
    settings = Settings(neural=neural)
    warm_up(settings)
    config = settings.ranking_config
    other = Settings().ranking_config if neural else replace(config, policies={"fixed": 1.0})
    configs = [config, other]
    sets = [make_models(each) for each in configs]
    for model in sets[0].models:
        if isinstance(model, TwoTower):
            model.adopt(random_weights(benchmark_items()), "1")
    requests = _learn(sets, events, users)
    live = sets[0].learner(LivePolicies)
    if live is None:
        raise RuntimeError("the model set has no policies: build it with make_models")
    chosen = [each for each in requests if live.assignment.policy_of(each.user_id) != "fixed"]
    times = _measure(sets, configs, chosen)[_WARM_UP_LISTS:]
    with_it, without = np.median(times, axis=0)
    subject = "two-tower model" if neural else "policy"
    typer.echo(
        f"{len(times):,} lists, medians of CPU time: {with_it:.0f} µs with the {subject}, {without:.0f} µs without; "
        f"ratio {np.median(times[:, 0] / times[:, 1]):.2f}, difference {np.median(times[:, 0] - times[:, 1]):.0f} µs"
    )


def _learn(sets: list[ModelSet], events: int, users: int) -> list[RankRequest]:
    """Learn the benchmark's interactions; a request for each user, after their last item."""
    ticks = iter(range(10**9))
    histories: dict[str, list[tuple[str, float]]] = {}
    for offset, event in enumerate(
        benchmark_events(events, clock=lambda: 1.5e9 + next(ticks) / _RATE, users=users)
    ):
        interaction = interaction_of(event, RecordId(Source.CLICK, 0, offset))
        if interaction is None:
            continue
        for models in sets:
            models.learn(interaction)
        items = [(line.item_id, interaction.ts) for line in interaction.lines]
        histories.setdefault(interaction.user_id, []).extend(items)
    return [
        RankRequest(user, [item for item, _ in seen], [ts for _, ts in seen], 0, (), seen[-1][1], ())
        for user, seen in histories.items()
        if seen
    ]


def _measure(
    sets: list[ModelSet], configs: list[RankingConfig], requests: list[RankRequest]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Microseconds of each list by each ranker, shape (requests, 2); the rankers take turns in being first."""
    rankers = [make_ranker(models, config) for models, config in zip(sets, configs, strict=True)]
    times = np.zeros((len(requests), 2))
    for number, request in enumerate(requests):
        for which in (0, 1) if number % 2 else (1, 0):
            started = thread_time()
            rankers[which].rank_user(request)
            times[number, which] = (thread_time() - started) * 1e6
    return times


if __name__ == "__main__":
    run_script(main, "ranking cost")
