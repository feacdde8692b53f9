"""CPU time of learning one interaction, of all models and of each."""

import statistics
from collections.abc import Sequence
from time import thread_time
from typing import Final

from state.dedup import RecordId
from state.fold import interaction_of
from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models
from stream_app.settings import Settings
from stream_app.tools.bench.results import FoldResults
from stream_app.tools.simulator.benchmark_load import benchmark_events
from stream_app.worker.warm_up import warm_up
from topics.records import Interaction, Source

_CHUNK: Final = 1_000


def measure_fold(events: int, users: int) -> FoldResults:
    """Learn the benchmark's interactions and time the second half: medians of CPU time over chunks."""
    settings = Settings()
    times = iter(range(10**9))
    log = []
    for offset, event in enumerate(
        benchmark_events(events, clock=lambda: 1.5e9 + next(times) / 300.0, users=users)
    ):
        interaction = interaction_of(event, RecordId(Source.CLICK, 0, offset))
        if interaction is not None:
            log.append(interaction)
    warm_up(settings)
    overhead, total = _cost(ModelSet(()), log), _cost(make_models(settings.ranking_config), log)
    models = _cost(ModelSet(settings.models), log)
    by_model = {name: max(0.0, _cost(ModelSet((name,)), log) - overhead) for name in settings.models}
    return FoldResults(
        fold_us=total,
        by_model={
            "index and sessions": overhead,
            **by_model,
            "fusion and results": max(0.0, total - models),
        },
    )


def _cost(models: ModelSet, log: Sequence[Interaction]) -> float:
    half = len(log) // 2
    for interaction in log[:half]:
        models.learn(interaction)
    costs = []
    for start in range(half, len(log) - _CHUNK + 1, _CHUNK):
        started = thread_time()
        for interaction in log[start : start + _CHUNK]:
            models.learn(interaction)
        costs.append((thread_time() - started) / _CHUNK * 1e6)
    return statistics.median(costs)
