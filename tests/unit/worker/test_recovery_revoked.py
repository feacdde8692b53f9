"""A recovery that ends while its partitions are being revoked leaves the flow of messages suspended."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.worker.faust_app import make_faust_app

CLICKS: Final = TP("events.click", 0)


class Recovering:
    """An application whose recovery has come to the seek of the consumer."""

    def __init__(self, folder: Path) -> None:
        self.app: Any = make_faust_app(Settings(data_dir=folder), 4, "memory://", Metrics())
        self.app.consumer_generation_id = 7
        self.is_seeking, self.may_end = asyncio.Event(), asyncio.Event()
        self.resumed: list[str] = []
        self.app.consumer = SimpleNamespace(
            assignment=lambda: {CLICKS},
            resume_partitions=lambda _: None,
            perform_seek=self._seek,
            resume_flow=lambda: self.resumed.append("consumer"),
        )
        self.app.__dict__["_fetcher"] = SimpleNamespace(maybe_start=self._start)
        self.app.tables.on_actives_ready = self.app.tables.on_standbys_ready = lambda: None
        self.app.on_rebalance_end = lambda: None
        recovery = self.app.tables.recovery
        self.ended = asyncio.create_task(recovery._wait(recovery.on_recovery_completed(7)))

    async def _seek(self) -> None:
        self.is_seeking.set()
        await self.may_end.wait()

    async def _start(self) -> None:
        self.resumed.append("fetcher")


@pytest.fixture
async def recovering(tmp_path: Path) -> Recovering:
    recovering = Recovering(tmp_path)
    async with asyncio.timeout(60):
        await recovering.is_seeking.wait()
    return recovering


async def test_a_recovery_resumes_the_flow_at_its_end(recovering: Recovering) -> None:
    recovering.may_end.set()
    async with asyncio.timeout(60):
        await recovering.ended
    assert recovering.app.flow_control.is_active()
    assert recovering.resumed == ["consumer", "fetcher"]


async def test_a_recovery_waits_for_its_seek_as_long_as_an_outage_takes(tmp_path: Path) -> None:
    """Faust takes its time-out for the end of the recovery service, and recovers no partition any more."""
    recovering = Recovering(tmp_path)
    recovering.app.conf.broker_request_timeout = 0.0
    async with asyncio.timeout(60):
        await recovering.is_seeking.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert recovering.resumed == []
    recovering.may_end.set()
    async with asyncio.timeout(60):
        await recovering.ended
    assert recovering.resumed == ["consumer", "fetcher"]


async def test_a_recovery_that_takes_minutes_is_no_error(
    recovering: Recovering, caplog: pytest.LogCaptureFixture
) -> None:
    """Faust reports every five seconds that it has nothing to fetch: here the rows come another way."""
    recovery = recovering.app.tables.recovery
    recovery.in_recovery, recovery._recovery_started_at = True, time.monotonic() - 600.0
    recovery.stats_interval = 0.001
    with suppress(TimeoutError):
        await asyncio.wait_for(recovery._publish_stats(recovery), 0.5)
    assert "INTERNAL ERROR" not in caplog.text


async def test_a_recovery_that_ends_in_a_revocation_resumes_nothing(recovering: Recovering) -> None:
    recovering.app.tables.on_partitions_revoked({CLICKS})
    recovering.app.flow_control.suspend()
    recovering.may_end.set()
    async with asyncio.timeout(60):
        with pytest.raises(RebalanceAgain):
            await recovering.ended
    assert not recovering.app.flow_control.is_active()
    assert recovering.resumed == []


async def test_a_recovery_that_is_under_way_ends_with_a_revocation(tmp_path: Path) -> None:
    """While it waits for the disk, another worker takes the partitions: it must not acquire them again."""
    tables: Any = Recovering(tmp_path).app.tables
    begun, ended = asyncio.Event(), asyncio.Event()

    async def recover() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(tables.recovery._wait(recover()))
    async with asyncio.timeout(60):
        await begun.wait()
        tables.on_partitions_revoked({CLICKS})
        await ended.wait()
        with pytest.raises(RebalanceAgain):
            await waiting
