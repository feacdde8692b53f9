"""The store of published lists: each user's last lists and their outcomes.

A worker holds the lists of the users of its partitions. Outcomes (seen items, rewarded items) are a fold of
`topics.records.Reward`, so that the store can be restored from the lists and rewards on Kafka.
"""

from bisect import insort
from collections.abc import Collection, Iterable, Sequence
from math import inf
from typing import Final

from state.published_list import PublishedList
from state.retention import MIN_RETAINED, REACTION_DELAY, Retention
from state.user_lists import LeastRecentUsers, ProtectedUsers, UserLists
from topics.records import Reward

MAX_BACKLOG_FACTOR: Final = 4
"""Upper bound of the lists whose reactions may not have been read yet, as a multiple of the limit of the store."""

_ENTRY_BYTES: Final = 320
"""Bytes of a list besides its items, propensities and features: two objects, a slot, an id, a time."""


class PublishedListStore:
    """The newest lists of each user of this worker.

    Parameters
    ----------
    limit
        Maximum number of lists. Beyond it, the lists of the user whose last list is oldest are evicted. A user whose
        last list is newer than the newest processed event of their partition, less the delay of a reaction, is not:
        the reactions to it may not have been read yet. With such users there are at most `MAX_BACKLOG_FACTOR` times
        as many lists. Evicted lists with a reaction are truncated to the items with a reaction, so that a purchase
        is attributed to its click; there are at most `limit` truncated lists.
    retention
        Selects the lists of one user to evict. Search lists are retained if they have a reaction, were just
        displayed, or are among the newest `MIN_RETAINED`.

    Examples
    --------
    >>> store = PublishedListStore()
    >>> store.add("ann", 0, PublishedList("l1", "fixed", 100.0, ("shoe", "sock")))
    >>> store.add("ann", 0, PublishedList("l2", "fixed", 200.0, ("hat",)))
    >>> store.last_before("ann", 150.0).items
    ('shoe', 'sock')
    """

    def __init__(self, limit: int = 100_000, retention: Retention | None = None) -> None:
        self._limit: Final = limit
        self._retention: Final = retention or Retention()
        self._search_retention: Final = Retention(MIN_RETAINED, self._retention.window)
        self._recent: Final = ProtectedUsers()
        self._truncated: Final = LeastRecentUsers()
        self._watermarks: dict[int, float] = {}

    def __len__(self) -> int:
        """Number of lists, including truncated lists."""
        return self._recent.count + self._truncated.count

    def advance_watermark(self, partition: int, ts: float) -> None:
        """Record that events of a partition were processed up to a time.

        Parameters
        ----------
        ts
            The broker's timestamp of the event, seconds since the epoch.
        """
        self._watermarks[partition] = max(ts, self._watermarks.get(partition, ts))
        self._recent.has_progress = True

    def add(self, user_id: str, partition: int, published: PublishedList) -> None:
        """Add a list.

        A list that is already stored (published again without an event in between, or restored though it was never
        evicted) keeps its position and its outcomes; its attribution windows restart.

        Parameters
        ----------
        user_id, partition
            The user, and the partition of the user's events.
        published
            The list; an empty list is ignored.
        """
        if not published.items:
            return
        user_lists = self._recent.touch(user_id)
        if user_lists is None:
            user_lists = self._truncated.take(user_id) or UserLists(partition)
            self._recent.put(user_id, user_lists)
        user_lists.partition = partition
        published.window_start = max(published.window_start, published.at)
        lists = user_lists.searches if published.search else user_lists.lists
        existing = [at for at, each in enumerate(lists) if each.list_id == published.list_id]
        if existing:
            lists[existing[-1]] = _merge_republished(lists[existing[-1]], published)
        else:
            lists.append(published)
            self._recent.count += 1
        self._evict(user_lists, published)

    def _evict(self, user_lists: UserLists, added: PublishedList) -> None:
        """Evict lists of the same user by the retention rule, then lists of the least recent users."""
        lists = user_lists.searches if added.search else user_lists.lists
        retention = self._search_retention if added.search else self._retention
        watermark = self._watermarks.get(user_lists.partition, -inf)
        while (at := retention.select_eviction(lists, watermark)) is not None:
            del lists[at]
            self._recent.count -= 1
        while self._recent.count > self._limit:
            evicted = self._recent.pop_unprotected(self.read_until)
            if evicted is None:
                if self._recent.count <= MAX_BACKLOG_FACTOR * self._limit:
                    break
                evicted = self._recent.pop_oldest()
            user_id, oldest = evicted
            for each in (oldest.lists, oldest.searches):
                each[:] = [listed.truncate() for listed in each if listed.has_reaction]
            if oldest.count:
                self._truncated.put(user_id, oldest)
        self._evict_truncated()

    def read_until(self, partition: int) -> float:
        """Up to which publication time the reactions to the lists of a partition were read; -inf if not known."""
        return self._watermarks.get(partition, -inf) - REACTION_DELAY

    def _evict_truncated(self) -> None:
        while self._truncated.count > self._limit:
            self._truncated.pop_oldest()

    def add_truncated(self, truncated_lists: Iterable[tuple[str, int, PublishedList]]) -> None:
        """Add truncated lists that are older than the stored ones; beyond the limit the newest are retained.

        Parameters
        ----------
        truncated_lists
            User, partition of the user's events, and truncated list. A list that is already stored is unchanged.
        """
        for user_id, partition, truncated in truncated_lists:
            if self.find(user_id, truncated.list_id) is not None:
                continue
            recent = self._recent.get(user_id)
            user_lists = recent or self._truncated.users.setdefault(user_id, UserLists(partition))
            insort(
                user_lists.searches if truncated.search else user_lists.lists,
                truncated,
                key=lambda each: each.at,
            )
            holder = self._truncated if recent is None else self._recent
            holder.count += 1
            if recent is not None:
                self._evict(recent, truncated)
        self._truncated.sort()
        self._evict_truncated()

    def discard(self, user_id: str, published: PublishedList) -> None:
        """Remove a list that was not displayed; a stored list from an earlier publication stays."""
        user_lists = self._recent.get(user_id)
        if user_lists is not None:
            lists = user_lists.searches if published.search else user_lists.lists
            kept = [each for each in lists if each is not published]
            self._recent.count -= len(lists) - len(kept)
            lists[:] = kept
            if not user_lists.count:
                self._recent.take(user_id)

    def _lists_of_user(self, user_id: str) -> UserLists | None:
        return self._recent.get(user_id) or self._truncated.users.get(user_id)

    def lists_of(self, user_id: str) -> Sequence[PublishedList]:
        """The lists of a user, oldest first, without search lists."""
        user_lists = self._lists_of_user(user_id)
        return () if user_lists is None else user_lists.lists

    def find(self, user_id: str, list_id: str) -> PublishedList | None:
        """The list or search list of a user with this id."""
        user_lists = self._lists_of_user(user_id)
        if user_lists is not None:
            for each in (*user_lists.lists, *user_lists.searches):
                if each.list_id == list_id:
                    return each
        return None

    def last_before(self, user_id: str, ts: float) -> PublishedList | None:
        """The user's last list published before a time, without search lists; None if it is truncated."""
        for each in reversed(self.lists_of(user_id)):
            if each.at <= ts:
                return None if each.is_truncated else each
        return None

    def apply_outcome(self, reward: Reward) -> None:
        """Apply the outcome of a reward; ignored if its list is not stored."""
        existing = self.find(reward.user_id, reward.list_id)
        if existing is not None:
            existing.apply_outcome(reward.kind, reward.position, reward.seen_positions, reward.ts)

    def forget(self, user_id: str) -> None:
        """Remove all lists of a user."""
        self._recent.take(user_id)
        self._truncated.take(user_id)

    def retain_partitions(self, partitions: Collection[int]) -> None:
        """Remove the users of all other partitions."""
        self._watermarks = {at: ts for at, ts in self._watermarks.items() if at in partitions}
        for users in (self._recent, self._truncated):
            removed = [user for user, user_lists in users.items() if user_lists.partition not in partitions]
            for user in removed:
                users.take(user)

    def memory_bytes(self) -> int:
        """Estimated memory in bytes."""
        return sum(
            users.count * _mean_bytes(users.newest_first()) for users in (self._recent, self._truncated)
        )


def _mean_bytes(newest_first: Iterable[UserLists]) -> int:
    """Mean memory of a list in bytes, estimated from the lists of 100 users."""
    sample = [
        each
        for user_lists, _ in zip(newest_first, range(100), strict=False)
        for each in (*user_lists.lists, *user_lists.searches)
    ]
    size = sum(
        _ENTRY_BYTES + 8 * len(each.items) + len(each.propensities) + len(each.features) for each in sample
    )
    return size // max(1, len(sample))


def _merge_republished(existing: PublishedList, published: PublishedList) -> PublishedList:
    """The stored list after it was published again."""
    if existing.items != published.items and not existing.is_truncated:
        return published
    # A truncated list becomes whole again and keeps its outcomes.
    existing.items, existing.propensities, existing.features = (
        published.items,
        published.propensities,
        published.features,
    )
    existing.window_start = max(existing.window_start, published.window_start)
    return existing
