"""The closed loop: waiting for lists, sending events, counting results."""

import asyncio
from collections.abc import Collection, Sequence

import pytest

from stream_app.client import ClientUnavailableError
from stream_app.client.redis_contract import user_key
from stream_app.errors import UserError
from stream_app.tools.simulator import loop as loops
from stream_app.tools.simulator.logged_users import group_by_user
from stream_app.tools.simulator.loop import SimulationLoop
from stream_app.tools.simulator.replayed_user import ReplayedUser
from stream_app.tools.simulator.tally import FALLBACK, SimulationTally
from tests.support.in_memory_event_sender import InMemoryEventSender
from tests.support.in_memory_recommender import InMemoryRecommender, make_list, run
from topics.events import CatalogItem, Click
from topics.records import RecommendationList


def replayed_users(count: int, *items: str) -> list[ReplayedUser]:
    log = group_by_user(
        Click(
            event_id=f"u{n}-{index}",
            user_id=f"u{n}",
            session_id="s",
            ts=n * 1_000 + index * 10_000,
            item_id=item,
        )
        for n in range(count)
        for index, item in enumerate(items)
    )
    return [ReplayedUser(logged_user, seed=7) for logged_user in log]


class SlowListReader:
    """Lists that are published several reads after a user's action."""

    def __init__(self, sender: InMemoryEventSender, reads: int) -> None:
        self._sender = sender
        self._reads = reads
        self._n_reads_waited = 0
        self._events = 0
        self.list_ids_returned: list[str] = []

    async def read(
        self,
        user_id: str,
        *,
        session_items: Sequence[str] = (),
        segments: Sequence[str] = (),
        exclude: Collection[str] = (),
    ) -> RecommendationList | None:
        del session_items, segments, exclude
        clicks = sum(record.topic == "events.click" for record in self._sender.records)
        if clicks > self._events:
            self._n_reads_waited += 1
            if self._n_reads_waited == self._reads:
                self._n_reads_waited, self._events = 0, clicks
        found = make_list(["x"], list_id=f"after-{self._events}", key=user_key(user_id))
        self.list_ids_returned.append(found.list_id)
        return found


def test_a_user_sees_a_list_only_after_it_was_refreshed_since_their_last_action() -> None:
    sender, tally = InMemoryEventSender(), SimulationTally()
    reader = SlowListReader(sender, reads=3)
    asyncio.run(
        SimulationLoop(reader, sender, tally, list_timeout=30.0).run(replayed_users(1, "a", "b", "c"))
    )

    assert reader.list_ids_returned == [
        "after-0",
        "after-0",
        "after-0",
        "after-1",
        "after-1",
        "after-1",
        "after-2",
    ]
    assert tally.late_lists == 0
    assert tally.lists == 3


def test_a_missing_list_is_awaited_up_to_the_timeout() -> None:
    sender, tally = InMemoryEventSender(), SimulationTally()
    asyncio.run(
        SimulationLoop(SlowListReader(sender, reads=10**6), sender, tally, list_timeout=0.02).run(
            replayed_users(2, "a", "b")
        )
    )

    assert tally.late_lists == 2
    assert tally.finished == 2
    assert tally.lists == 4


def test_a_run_without_published_lists_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "MAX_CONSECUTIVE_TIMEOUTS", 5)

    class UnavailableReader:
        async def read(self, user_id: str, **_: object) -> RecommendationList | None:
            raise ClientUnavailableError(user_id)

    loop = SimulationLoop(UnavailableReader(), InMemoryEventSender(), SimulationTally(), list_timeout=0.0)
    with pytest.raises(UserError, match="Check that a worker runs"):
        asyncio.run(loop.run(replayed_users(20, "a", "b")))


def test_a_stop_ends_the_loop_after_in_flight_steps() -> None:
    sender, tally = InMemoryEventSender(), SimulationTally()
    recommender = InMemoryRecommender(lambda *_: ["x"])
    loop = SimulationLoop(recommender, sender, tally, concurrency=2)

    async def run_and_stop() -> None:
        running = asyncio.create_task(loop.run(replayed_users(500, "a", "b", "c")))
        while tally.lists < 10:  # noqa: ASYNC110  # the tally has no event to wait for
            await asyncio.sleep(0)
        loop.stop()
        await running

    asyncio.run(run_and_stop())
    assert 10 <= tally.lists < 20
    assert len(sender.records) == tally.events


def test_the_rate_is_not_exceeded() -> None:
    import time

    started = time.monotonic()
    sender, tally = InMemoryEventSender(), SimulationTally()
    loop = SimulationLoop(InMemoryRecommender(lambda *_: ["x"]), sender, tally, rate=200.0)
    asyncio.run(loop.run(replayed_users(10, "a", "b")))

    assert tally.events == 40
    assert time.monotonic() - started >= 0.9 * 40 / 200


def test_fallback_lists_are_counted_separately() -> None:
    tally, _ = run(
        replayed_users(5, "a", "b"), InMemoryRecommender(lambda *_: ["x"], lambda user: f"of-{user}")
    )

    assert {name for name in tally.policies if FALLBACK not in name} == {f"of-u{n}" for n in range(5)}
    assert {name for name in tally.policies if FALLBACK in name} == {f"of-u{n} {FALLBACK}" for n in range(5)}


def test_a_step_without_a_list_is_not_counted_as_an_examined_list() -> None:
    tally, _ = run(replayed_users(3, "a", "b"), InMemoryRecommender(lambda *_: []))

    assert tally.lists == 0
    assert tally.steps_without_list == 6
    assert tally.sent(Click) == 6


def test_items_are_described_on_arrival() -> None:
    sender = InMemoryEventSender()
    arrivals = [CatalogItem(item_id=f"new-{ts}", ts=ts) for ts in (500, 11_000)]
    loop = SimulationLoop(InMemoryRecommender(lambda *_: ["x"]), sender, SimulationTally(), concurrency=1)
    asyncio.run(loop.run(replayed_users(1, "a", "b", "c"), arrivals))

    order = [record.topic.removeprefix("events.") for record in sender.records]
    step = ["impression", "click"]
    assert order == [*step, "catalog.items", *step, "catalog.items", *step]
