"""Published lists of one user, rewards for them, and a store."""

from typing import Any

from state.list_store import PublishedListStore
from state.published_list import PublishedList
from state.retention import Retention
from topics.records import Reward, RewardKind, Source


def make_list(
    list_id: str, at: float = 100.0, items: tuple[str, ...] = ("a", "b", "c"), **fields: Any
) -> PublishedList:
    return PublishedList(list_id, "fixed", at, items, **fields)


def reward(
    list_id: str, kind: RewardKind, position: int, *seen: int, ts: float = 110.0, user: str = "ann"
) -> Reward:
    return Reward(
        source=Source.CLICK,
        partition=0,
        offset=0,
        line=0,
        ts=ts,
        user_id=user,
        list_id=list_id,
        policy="fixed",
        kind=kind,
        position=position,
        seen_positions=seen,
    )


def caught_up_store(per_user: int = 8, limit: int = 100_000) -> PublishedListStore:
    """A store whose worker has processed all events of partitions 0 and 1."""
    list_store = PublishedListStore(limit, Retention(per_user))
    for partition in range(2):
        list_store.advance_watermark(partition, 1e9)
    return list_store


def names(list_store: PublishedListStore, user: str = "ann") -> list[str]:
    return [each.list_id for each in list_store.lists_of(user)]
