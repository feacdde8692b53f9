"""One measured process: ``python -m stream_app.bench.consumer WHAT COUNT``.

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
from typing import Any, Final

from stream_app.app import run_app
from stream_app.bench.yardsticks import Progress, bare_agent, table_agent
from stream_app.metrics import Metrics
from stream_app.settings import Settings, load_settings
from topics.catalogue import USER_EVENTS

_POLL: Final = 0.005


def main() -> None:
    """Run one of ``bare``, ``table``, ``whole``."""
    what, count = sys.argv[1], int(sys.argv[2])
    settings = load_settings()
    if what == "whole":
        app, done, extra = _whole(settings)
    else:
        progress = Progress()
        make = {"bare": bare_agent, "table": table_agent}[what]
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
    from stream_app.app import create_app  # noqa: PLC0415
    from stream_app.publish.redis_publisher import RedisPublisher  # noqa: PLC0415
    from stream_app.warm_up import warm_up  # noqa: PLC0415

    warm_up(settings)
    metrics = Metrics()
    publisher = RedisPublisher(settings.redis, settings.list_ttl)
    app = create_app(settings, publisher, partitions=settings.partitions, metrics=metrics)
    counters = [metrics.events.labels(spec.name, "accepted") for spec in USER_EVENTS]
    flusher = app.components.flusher

    def published() -> int:
        # An event is done when the list that reflects it is acknowledged: what waits is not.
        return int(sum(counter._value.get() for counter in counters)) - len(flusher)  # noqa: SLF001

    def extra() -> dict[str, Any]:
        lists = metrics.registry.get_sample_value("headrace_lists_published_total", {"kind": "user"})
        fresh = metrics.registry.get_sample_value("headrace_freshness_seconds_count")
        return {"user_lists": lists, "fresh_events": fresh}

    return app, published, extra


if __name__ == "__main__":
    main()
