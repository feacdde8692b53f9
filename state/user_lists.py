"""The lists of each user, in the order in which users are evicted."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

import msgspec

from state.published_list import PublishedList


class UserLists(msgspec.Struct):
    """The lists of one user, oldest first.

    Attributes
    ----------
    partition
        The partition of the user's events.
    """

    partition: int
    lists: list[PublishedList] = []
    searches: list[PublishedList] = []

    @property
    def count(self) -> int:
        """Number of lists."""
        return len(self.lists) + len(self.searches)

    @property
    def newest(self) -> float:
        """Publication time of the newest list."""
        return max(self.lists[-1].at if self.lists else 0.0, self.searches[-1].at if self.searches else 0.0)

    @property
    def last_published(self) -> float:
        """When a list of the user was last published, also if it was the same list as before."""
        latest = 0.0
        for lists in (self.lists, self.searches):
            if lists:
                newest = lists[-1]
                latest = max(latest, newest.at, newest.window_start)
        return latest


class LeastRecentUsers:
    """Users in the order of their last list, oldest first, and the total number of their lists."""

    def __init__(self) -> None:
        self.users: OrderedDict[str, UserLists] = OrderedDict()
        self.count = 0

    def put(self, user_id: str, user_lists: UserLists) -> None:
        """Add a user as the most recent one."""
        self.users[user_id] = user_lists
        self.count += user_lists.count

    def take(self, user_id: str) -> UserLists | None:
        """Remove and return the lists of a user."""
        user_lists = self.users.pop(user_id, None)
        if user_lists is not None:
            self.count -= user_lists.count
        return user_lists

    def pop_oldest(self) -> tuple[str, UserLists]:
        """Remove and return the least recent user."""
        user_id, user_lists = self.users.popitem(last=False)
        self.count -= user_lists.count
        return user_id, user_lists

    def sort(self) -> None:
        """Restore the order after lists were inserted."""
        self.users = OrderedDict(sorted(self.users.items(), key=lambda entry: entry[1].newest))

    def items(self) -> Iterable[tuple[str, UserLists]]:
        """Each user and their lists."""
        return self.users.items()

    def newest_first(self) -> Iterator[UserLists]:
        """The lists of each user, the most recent user first."""
        return reversed(self.users.values())


class ProtectedUsers:
    """Users in the order of their last list, of whom some may not be evicted yet.

    Whether a user is protected depends on the progress of their partition. The oldest user who is found protected is
    set aside, in a queue of their partition; those queues are looked at first by the next eviction. A user is set
    aside at most once per list, so that an eviction takes constant time on average, and as many steps as there are
    partitions with a backlog.

    Examples
    --------
    >>> users = ProtectedUsers()
    >>> for at, user_id in enumerate(("ann", "bob", "cem")):
    ...     users.put(user_id, UserLists(at, [PublishedList("l", "fixed", float(at), ("shoe",))]))
    >>> users.pop_unprotected(lambda partition: -1.0 if partition == 0 else 100.0)[0]
    'bob'
    >>> users.pop_oldest()[0], users.count
    ('ann', 1)
    """

    def __init__(self) -> None:
        self._in_order: OrderedDict[str, UserLists] = OrderedDict()
        self._aside: dict[int, OrderedDict[str, UserLists]] = {}
        self._aside_partition: OrderedDict[str, int] = OrderedDict()
        self.count = 0
        """Number of lists; the owner adjusts it when it adds lists to a user, or removes some."""
        self.has_progress = True
        """Set by the owner when reactions were read: until then, users who were set aside stay protected."""

    def get(self, user_id: str) -> UserLists | None:
        """The lists of a user."""
        found = self._in_order.get(user_id)
        if found is None and (partition := self._aside_partition.get(user_id)) is not None:
            found = self._aside[partition][user_id]
        return found

    def touch(self, user_id: str) -> UserLists | None:
        """Make a user the most recent one, and return their lists."""
        found = self._in_order.get(user_id)
        if found is not None:
            self._in_order.move_to_end(user_id)
        elif user_id in self._aside_partition:
            found = self._in_order[user_id] = self._remove(user_id)
        return found

    def put(self, user_id: str, user_lists: UserLists) -> None:
        """Add a user as the most recent one."""
        self._in_order[user_id] = user_lists
        self.count += user_lists.count

    def take(self, user_id: str) -> UserLists | None:
        """Remove and return the lists of a user."""
        if self.get(user_id) is None:
            return None
        user_lists = self._remove(user_id)
        self.count -= user_lists.count
        return user_lists

    def pop_unprotected(self, read_until: Callable[[int], float]) -> tuple[str, UserLists] | None:
        """Remove and return the oldest user of some partition who may be evicted; None if all are protected.

        Parameters
        ----------
        read_until
            For a partition, the time up to which reactions to its lists were read. A user with a list published
            after it is protected.
        """
        if self.has_progress:
            for user_id, user_lists in self._oldest_aside():
                if user_lists.last_published <= read_until(user_lists.partition):
                    return self._pop(user_id)
            self.has_progress = False
        while self._in_order:
            user_id, user_lists = next(iter(self._in_order.items()))
            if user_lists.last_published <= read_until(user_lists.partition):
                return self._pop(user_id)
            del self._in_order[user_id]
            self._aside.setdefault(user_lists.partition, OrderedDict())[user_id] = user_lists
            self._aside_partition[user_id] = user_lists.partition
        return None

    def pop_oldest(self) -> tuple[str, UserLists]:
        """Remove and return the oldest user, even if they are protected."""
        # Users are set aside in the order of their last list, and before all others.
        return self._pop(next(iter(self._aside_partition or self._in_order)))

    def newest_first(self) -> Iterator[UserLists]:
        """The lists of each user, the most recent user first; users who were set aside come last."""
        yield from reversed(self._in_order.values())
        for users in self._aside.values():
            yield from reversed(users.values())

    def items(self) -> Iterator[tuple[str, UserLists]]:
        """Each user and their lists."""
        yield from self._in_order.items()
        for users in self._aside.values():
            yield from users.items()

    def _oldest_aside(self) -> list[tuple[str, UserLists]]:
        return [next(iter(users.items())) for users in self._aside.values()]

    def _pop(self, user_id: str) -> tuple[str, UserLists]:
        user_lists = self._remove(user_id)
        self.count -= user_lists.count
        return user_id, user_lists

    def _remove(self, user_id: str) -> UserLists:
        partition = self._aside_partition.pop(user_id, None)
        if partition is None:
            return self._in_order.pop(user_id)
        users = self._aside[partition]
        user_lists = users.pop(user_id)
        if not users:
            del self._aside[partition]
        return user_lists
