"""The memory of published lists: what each shopper's last lists were, and what is known of their fate.

A worker remembers the lists of the shoppers it owns. What became of them (which items were seen, which were
rewarded) is a fold of `topics.records.Reward`s, so that the lists and the rewards read back from Kafka make the same
memory again.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Collection, Sequence
from math import inf
from typing import Final

import msgspec

from state.published_list import PublishedList
from state.retention import KEPT, Retention
from topics.records import Reward

_ENTRY_BYTES: Final = 320
"""What a remembered list takes beside its items, propensities and features: two objects, a slot, an id, a time."""


class _Shopper(msgspec.Struct):
    partition: int
    lists: list[PublishedList] = []
    searches: list[PublishedList] = []

    @property
    def count(self) -> int:
        return len(self.lists) + len(self.searches)


class ListMemory:
    """The lists that shoppers of this worker have, the newest few of each.

    Parameters
    ----------
    limit
        Lists remembered in all; beyond it whoever got a list longest ago is forgotten.
    retention
        Which of one shopper stay. Of their searches those with a reaction, those that are just up, and the newest
        `KEPT`.

    Examples
    --------
    >>> memory = ListMemory()
    >>> memory.add("ann", 0, PublishedList("l1", "fixed", 100.0, ("shoe", "sock")))
    >>> memory.add("ann", 0, PublishedList("l2", "fixed", 200.0, ("hat",)))
    >>> memory.last("ann", 150.0).items
    ('shoe', 'sock')
    """

    def __init__(self, limit: int = 100_000, retention: Retention | None = None) -> None:
        self._limit: Final = limit
        self._retention: Final = retention or Retention()
        self._of_searches: Final = Retention(KEPT, self._retention.window)
        self._shoppers: OrderedDict[str, _Shopper] = OrderedDict()
        self._taken: dict[int, float] = {}
        self._count = 0

    def __len__(self) -> int:
        """Lists remembered."""
        return self._count

    def take_event(self, partition: int, ts: float) -> None:
        """Note that the events of a partition were taken up to one.

        Parameters
        ----------
        partition
            Which.
        ts
            The broker's time of the event, seconds since the epoch.
        """
        self._taken[partition] = max(ts, self._taken.get(partition, ts))

    def add(self, user_id: str, partition: int, published: PublishedList) -> None:
        """Remember a list.

        The same list again (a shopper is published once more without an event in between) keeps its fate, and its
        windows begin anew.

        Parameters
        ----------
        user_id, partition
            Whose, and the partition of their events.
        published
            The list; one without items is nothing to remember.
        """
        if not published.items:
            return
        shopper = self._shoppers.get(user_id)
        if shopper is None:
            shopper = self._shoppers[user_id] = _Shopper(partition)
        else:
            shopper.partition = partition
            self._shoppers.move_to_end(user_id)
        published.since = max(published.since, published.at)
        lists = shopper.searches if published.search else shopper.lists
        # Without an event in between the same list is the newest.
        if lists and lists[-1].list_id == published.list_id:
            if lists[-1].items == published.items:
                lists[-1].since = max(lists[-1].since, published.since)
            else:
                lists[-1] = published
            return
        lists.append(published)
        self._count += 1
        self._trim(shopper, search=published.search)
        while self._count > self._limit:
            _, forgotten = self._shoppers.popitem(last=False)
            self._count -= forgotten.count

    def _trim(self, shopper: _Shopper, *, search: bool) -> None:
        lists = shopper.searches if search else shopper.lists
        retention = self._of_searches if search else self._retention
        taken = self._taken.get(shopper.partition, -inf)
        while (at := retention.dispensable(lists, taken)) is not None:
            del lists[at]
            self._count -= 1

    def add_earlier(self, user_id: str, partition: int, published: PublishedList) -> None:
        """Remember a list of before those that are remembered, while there is room.

        Parameters
        ----------
        user_id, partition
            Whose, and the partition of their events.
        published
            The list; one that is remembered already stays as it is.
        """
        if self._count >= self._limit or self.find(user_id, published.list_id) is not None:
            return
        shopper = self._shoppers.get(user_id)
        if shopper is None:
            shopper = self._shoppers[user_id] = _Shopper(partition)
            # the first to be forgotten
            self._shoppers.move_to_end(user_id, last=False)
        published.since = max(published.since, published.at)
        insort(shopper.searches if published.search else shopper.lists, published, key=lambda each: each.at)
        self._count += 1
        self._trim(shopper, search=published.search)

    def withdraw(self, user_id: str, published: PublishedList) -> None:
        """Forget a list that came to nobody's eyes; one that had been published before as it is stays."""
        shopper = self._shoppers.get(user_id)
        if shopper is not None:
            lists = shopper.searches if published.search else shopper.lists
            kept = [each for each in lists if each is not published]
            self._count -= len(lists) - len(kept)
            lists[:] = kept
            if not shopper.count:
                del self._shoppers[user_id]

    def of(self, user_id: str) -> Sequence[PublishedList]:
        """The lists of a shopper, oldest first; those of searches apart."""
        shopper = self._shoppers.get(user_id)
        return () if shopper is None else shopper.lists

    def find(self, user_id: str, list_id: str) -> PublishedList | None:
        """The list of a shopper, or of their search, that has this name."""
        shopper = self._shoppers.get(user_id)
        if shopper is not None:
            for each in (*shopper.lists, *shopper.searches):
                if each.list_id == list_id:
                    return each
        return None

    def last(self, user_id: str, ts: float) -> PublishedList | None:
        """The shopper's list that was published last before a time; searches apart."""
        shopper = self._shoppers.get(user_id)
        if shopper is not None:
            for each in reversed(shopper.lists):
                if each.at <= ts:
                    return each
        return None

    def take(self, reward: Reward) -> None:
        """Take note of what a reward says of a list; one of a list not remembered says nothing here."""
        known = self.find(reward.user_id, reward.list_id)
        if known is not None:
            known.mark(reward.kind, reward.position, reward.seen_positions, reward.ts)

    def forget(self, user_id: str) -> None:
        """Forget a shopper."""
        shopper = self._shoppers.pop(user_id, None)
        if shopper is not None:
            self._count -= shopper.count

    def keep(self, partitions: Collection[int]) -> None:
        """Forget the shoppers of all other partitions."""
        self._taken = {at: ts for at, ts in self._taken.items() if at in partitions}
        gone = [user for user, shopper in self._shoppers.items() if shopper.partition not in partitions]
        for user in gone:
            self.forget(user)

    def memory(self) -> int:
        """Bytes held, estimated from the newest lists of a sample of shoppers."""
        sample = [
            each
            for shopper, _ in zip(reversed(self._shoppers.values()), range(100), strict=False)
            for each in (*shopper.lists, *shopper.searches)
        ]
        if not sample:
            return 0
        size = sum(
            _ENTRY_BYTES + 8 * len(each.items) + len(each.propensities) + len(each.features)
            for each in sample
        )
        return self._count * size // len(sample)
