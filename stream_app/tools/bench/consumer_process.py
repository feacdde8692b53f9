"""One measured process: ``python -m stream_app.tools.bench.consumer_process WHAT COUNT``.

It consumes COUNT events that are in the topic already and prints one line of JSON: seconds from the first event
taken to the last one done, and for the whole also what was published.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from stream_app.metrics import Metrics
from stream_app.settings import Settings, load_settings
from stream_app.tools.bench.baseline_agents import EventCounter, bare_agent, table_agent
from stream_app.worker.process import run_app

_POLL_SECONDS: Final = 0.005


def main() -> None:
    """Run ``bare``, ``table``, or the whole by the settings there are, whatever it is called."""
    variant, count = sys.argv[1], int(sys.argv[2])
    settings = load_settings()
    make = {"bare": bare_agent, "table": table_agent}.get(variant)
    if make is None:
        app, processed, extra = _headrace_app(settings)
    else:
        counter = EventCounter()
        folder = settings.data_dir / variant
        app = make(settings.app_id, settings.broker, folder, settings.partitions, counter)
        processed, extra = (lambda: counter.n_events), dict
    _measure(app, variant, count, processed, extra)
    run_app(app)


def _measure(
    app: Any, variant: str, count: int, processed: Callable[[], int], extra: Callable[[], dict[str, Any]]
) -> None:
    async def measure() -> None:
        while processed() == 0:  # noqa: ASYNC110  # a counter has no event
            await asyncio.sleep(_POLL_SECONDS)
        started, processed_before = time.perf_counter(), processed()
        cpu = time.process_time()
        while processed() < count:  # noqa: ASYNC110  # as above
            await asyncio.sleep(_POLL_SECONDS)
        seconds = time.perf_counter() - started
        result = {
            "variant": variant,
            "events": count - processed_before,
            "seconds": seconds,
            "cpu_seconds": time.process_time() - cpu,
            **extra(),
        }
        print(json.dumps(result), flush=True)  # noqa: T201  # the result, read by the parent
        # Not awaited: stopping waits for this very task.
        os.kill(os.getpid(), signal.SIGTERM)

    app.task(measure)


def _headrace_app(settings: Settings) -> tuple[Any, Callable[[], int], Callable[[], dict[str, Any]]]:
    from stream_app.publishing.redis_publisher import RedisPublisher  # noqa: PLC0415
    from stream_app.worker.app import create_app  # noqa: PLC0415
    from stream_app.worker.warm_up import warm_up  # noqa: PLC0415

    warm_up(settings)
    metrics = Metrics()
    publisher = RedisPublisher(settings.redis, settings.list_ttl)
    app = create_app(settings, publisher, partitions=settings.partitions, metrics=metrics)

    def extra() -> dict[str, Any]:
        lists = metrics.registry.get_sample_value("headrace_lists_published_total", {"kind": "user"})
        degraded = metrics.registry.get_sample_value("headrace_lists_degraded_total")
        return {"user_lists": lists, "degraded_lists": degraded, "fresh_events": acknowledged_events(metrics)}

    return app, partial(acknowledged_events, metrics), extra


def acknowledged_events(metrics: Metrics) -> int:
    """Events whose list Redis has acknowledged: neither what waits nor what is on its way counts."""
    # The buckets' own counters: to collect the registry costs a millisecond, and this is asked all the time.
    return int(sum(bucket.get() for bucket in metrics.freshness._buckets))  # noqa: SLF001


if __name__ == "__main__":
    main()
