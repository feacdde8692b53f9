"""Three ways to make records, each with a number of records and a seed."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import build_decoders, examples
from tests.fuzz.hypothesis_records import fuzzed_records
from tests.fuzz.pipeline import FuzzingError, Pipeline
from tests.fuzz.shop_records import FuzzedRecord, RecordSource
from tests.support import ROOT

FAILURES: Final = ROOT / "build" / "fuzz"
"""Folder of the records that failed."""

Advance = Callable[[int], None]
"""Called with the number of records that are done."""

_PORTION: Final = 250
"""Records between two flushes that are waited for."""

_PER_WORKER: Final = 10_000
"""Records of one worker: the next one starts empty, with other users."""

_PER_EXAMPLE: Final = 12
_SETTINGS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"models": ["popularity", "item_to_item"], "fusion": "rrf", "policies": {"fixed": 1.0}},
    {"max_items": 40, "max_users": 10, "retained_lists": 20, "max_pending": 200},
)
"""Settings of the workers, in turn: the defaults, the fastest models, small bounds that evict all the time."""


def fuzz_pipeline(n_records: int, first_seed: int, advance: Advance = lambda _: None) -> None:
    """Take seeded records from decoding to the client's reading.

    Raises
    ------
    FuzzingError
        With the folder of the records, if one failed.
    """
    done = 0
    while done < n_records:
        worker_seed = first_seed + done // _PER_WORKER
        n_of_worker = min(_PER_WORKER, n_records - done)
        source = RecordSource(worker_seed)
        with _worker(worker_seed) as process:
            for _ in range(0, n_of_worker, _PORTION):
                list_ids = process([source.record() for _ in range(min(_PORTION, n_records - done))])
                source.add_list_ids(list_ids)
                done += _PORTION
                advance(min(done, n_records))


@contextmanager
def _worker(worker_seed: int) -> Iterator[Callable[[Sequence[FuzzedRecord]], list[str]]]:
    """A worker in memory, as a function that takes records and returns ids of lists that are published now."""
    processed: list[FuzzedRecord] = []
    with TemporaryDirectory() as folder, asyncio.Runner() as runner:
        pipeline = Pipeline(Path(folder), **_SETTINGS[worker_seed % len(_SETTINGS)])
        flushing = pipeline.worker.running_flush_loop()
        runner.run(flushing.__aenter__())

        def process(records: Sequence[FuzzedRecord]) -> list[str]:
            processed.extend(records)
            try:
                runner.run(pipeline.process(records))
            except Exception as error:
                raise FuzzingError(
                    f"{error}; seed {worker_seed}, records in {_write(processed, worker_seed)}"
                ) from error
            return pipeline.list_ids()

        try:
            yield process
        finally:
            runner.run(flushing.__aexit__(None, None, None))
            pipeline.close()


def _write(records: Sequence[FuzzedRecord], worker_seed: int) -> Path:
    FAILURES.mkdir(parents=True, exist_ok=True)
    path = FAILURES / f"records-{worker_seed}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(records)))
    return path


def fuzz_with_hypothesis(n_records: int, first_seed: int, advance: Advance = lambda _: None) -> None:
    """Take records that Hypothesis draws from decoding to the client's reading; it reduces those that fail."""
    done = 0
    with _worker(first_seed) as process:

        @seed(first_seed)
        @settings(
            max_examples=max(1, n_records // _PER_EXAMPLE),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(st.lists(fuzzed_records(), min_size=_PER_EXAMPLE, max_size=_PER_EXAMPLE))
        def take(records: list[FuzzedRecord]) -> None:
            nonlocal done
            process(records)
            done += len(records)
            advance(min(done, n_records))

        take()
    advance(n_records)


def fuzz_decoders(n_records: int, first_seed: int, advance: Advance = lambda _: None) -> None:
    """Read damaged records of every kind."""
    source, choices = RecordSource(first_seed), random.Random(first_seed)
    with TemporaryDirectory() as folder:
        decoders, values = build_decoders(Path(folder)), examples()
        names = list(decoders)
        for done in range(n_records):
            name = names[done % len(names)]
            raw = choices.choice(values[name])
            if choices.random() > 0.02:
                raw = source.damage(raw)
            try:
                decoders[name](raw)
            except Exception as error:
                raise FuzzingError(f"reading a {name} raised {error!r} for {raw!r}") from error
            advance(done + 1)
