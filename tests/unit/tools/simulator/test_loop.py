"""The closed loop: lists are awaited, events sent, everything counted."""

import asyncio
from collections.abc import Collection, Sequence

import pytest

from stream_app.client import ClientUnavailableError
from stream_app.client.redis_contract import user_key
from stream_app.errors import UserError
from stream_app.kafka.event_sender import MemoryOutbox
from stream_app.tools.simulator import loop as loops
from stream_app.tools.simulator.logged_users import by_shopper
from stream_app.tools.simulator.loop import Loop
from stream_app.tools.simulator.replayed_user import ReplayedShopper
from stream_app.tools.simulator.tally import FALLBACK, Tally
from tests.support.in_memory_recommender import Recommender, listing, run
from topics.events import CatalogItem, Click
from topics.records import RecommendationList


def shoppers(count: int, *items: str) -> list[ReplayedShopper]:
    log = by_shopper(
        Click(
            event_id=f"u{n}-{place}",
            user_id=f"u{n}",
            session_id="s",
            ts=n * 1_000 + place * 10_000,
            item_id=item,
        )
        for n in range(count)
        for place, item in enumerate(items)
    )
    return [ReplayedShopper(logged, seed=7) for logged in log]


class Slow:
    """Lists that are published some reads after the shopper did something."""

    def __init__(self, outbox: MemoryOutbox, reads: int) -> None:
        self._outbox = outbox
        self._reads = reads
        self._waited = 0
        self._events = 0
        self.given: list[str] = []

    async def read(
        self,
        user_id: str,
        *,
        session_items: Sequence[str] = (),
        segments: Sequence[str] = (),
        exclude: Collection[str] = (),
    ) -> RecommendationList | None:
        del session_items, segments, exclude
        clicks = sum(record.topic == "events.click" for record in self._outbox.records)
        if clicks > self._events:
            self._waited += 1
            if self._waited == self._reads:
                self._waited, self._events = 0, clicks
        found = listing(["x"], list_id=f"after-{self._events}", key=user_key(user_id))
        self.given.append(found.list_id)
        return found


def test_a_shopper_is_shown_a_list_only_when_theirs_has_changed_since_they_acted() -> None:
    outbox, tally = MemoryOutbox(), Tally()
    reader = Slow(outbox, reads=3)
    asyncio.run(Loop(reader, outbox, tally, patience=30.0).run(shoppers(1, "a", "b", "c")))

    assert reader.given == ["after-0", "after-0", "after-0", "after-1", "after-1", "after-1", "after-2"]
    assert tally.late == 0
    assert tally.lists == 3


def test_a_list_that_does_not_come_is_waited_for_no_longer_than_patience() -> None:
    outbox, tally = MemoryOutbox(), Tally()
    asyncio.run(Loop(Slow(outbox, reads=10**6), outbox, tally, patience=0.02).run(shoppers(2, "a", "b")))

    assert tally.late == 2
    assert tally.finished == 2
    assert tally.lists == 4


def test_a_run_in_which_nobody_publishes_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "GIVE_UP", 5)

    class Away:
        async def read(self, user_id: str, **_: object) -> RecommendationList | None:
            raise ClientUnavailableError(user_id)

    loop = Loop(Away(), MemoryOutbox(), Tally(), patience=0.0)
    with pytest.raises(UserError, match="does a worker run"):
        asyncio.run(loop.run(shoppers(20, "a", "b")))


def test_a_stop_ends_it_with_what_was_done() -> None:
    outbox, tally = MemoryOutbox(), Tally()
    recommender = Recommender(lambda *_: ["x"])
    loop = Loop(recommender, outbox, tally, at_once=2)

    async def stopped() -> None:
        running = asyncio.create_task(loop.run(shoppers(500, "a", "b", "c")))
        while tally.lists < 10:  # noqa: ASYNC110  # the tally has no event to wait for
            await asyncio.sleep(0)
        loop.stop()
        await running

    asyncio.run(stopped())
    assert 10 <= tally.lists < 20
    assert len(outbox.records) == tally.events


def test_a_rate_is_kept() -> None:
    import time

    began = time.monotonic()
    outbox, tally = MemoryOutbox(), Tally()
    loop = Loop(Recommender(lambda *_: ["x"]), outbox, tally, rate=200.0)
    asyncio.run(loop.run(shoppers(10, "a", "b")))

    assert tally.events == 40
    assert time.monotonic() - began >= 0.9 * 40 / 200


def test_lists_that_are_not_the_shoppers_own_are_counted_apart() -> None:
    tally, _ = run(shoppers(5, "a", "b"), Recommender(lambda *_: ["x"], lambda user: f"of-{user}"))

    assert {name for name in tally.policies if FALLBACK not in name} == {f"of-u{n}" for n in range(5)}
    assert {name for name in tally.policies if FALLBACK in name} == {f"of-u{n} {FALLBACK}" for n in range(5)}


def test_a_page_without_any_list_is_no_list_looked_at() -> None:
    tally, _ = run(shoppers(3, "a", "b"), Recommender(lambda *_: []))

    assert tally.lists == 0
    assert tally.unlisted == 6
    assert tally.sent(Click) == 6


def test_items_are_described_when_the_shop_takes_them_in() -> None:
    outbox = MemoryOutbox()
    arrivals = [CatalogItem(item_id=f"new-{ts}", ts=ts) for ts in (500, 11_000)]
    loop = Loop(Recommender(lambda *_: ["x"]), outbox, Tally(), at_once=1)
    asyncio.run(loop.run(shoppers(1, "a", "b", "c"), arrivals))

    order = [record.topic.removeprefix("events.") for record in outbox.records]
    step = ["impression", "click"]
    assert order == [*step, "catalog.items", *step, "catalog.items", *step]
