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
from stream_app.tools.bench.baseline_agents import Progress, bare_agent, table_agent
from stream_app.worker.process import run_app

_POLL: Final = 0.005


def main() -> None:
    """Run ``bare``, ``table``, or the whole by the settings there are, whatever it is called."""
    what, count = sys.argv[1], int(sys.argv[2])
    settings = load_settings()
    make = {"bare": bare_agent, "table": table_agent}.get(what)
    if make is None:
        app, done, extra = _whole(settings)
    else:
        progress = Progress()
        folder = settings.data_dir / what
        app = make(settings.app_id, settings.broker, folder, settings.partitions, progress)
        done, extra = (lambda: progress.seen), dict
    _measure(app, what, count, done, extra)
    run_app(app)


def _measure(
    app: Any, what: str, count: int, done: Callable[[], int], extra: Callable[[], dict[str, Any]]
) -> None:
    async def watch() -> None:
        while done() == 0:  # noqa: ASYNC110  # a counter has no event
            await asyncio.sleep(_POLL)
        started, before = time.perf_counter(), done()
        cpu = time.process_time()
        while done() < count:  # noqa: ASYNC110  # as above
            await asyncio.sleep(_POLL)
        seconds = time.perf_counter() - started
        result = {
            "what": what,
            "events": count - before,
            "seconds": seconds,
            "cpu_seconds": time.process_time() - cpu,
            **extra(),
        }
        print(json.dumps(result), flush=True)  # noqa: T201  # the result, read by the parent
        # Not awaited: stopping waits for this very task.
        os.kill(os.getpid(), signal.SIGTERM)

    app.task(watch)


def _whole(settings: Settings) -> tuple[Any, Callable[[], int], Callable[[], dict[str, Any]]]:
    from stream_app.publishing.redis_publisher import RedisPublisher  # noqa: PLC0415
    from stream_app.worker.app import create_app  # noqa: PLC0415
    from stream_app.worker.warm_up import warm_up  # noqa: PLC0415

    warm_up(settings)
    metrics = Metrics()
    publisher = RedisPublisher(settings.redis, settings.list_ttl)
    app = create_app(settings, publisher, partitions=settings.partitions, metrics=metrics)

    def extra() -> dict[str, Any]:
        lists = metrics.registry.get_sample_value("headrace_lists_published_total", {"kind": "user"})
        hurried = metrics.registry.get_sample_value("headrace_lists_hurried_total")
        return {"user_lists": lists, "hurried_lists": hurried, "fresh_events": acknowledged(metrics)}

    return app, partial(acknowledged, metrics), extra


def acknowledged(metrics: Metrics) -> int:
    """Events whose list Redis has acknowledged: neither what waits nor what is on its way counts."""
    # The buckets' own counters: to collect the registry costs a millisecond, and this is asked all the time.
    return int(sum(bucket.get() for bucket in metrics.freshness._buckets))  # noqa: SLF001


if __name__ == "__main__":
    main()
