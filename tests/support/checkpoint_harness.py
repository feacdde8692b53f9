"""A follower of checkpoints over a store in a folder and a log without records."""

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from state.checkpoint_store import CheckpointStore
from state.snapshots.files import FolderFiles
from stream_app.metrics import Metrics
from stream_app.models.item_index import ItemIndex
from stream_app.models.two_tower import TwoTower
from stream_app.worker.checkpoint_follower import MODEL_KEY, CheckpointFollower
from tests.support.two_tower_builders import checkpoint
from topics.records import ModelAnnouncement

NOW = 1_700_000_000.0
ITEMS = tuple(f"i{n}" for n in range(8))


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until a condition holds, for at most a minute."""
    async with asyncio.timeout(60):
        for seconds in repeat(0.001):
            if condition():
                return
            await asyncio.sleep(seconds)


class FailingFiles(FolderFiles):
    """Files of a folder; reads raise `failure` while it is set."""

    failure: OSError | None = None
    reads: int = 0

    def read(self, name: str, length: int | None = None) -> bytes:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return super().read(name, length)


class FakeFoldedLog:
    """A replica that is at some offsets of a log with two partitions."""

    def __init__(self) -> None:
        self.ends: Mapping[int, int] = {0: 100, 1: 100}
        self.n_end_reads = 0
        self.positions = [100, 100]
        self.moved = asyncio.Condition()
        self.is_awaited = asyncio.Event()

    async def interaction_ends(self) -> dict[int, int]:
        self.n_end_reads += 1
        return dict(self.ends)

    async def wait_until_passed(self, offsets: Sequence[int]) -> None:
        self.is_awaited.set()
        async with self.moved:
            await self.moved.wait_for(
                lambda: all(at >= offset for at, offset in zip(self.positions, offsets, strict=False))
            )

    async def move(self, *positions: int) -> None:
        async with self.moved:
            self.positions = list(positions)
            self.moved.notify_all()


class CheckpointHarness:
    """A trainer's store, and the follower of a worker."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.files = FailingFiles(folder)
        self.store = CheckpointStore(self.files)
        self.model = TwoTower(ItemIndex(100))
        for name in ITEMS:
            self.model.index.index(name, 0.0)
        self.log = FakeFoldedLog()
        self.metrics = Metrics()
        self.follower = CheckpointFollower(
            self.model,
            self.store,
            self.log,
            self.metrics.neural,
            broker="nowhere:1",
            clock=lambda: self.now,
            retry_seconds=(0.01,),
        )

    def write(
        self, version: int, *, items: Sequence[str] = ITEMS, offsets: tuple[int, ...] = (), **manifest: Any
    ) -> ModelAnnouncement:
        """Write a checkpoint as a trainer does."""
        created_at = manifest.setdefault("created_at", NOW - 10.0)
        content = checkpoint(items, **{"version": version, "seed": version, **manifest})
        return self.store.write(version, content, created_at=created_at, offsets=offsets)

    def announce(self, announcement: ModelAnnouncement, **changes: Any) -> None:
        changed = structs.replace(announcement, **changes)
        self.follower.apply_record(MODEL_KEY, msgspec.json.encode(changed), 3)

    async def settle(self) -> None:
        """Wait until the follower has adopted or refused what was announced."""
        before = self.settled()
        await until(lambda: self.settled() != before)

    def settled(self) -> tuple[str, float]:
        """The version that is adopted, and how many checkpoints were refused."""
        refused = sum(
            sample.value
            for family in self.metrics.neural.refused.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        )
        return self.model.version, refused

    def refused(self, reason: str) -> float:
        return (
            self.metrics.registry.get_sample_value("headrace_model_refused_total", {"reason": reason}) or 0.0
        )

    def gauge(self, name: str) -> float:
        self.follower.report()
        value = self.metrics.registry.get_sample_value(f"headrace_neural_{name}")
        return math.nan if value is None else value

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Load what is announced."""
        task = self.follower.start_loading()
        try:
            yield
        finally:
            task.cancel()
