"""The pending users: ids only, in the order in which they became pending."""

from collections import OrderedDict
from typing import Final


class PendingSet:
    """An ordered set of user ids, each with the times of the events that the next list must reflect.

    Parameters
    ----------
    limit
        Largest number of users; beyond it the longest waiting is evicted.

    Attributes
    ----------
    evicted
        Number of evicted users.

    Examples
    --------
    >>> pending = PendingSet(limit=2)
    >>> pending.add("a", 1.0); pending.add("b", 2.0); pending.add("a", 3.0)
    >>> pending.pop_oldest(5)
    {'a': (1.0, 3.0), 'b': (2.0,)}
    >>> len(pending)
    0
    """

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._pending: OrderedDict[str, tuple[float, ...]] = OrderedDict()
        self.evicted = 0

    def __len__(self) -> int:
        """Number of pending users."""
        return len(self._pending)

    def __contains__(self, user_id: object) -> bool:
        """Whether a user is pending."""
        return user_id in self._pending

    def add(self, user_id: str, *received: float) -> None:
        """Mark a user as pending.

        Parameters
        ----------
        *received
            Broker times of events, for the freshness metric; none without an event. The newest 64 per user are
            stored.
        """
        pending = self._pending
        previous = pending.get(user_id)
        if previous is None:
            pending[user_id] = received
            if len(pending) > self._limit:
                pending.popitem(last=False)
                self.evicted += 1
        elif received:
            pending[user_id] = (*previous, *received)[-64:]

    def discard(self, user_id: str) -> None:
        """Remove a user."""
        self._pending.pop(user_id, None)

    def pop_oldest(self, count: int) -> dict[str, tuple[float, ...]]:
        """Remove and return up to `count` users, the longest waiting first."""
        pending = self._pending
        return dict(pending.popitem(last=False) for _ in range(min(count, len(pending))))

    def requeue(self, failed: dict[str, tuple[float, ...]]) -> None:
        """Return users of a failed flush, ahead of later ones."""
        newer = self._pending
        self._pending = OrderedDict(failed)
        for user_id, received in newer.items():
            self.add(user_id, *received)
