"""The shoppers whose list waits to be published: ids only, in the order they became dirty."""

from collections import OrderedDict
from typing import Final


class DirtySet:
    """An ordered set of user ids, each with the times of the events its next list must reflect.

    Parameters
    ----------
    limit
        Most ids kept; beyond it the oldest is dropped and counted in `evicted`.

    Examples
    --------
    >>> dirty = DirtySet(limit=2)
    >>> dirty.add("a", 1.0); dirty.add("b", 2.0); dirty.add("a", 3.0)
    >>> dirty.take(5)
    {'a': (1.0, 3.0), 'b': (2.0,)}
    >>> len(dirty)
    0
    """

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._waiting: OrderedDict[str, tuple[float, ...]] = OrderedDict()
        self.evicted = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __contains__(self, user_id: object) -> bool:
        """Whether a shopper waits."""
        return user_id in self._waiting

    def add(self, user_id: str, *received: float) -> None:
        """Mark a shopper dirty.

        Parameters
        ----------
        user_id
            Who.
        *received
            Broker times of events, for the freshness metric; none where no event is behind it. At most 64 are
            kept a shopper.
        """
        waiting = self._waiting
        before = waiting.get(user_id)
        if before is None:
            waiting[user_id] = received
            if len(waiting) > self._limit:
                waiting.popitem(last=False)
                self.evicted += 1
        elif received:
            waiting[user_id] = (*before, *received)[-64:]

    def discard(self, user_id: str) -> None:
        """Forget a shopper."""
        self._waiting.pop(user_id, None)

    def take(self, count: int) -> dict[str, tuple[float, ...]]:
        """Remove and return up to `count` shoppers, the longest waiting first."""
        waiting = self._waiting
        return dict(waiting.popitem(last=False) for _ in range(min(count, len(waiting))))

    def put_back(self, taken: dict[str, tuple[float, ...]]) -> None:
        """Return shoppers whose flush failed, ahead of those that came since."""
        since = self._waiting
        self._waiting = OrderedDict(taken)
        for user_id, received in since.items():
            self.add(user_id, *received)
