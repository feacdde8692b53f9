"""All lists are published again when the store has lost them."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from state.row import UserRow
from state.user_rows import StoreError
from stream_app.client.redis_contract import item_key, popular_key, search_key, user_key
from stream_app.publishing.publisher import PublisherUnavailableError
from stream_app.publishing.sentinel import StoreState
from stream_app.worker.full_republication import FullRepublication, Pace
from tests.support.in_memory_worker import InMemoryWorker, ManualClock

N_USERS = 60


class FakeSentinel:
    """A sentinel whose epoch a test changes; time passes with its checks."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.epoch = "first"
        self.complete: dict[int, str] = {}
        self.remaining: list[int] = []
        self.available = True

    async def check(self) -> StoreState:
        self.clock.now += 1.0
        if not self.available:
            raise PublisherUnavailableError("unavailable")
        return StoreState(
            self.epoch, frozenset(at for at, epoch in self.complete.items() if epoch == self.epoch)
        )

    async def report_remaining(self, partitions: Collection[int], n_users: int) -> None:
        del partitions
        self.remaining.append(n_users)

    async def mark_complete(self, partitions: Collection[int], epoch: str) -> None:
        self.complete.update(dict.fromkeys(partitions, epoch))

    async def user_ids(self) -> AsyncIterator[list[str]]:
        yield []

    async def with_lists(self, user_ids: Collection[str]) -> list[str]:
        return list(user_ids)

    async def queries(self) -> AsyncIterator[list[str]]:
        yield []

    async def close(self) -> None: ...


class Republishing:
    """A worker with `N_USERS` users, all published, and its republication."""

    def __init__(self, folder: Path, *, degraded: bool = False) -> None:
        self.worker = InMemoryWorker(folder, flush_users=8, degraded_ranking=degraded)
        self.sentinel = FakeSentinel(self.worker.clock)
        self.owned = frozenset({0, 1})
        self.republication = FullRepublication(
            self.sentinel,
            self.worker.rows,
            self.worker.flush_loop,
            self.worker.models,
            self.worker.metrics,
            lambda: self.owned,
            Pace(
                users_per_second=10**6,
                max_pending=4,
                pass_users=17,
                slot_seconds=0.001,
                check_seconds=0.0,
            ),
        )

    def act(self) -> None:
        for number in range(N_USERS):
            self.worker.clock.now += 1.0
            for item in (number, number + 1):
                self.worker.accept(self.worker.click(f"u{number}", f"i{item % 7}"))
            if number == 5:
                self.worker.accept(self.worker.search("u5", "red shoes", "i1", "i2"))
        self.worker.accept(self.worker.erasure("u3"))

    @asynccontextmanager
    async def published(self) -> AsyncIterator[InMemoryWorker]:
        """Publish everything, then empty the store."""
        self.act()
        async with self.worker.running_flush_loop():
            await self.worker.flush_loop.wait_until_idle()
            while self.worker.queue.shared_lists:
                self.worker.clock.now += 1.0
                await asyncio.sleep(0)
            self.worker.publisher.documents.clear()
            yield self.worker

    def user_keys(self) -> set[str]:
        return {user_key(f"u{number}") for number in range(N_USERS)} - {user_key("u3")}


async def test_every_list_is_published_again(tmp_path: Path) -> None:
    case = Republishing(tmp_path)
    async with case.published() as worker:
        before = {user: worker.rows.get(user) for user in worker.rows.stored}
        await case.republication.check()
        documents = worker.publisher.documents
        assert case.user_keys() <= documents.keys()
        assert user_key("u3") not in documents
        assert {item_key(f"i{number}") for number in range(7)} <= documents.keys()
        assert {popular_key(), search_key("u5")} <= documents.keys()
        assert {user: worker.rows.get(user) for user in worker.rows.stored} == before
        assert case.sentinel.complete == {0: "first", 1: "first"}
        assert worker.count("republications_total") == 1
        # It is done once.
        documents.clear()
        await case.republication.check()
        assert not documents


async def test_the_store_knows_of_the_completion_before_anything_else_is_done(tmp_path: Path) -> None:
    """What follows a republication may fail: it must not have all lists published for ever."""
    case = Republishing(tmp_path)
    found: list[dict[int, str]] = []
    case.republication.on_complete = lambda: found.append(dict(case.sentinel.complete))
    async with case.published():
        await case.republication.check()
    assert found == [{0: "first", 1: "first"}]


async def test_the_most_recently_active_users_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Republishing(tmp_path)
    async with case.published() as worker:
        order: list[str] = []
        mark = worker.queue.mark_pending

        def record(user: str, *received: float) -> None:
            order.append(user)
            mark(user, *received)

        monkeypatch.setattr(worker.queue, "mark_pending", record)
        await case.republication.check()
    assert order == [f"u{number}" for number in reversed(range(N_USERS)) if number != 3]


async def test_only_users_of_the_partitions_that_lack_lists_are_published(tmp_path: Path) -> None:
    case = Republishing(tmp_path)
    async with case.published() as worker:
        worker.rows.partitions.update({f"u{number}": 1 for number in range(30)})
        case.sentinel.complete = {0: "first"}
        await case.republication.check()
        assert {key for key in case.user_keys() if key in worker.publisher.documents} == {
            user_key(f"u{number}") for number in range(30) if number != 3
        }


async def test_users_with_events_are_not_behind_more_than_a_portion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Republishing(tmp_path, degraded=True)
    async with case.published() as worker:
        pending: list[int] = []
        n_degraded = worker.count("lists_degraded_total")
        mark = worker.queue.mark_pending

        def record(user: str, *received: float) -> None:
            mark(user, *received)
            pending.append(worker.queue.n_users)

        monkeypatch.setattr(worker.queue, "mark_pending", record)
        await case.republication.check()
    # Half a flush pending, and one more portion of that size.
    assert max(pending) <= 8
    assert worker.count("lists_degraded_total") == n_degraded


@pytest.mark.parametrize("interruption", ["epoch", "assignment"])
async def test_an_interrupted_republication_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: str
) -> None:
    case = Republishing(tmp_path)
    async with case.published() as worker:
        mark, n_marked = worker.queue.mark_pending, 0

        def interrupt(user: str, *received: float) -> None:
            nonlocal n_marked
            n_marked += 1
            mark(user, *received)
            if n_marked == 30:
                if interruption == "epoch":
                    case.sentinel.epoch = "second"
                else:
                    case.owned = frozenset({0, 1, 2})

        monkeypatch.setattr(worker.queue, "mark_pending", interrupt)
        await case.republication.check()
        assert not case.sentinel.complete
        worker.publisher.documents.clear()
        await case.republication.check()
        assert case.user_keys() <= worker.publisher.documents.keys()
        assert case.sentinel.complete == dict.fromkeys(case.owned, case.sentinel.epoch)


async def test_a_table_that_is_closed_during_a_scan_is_scanned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Republishing(tmp_path)
    async with case.published() as worker:
        scan, n_scans = worker.rows.scan, 0

        def changing() -> Iterator[tuple[str, UserRow]]:
            nonlocal n_scans
            n_scans += 1
            for at, entry in enumerate(scan()):
                if n_scans == 1 and at == 20:
                    raise StoreError("closed until it can be written to")
                yield entry

        monkeypatch.setattr(worker.rows, "scan", changing)
        await case.republication.check()
        assert not case.sentinel.complete
        await case.republication.check()
        assert case.user_keys() <= worker.publisher.documents.keys()


async def test_an_outage_in_between_loses_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Republishing(tmp_path)
    async with case.published() as worker:
        mark, n_marked = worker.queue.mark_pending, 0

        def fail(user: str, *received: float) -> None:
            nonlocal n_marked
            n_marked += 1
            mark(user, *received)
            if n_marked == 20:
                worker.publisher.available = case.sentinel.available = False

        monkeypatch.setattr(worker.queue, "mark_pending", fail)
        checking = asyncio.create_task(case.republication.check())
        await worker.publisher.publish_failed.wait()
        assert not checking.done()
        worker.publisher.available = case.sentinel.available = True
        await checking
        assert case.user_keys() <= worker.publisher.documents.keys()
        assert {item_key(f"i{number}") for number in range(7)} <= worker.publisher.documents.keys()


async def test_nothing_is_done_without_partitions_or_redis(tmp_path: Path) -> None:
    case = Republishing(tmp_path)
    async with case.published() as worker:
        case.owned = frozenset()
        await case.republication.check()
        case.owned, case.sentinel.available = frozenset({0}), False
        await case.republication.check()
        assert not worker.publisher.documents
        assert not case.sentinel.complete
