"""The memory of published lists: what each shopper's last lists were, and what is known of their fate.

A worker remembers the lists of the shoppers it owns. What became of them (which items were seen, which were
rewarded) is a fold of `topics.records.Reward`s, so that the lists and the rewards read back from Kafka make the same
memory again.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
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

    @property
    def newest(self) -> float:
        """When their newest list was published."""
        return max(each[-1].at for each in (self.lists, self.searches) if each)


class _Shelf:
    """Shoppers, whoever got a list longest ago first, and how many lists they have together."""

    def __init__(self) -> None:
        self.shoppers: OrderedDict[str, _Shopper] = OrderedDict()
        self.count = 0

    def put(self, user_id: str, shopper: _Shopper) -> None:
        self.shoppers[user_id] = shopper
        self.count += shopper.count

    def take(self, user_id: str) -> _Shopper | None:
        shopper = self.shoppers.pop(user_id, None)
        if shopper is not None:
            self.count -= shopper.count
        return shopper

    def take_oldest(self) -> tuple[str, _Shopper]:
        user_id, shopper = self.shoppers.popitem(last=False)
        self.count -= shopper.count
        return user_id, shopper

    def sort(self) -> None:
        self.shoppers = OrderedDict(sorted(self.shoppers.items(), key=lambda entry: entry[1].newest))

    def memory(self) -> int:
        """Bytes held, estimated from the newest lists of a sample of shoppers."""
        sample = [
            each
            for shopper, _ in zip(reversed(self.shoppers.values()), range(100), strict=False)
            for each in (*shopper.lists, *shopper.searches)
        ]
        size = sum(
            _ENTRY_BYTES + 8 * len(each.items) + len(each.propensities) + len(each.features)
            for each in sample
        )
        return self.count * size // max(1, len(sample))


class ListMemory:
    """The lists that shoppers of this worker have, the newest few of each.

    Parameters
    ----------
    limit
        Lists remembered in all. Beyond it those go of whoever got a list longest ago; of lists with a reaction the
        items reacted to stay, so that a purchase finds its click, and of such remnants there are as many at most.
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
        self._recent: Final = _Shelf()
        self._remnants: Final = _Shelf()
        self._taken: dict[int, float] = {}

    def __len__(self) -> int:
        """Lists remembered, and remnants of lists."""
        return self._recent.count + self._remnants.count

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

        The same list again (a shopper is published once more without an event in between, or it is read back though
        it was never forgotten) keeps its place and its fate, and its windows begin anew.

        Parameters
        ----------
        user_id, partition
            Whose, and the partition of their events.
        published
            The list; one without items is nothing to remember.
        """
        if not published.items:
            return
        shopper = self._recent.shoppers.get(user_id)
        if shopper is None:
            shopper = self._remnants.take(user_id) or _Shopper(partition)
            self._recent.put(user_id, shopper)
        else:
            self._recent.shoppers.move_to_end(user_id)
        shopper.partition = partition
        published.since = max(published.since, published.at)
        lists = shopper.searches if published.search else shopper.lists
        known = [at for at, each in enumerate(lists) if each.list_id == published.list_id]
        if known:
            lists[known[-1]] = _again(lists[known[-1]], published)
        else:
            lists.append(published)
            self._recent.count += 1
        self._make_room(shopper, published)

    def _make_room(self, shopper: _Shopper, added: PublishedList) -> None:
        """Drop what there is no room for now: lists of the same shopper, and of those who were here longest ago."""
        lists = shopper.searches if added.search else shopper.lists
        retention = self._of_searches if added.search else self._retention
        taken = self._taken.get(shopper.partition, -inf)
        while (at := retention.dispensable(lists, taken)) is not None:
            del lists[at]
            self._recent.count -= 1
        while self._recent.count > self._limit:
            user_id, oldest = self._recent.take_oldest()
            for each in (oldest.lists, oldest.searches):
                each[:] = [listed.remnant() for listed in each if listed.reacted]
            if oldest.count:
                self._remnants.put(user_id, oldest)
        self._trim_remnants()

    def _trim_remnants(self) -> None:
        while self._remnants.count > self._limit:
            self._remnants.take_oldest()

    def add_earlier(self, remnants: Iterable[tuple[str, int, PublishedList]]) -> None:
        """Remember what is left of lists of before those that are remembered; where there is no room, the newest.

        Parameters
        ----------
        remnants
            Whose, the partition of their events, and the remnant. Of a list that is remembered nothing changes.
        """
        for user_id, partition, remnant in remnants:
            if self.find(user_id, remnant.list_id) is not None:
                continue
            recent = self._recent.shoppers.get(user_id)
            shelf = self._remnants if recent is None else self._recent
            shopper = shelf.shoppers.setdefault(user_id, _Shopper(partition))
            insort(shopper.searches if remnant.search else shopper.lists, remnant, key=lambda each: each.at)
            shelf.count += 1
            if recent is not None:
                self._make_room(recent, remnant)
        self._remnants.sort()
        self._trim_remnants()

    def withdraw(self, user_id: str, published: PublishedList) -> None:
        """Forget a list that came to nobody's eyes; one that had been published before as it is stays."""
        shopper = self._recent.shoppers.get(user_id)
        if shopper is not None:
            lists = shopper.searches if published.search else shopper.lists
            kept = [each for each in lists if each is not published]
            self._recent.count -= len(lists) - len(kept)
            lists[:] = kept
            if not shopper.count:
                self._recent.take(user_id)

    def _of(self, user_id: str) -> _Shopper | None:
        return self._recent.shoppers.get(user_id) or self._remnants.shoppers.get(user_id)

    def of(self, user_id: str) -> Sequence[PublishedList]:
        """The lists of a shopper, oldest first; those of searches apart."""
        shopper = self._of(user_id)
        return () if shopper is None else shopper.lists

    def find(self, user_id: str, list_id: str) -> PublishedList | None:
        """The list of a shopper, or of their search, that has this name."""
        shopper = self._of(user_id)
        if shopper is not None:
            for each in (*shopper.lists, *shopper.searches):
                if each.list_id == list_id:
                    return each
        return None

    def last(self, user_id: str, ts: float) -> PublishedList | None:
        """The shopper's list that was published last before a time, if it is held whole; searches apart."""
        for each in reversed(self.of(user_id)):
            if each.at <= ts:
                return None if each.is_remnant else each
        return None

    def take(self, reward: Reward) -> None:
        """Take note of what a reward says of a list; one of a list not remembered says nothing here."""
        known = self.find(reward.user_id, reward.list_id)
        if known is not None:
            known.mark(reward.kind, reward.position, reward.seen_positions, reward.ts)

    def forget(self, user_id: str) -> None:
        """Forget a shopper."""
        self._recent.take(user_id)
        self._remnants.take(user_id)

    def keep(self, partitions: Collection[int]) -> None:
        """Forget the shoppers of all other partitions."""
        self._taken = {at: ts for at, ts in self._taken.items() if at in partitions}
        for shelf in (self._recent, self._remnants):
            gone = [user for user, shopper in shelf.shoppers.items() if shopper.partition not in partitions]
            for user in gone:
                shelf.take(user)

    def memory(self) -> int:
        """Bytes held, estimated."""
        return self._recent.memory() + self._remnants.memory()


def _again(known: PublishedList, published: PublishedList) -> PublishedList:
    """A list that is remembered, once it has been published again."""
    if known.items != published.items and not known.is_remnant:
        return published
    # of a remnant the whole is known again; what became of it is what it was
    known.items, known.propensities, known.features = (
        published.items,
        published.propensities,
        published.features,
    )
    known.since = max(known.since, published.since)
    return known
