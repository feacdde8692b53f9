"""The memory of published lists: what each shopper's last lists were, and what is known of their fate.

A worker remembers the lists of the shoppers it owns. What became of them (which items were seen, which were
rewarded) is a fold of `topics.records.Reward`s, so that the lists and the rewards read back from Kafka make the same
memory again.
"""

from array import array
from bisect import insort
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from math import inf
from typing import Final

import msgspec

from topics.records import NO_CHOICE, Reward, RewardKind

KEPT: Final = 2
"""The newest lists of a shopper, which stay whatever became of them; as many are remembered of their searches."""

ROOM: Final = 4
"""Times as many lists as stay without a reaction are remembered of a shopper at most, whatever they wait for."""

_LINGER: Final = 30.0
"""Seconds after another list took its place in which a reaction to a list is still likely: the page is open."""

_ENTRY_BYTES: Final = 320
"""What a remembered list takes beside its items, propensities and features: two objects, a slot, an id, a time."""


class PublishedList(msgspec.Struct, gc=False):
    """One published list, as compact as it goes.

    Attributes
    ----------
    list_id, policy
        Its name, and what ordered it.
    at
        When it was published first, seconds since the epoch.
    items
        Ids, best first.
    propensities
        A float64 an item; empty where all are 1.
    features
        A row an item of whatever the policy goes by; empty where it goes by none.
    search
        Whether it is of a search: then only a reaction that names it is matched with it.
    since
        When it was published last, or known to be shown: windows run from here.
    seen
        A bit an item, by its place: whether it is known to have been seen.
    given
        For each kind of reaction a bit an item: whether it was rewarded. For impressions: whether one made it seen.
    """

    list_id: str
    policy: str
    at: float
    items: tuple[str, ...]
    propensities: bytes = b""
    features: bytes = b""
    search: bool = False
    since: float = 0.0
    seen: int = 0
    given: dict[RewardKind, int] | None = None

    def place(self, item_id: str) -> int:
        """The place of an item, from 0; -1 where it is not on the list."""
        return self.items.index(item_id) if item_id in self.items else -1

    def propensity(self, place: int) -> float:
        """The probability with which the policy put the item of a place there."""
        if not self.propensities:
            return 1.0
        return float(memoryview(self.propensities).cast("d")[place])

    def row(self, place: int) -> bytes:
        """The features of the item of a place."""
        width = len(self.features) // len(self.items)
        return self.features[place * width : (place + 1) * width]

    def was_given(self, kind: RewardKind) -> int:
        """The items that got a reward of a kind, a bit a place."""
        return 0 if self.given is None else self.given.get(kind, 0)

    def reacted_to(self, place: int) -> bool:
        """Whether the shopper made something good of the item of a place: a dislike is no choice of it."""
        return any(
            places >> place & 1 for kind, places in (self.given or {}).items() if kind not in NO_CHOICE
        )

    @property
    def reacted(self) -> bool:
        """Whether the shopper reacted to it, which is more than having seen it."""
        return self.given is not None and (len(self.given) > 1 or RewardKind.IMPRESSION not in self.given)

    def mark(self, kind: RewardKind, position: int, seen: Iterable[int], ts: float) -> None:
        """Take note of a reward: its kind and place, the places it made seen, its time."""
        shown = sum(1 << place for place in seen)
        self.seen |= shown
        if kind is RewardKind.IMPRESSION:
            self.since = max(self.since, ts)
        else:
            shown = 1 << position
        if self.given is None:
            self.given = {}
        self.given[kind] = self.given.get(kind, 0) | shown


def packed(propensities: Sequence[float]) -> bytes:
    """Propensities as `PublishedList.propensities` holds them.

    Examples
    --------
    >>> packed([1.0, 1.0]), len(packed([0.5, 0.25]))
    (b'', 16)
    """
    # The first place tells most policies that draw from those that do not.
    if not propensities or (propensities[0] == 1.0 and propensities.count(1.0) == len(propensities)):
        return b""
    return array("d", propensities).tobytes()


class Retention(msgspec.Struct, frozen=True):
    """Which list of a shopper goes when there are too many.

    Attributes
    ----------
    per_user
        Lists without a reaction that stay; of all together `ROOM` times as many.
    window
        Seconds after which no reaction follows another: so long a list with one stays, for a list with a click on it
        may yet lead to a purchase.

    Examples
    --------
    >>> lists = [PublishedList(f"l{at}", "fixed", at, ("shoe",)) for at in (0.0, 300.0, 301.0, 400.0, 500.0)]
    >>> Retention(per_user=4).dispensable(lists, taken=500.0)
    1
    >>> Retention(per_user=4).dispensable(lists, taken=310.0) is None
    True
    """

    per_user: int = 8
    window: float = 86_400.0

    def dispensable(self, lists: Sequence[PublishedList], taken: float) -> int | None:
        """The place of the list that is missed least; None where all may stay.

        Parameters
        ----------
        lists
            Of one shopper, oldest first.
        taken
            The broker's time of the newest event that was taken from their partition: what they did since is still
            to come, and may be with any list that was up since.
        """
        per_user = max(self.per_user, KEPT)
        if len(lists) <= per_user:
            return None
        # Reactions come some time after the look at the list.
        up_since = taken - _LINGER
        oldest_with = lists[-1].at - self.window
        idle, with_reaction = 0, 0
        idlest, briefest = None, None
        shortest_of_idle = shortest = inf
        for at in range(len(lists) - KEPT):
            each, until = lists[at], lists[at + 1].at
            if each.reacted and each.since > oldest_with:
                with_reaction += 1
                continue
            shown = until - each.at
            if shown < shortest:
                briefest, shortest = at, shown
            if until <= up_since:
                idle += 1
                if shown < shortest_of_idle:
                    idlest, shortest_of_idle = at, shown
        if idle + KEPT > per_user:
            return idlest
        if len(lists) <= ROOM * per_user:
            return None
        if 2 * with_reaction > len(lists):
            return next(at for at, each in enumerate(lists) if each.reacted)
        return briefest


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
