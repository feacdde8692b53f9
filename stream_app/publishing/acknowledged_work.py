"""What the store acknowledged lately, and may lose all the same.

A replica of Redis lags behind its primary, and a log that is synchronized each second lacks the last second. The
sentinel (`stream_app.publishing.redis_sentinel`) notices a loss of more than a second of writes, and all lists are
published again. A smaller one shows in nothing but a new connection. So what was acknowledged in the last seconds is
done again then: erasures above all, since no later event would repeat them.
"""

from collections.abc import Iterable
from typing import Final

WINDOW_SECONDS: Final = 3.0
"""More than Redis loses without notice of the sentinel."""


class AcknowledgedWork:
    """The work that was acknowledged in the last seconds before the newest acknowledgement.

    Time without an acknowledgement does not count: Redis may have been unavailable since.

    Parameters
    ----------
    limit
        Bound on the number of entries of each kind; the oldest are dropped.

    Attributes
    ----------
    users
        Users whose lists were published for an event. Lists that are only repeated are not included.
    erasures
        Users whose lists were deleted.
    queries
        Queries whose lists were deleted.

    Examples
    --------
    >>> work = AcknowledgedWork(limit=100)
    >>> work.add(10.0, users=["ann"])
    >>> work.add(12.0, erasures=["bob"])
    >>> list(work.users), list(work.erasures)
    (['ann'], ['bob'])
    >>> work.add(14.0)
    >>> list(work.users), list(work.erasures)
    ([], ['bob'])
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.users: Final[dict[str, float]] = {}
        self.erasures: Final[dict[str, float]] = {}
        self.queries: Final[dict[str, float]] = {}

    def add(
        self, now: float, users: Iterable[str] = (), erasures: Iterable[str] = (), queries: Iterable[str] = ()
    ) -> None:
        """Add work that was acknowledged now, by a monotonic clock; drop what is out of date."""
        for entries, added in ((self.users, users), (self.erasures, erasures), (self.queries, queries)):
            for name in added:
                # The order is that of the times.
                entries.pop(name, None)
                entries[name] = now
            while entries:
                oldest = next(iter(entries))
                if len(entries) <= self._limit and entries[oldest] >= now - WINDOW_SECONDS:
                    break
                del entries[oldest]

    def clear(self) -> None:
        """Forget all: the partitions moved, and their next owner looks through the store."""
        self.users.clear()
        self.erasures.clear()
        self.queries.clear()
