"""An in-memory recommender for tests of simulated users, and a loop that runs on it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

from stream_app.client.redis_contract import popular_key, user_key
from stream_app.tools.simulator.loop import SimulationLoop
from stream_app.tools.simulator.simulated_user import SimulatedUser
from stream_app.tools.simulator.tally import SimulationTally
from tests.support.in_memory_event_sender import InMemoryEventSender
from topics.codec import Limits, decode
from topics.events import Click, Event, Impression, Purchase, Search
from topics.records import ListedItem, Reason, RecommendationList

KINDS: dict[str, type[Event]] = {
    "events.click": Click,
    "events.search": Search,
    "events.purchase": Purchase,
    "events.impression": Impression,
}


def make_list(
    items: Iterable[str], *, list_id: str = "l", key: str = "k", policy: str = "fixed"
) -> RecommendationList:
    listed = tuple(ListedItem(item, 0.5, 1.0, Reason("popular")) for item in items)
    return RecommendationList(
        list_id=list_id,
        key=key,
        generated_at="2026-01-01T00:00:00.000Z",
        policy=policy,
        model_version=1,
        items=listed,
    )


class InMemoryRecommender:
    """Replaces Redis and the workers: popular items at first, then a new personal list at each read.

    Parameters
    ----------
    recommend
        Returns the items for a user.
    policy_of
        Returns the policy of a user's lists.
    """

    def __init__(
        self,
        recommend: Callable[[str, Sequence[str]], Iterable[str]],
        policy_of: Callable[[str], str] = lambda _: "fixed",
    ) -> None:
        self._recommend = recommend
        self._policy_of = policy_of
        self._reads: dict[str, int] = {}
        self.excluded: list[tuple[str, ...]] = []

    async def read(
        self,
        user_id: str,
        *,
        session_items: Sequence[str] = (),
        segments: Sequence[str] = (),
        exclude: Collection[str] = (),
    ) -> RecommendationList | None:
        del segments
        await asyncio.sleep(0)
        self.excluded.append(tuple(exclude))
        reads = self._reads[user_id] = self._reads.get(user_id, 0) + 1
        items = [item for item in self._recommend(user_id, session_items) if item not in exclude]
        key = user_key(user_id) if reads > 1 else popular_key()
        return (
            make_list(items, list_id=f"{user_id}-{reads}", key=key, policy=self._policy_of(user_id))
            if items
            else None
        )


def run(
    users: Iterable[SimulatedUser], recommender: InMemoryRecommender, *, concurrency: int = 8
) -> tuple[SimulationTally, list[Event]]:
    """Run users until they are finished; return the tally, and the events as the workers decode them."""
    tally, sender = SimulationTally(), InMemoryEventSender()
    asyncio.run(
        SimulationLoop(recommender, sender, tally, concurrency=concurrency, list_timeout=0.05).run(users)
    )
    return tally, [
        decode(record.value, KINDS[record.topic], received=1e10, limits=Limits(max_future=1e12, max_age=0))
        for record in sender.records
    ]
