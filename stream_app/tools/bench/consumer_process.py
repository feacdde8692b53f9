"""A measured process: ``python -m stream_app.tools.bench.consumer_process AGENT COUNT``.

It consumes COUNT events that are already in the topics and prints one line of JSON: seconds from the first to the
last processed event, and, for Headrace, the number of published lists and the seconds of each stage.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from stream_app.metrics import Metrics
from stream_app.settings import Settings, load_settings
from stream_app.tools.bench.baseline_agents import EventCounter, bare_agent, table_agent
from stream_app.tools.bench.results import ConsumerRun
from stream_app.worker.process import run_app

_POLL_SECONDS: Final = 0.005


def main() -> None:
    """Run the agent ``bare`` or ``table``; every other name runs Headrace with the settings of the environment."""
    variant, count = sys.argv[1], int(sys.argv[2])
    settings = load_settings()
    make = {"bare": bare_agent, "table": table_agent}.get(variant)
    if make is None:
        app, processed, list_counts, stage_times = _headrace_app(settings)
    else:
        counter = EventCounter()
        folder = settings.data_dir / variant
        app = make(settings.app_id, settings.kafka, folder, settings.partitions, counter)
        processed, list_counts, stage_times = (lambda: counter.n_events), dict, dict
    _measure(app, variant, count, processed, list_counts, stage_times)
    run_app(app)


def _measure(
    app: Any,
    variant: str,
    count: int,
    processed: Callable[[], int],
    list_counts: Callable[[], dict[str, Any]],
    stage_times: Callable[[], dict[str, float]],
) -> None:
    async def measure() -> None:
        while processed() == 0:  # noqa: ASYNC110  # a counter cannot be awaited
            await asyncio.sleep(_POLL_SECONDS)
        started, processed_before = time.perf_counter(), processed()
        cpu, stages_before = time.process_time(), stage_times()
        while processed() < count:  # noqa: ASYNC110  # as above
            await asyncio.sleep(_POLL_SECONDS)
        seconds = time.perf_counter() - started
        run = ConsumerRun(
            variant=variant,
            events=count - processed_before,
            seconds=seconds,
            cpu_seconds=time.process_time() - cpu,
            stage_seconds={stage: seconds - stages_before[stage] for stage, seconds in stage_times().items()},
            **list_counts(),
        )
        print(msgspec.json.encode(run).decode(), flush=True)  # noqa: T201  # the parent reads it
        # SIGTERM instead of app.stop(): stopping the app waits for this task.
        os.kill(os.getpid(), signal.SIGTERM)

    app.task(measure)


def _headrace_app(
    settings: Settings,
) -> tuple[Any, Callable[[], int], Callable[[], dict[str, Any]], Callable[[], dict[str, float]]]:
    # The baselines must not pay for these imports.
    from stream_app.publishing.redis_publisher import RedisPublisher  # noqa: PLC0415  # see above
    from stream_app.worker.app import create_app  # noqa: PLC0415  # see above
    from stream_app.worker.warm_up import warm_up  # noqa: PLC0415  # see above

    warm_up(settings)
    metrics = Metrics()
    publisher = RedisPublisher(settings.redis_server, settings.list_ttl)
    app = create_app(settings, publisher, partitions=settings.partitions, metrics=metrics)

    def list_counts() -> dict[str, Any]:
        lists = metrics.registry.get_sample_value("headrace_lists_published_total", {"kind": "user"})
        degraded = metrics.registry.get_sample_value("headrace_lists_degraded_total")
        return {"user_lists": lists, "degraded_lists": degraded, "fresh_events": acknowledged_events(metrics)}

    def stage_times() -> dict[str, float]:
        return {str(stage): seconds for stage, seconds in metrics.stage_times.items()}

    return app, partial(acknowledged_events, metrics), list_counts, stage_times


def acknowledged_events(metrics: Metrics) -> int:
    """Number of events whose list Redis has acknowledged; pending and in-flight lists do not count."""
    buckets = metrics.freshness._buckets  # noqa: SLF001  # collecting the registry takes 1 ms, too long for polling
    return int(sum(bucket.get() for bucket in buckets))


if __name__ == "__main__":
    main()
