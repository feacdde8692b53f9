"""The port to the record in the store that tells whether the store still has the published lists."""

from collections.abc import AsyncIterator, Collection
from typing import NamedTuple, Protocol


class StoreState(NamedTuple):
    """What the store knows about its lists.

    Attributes
    ----------
    epoch
        Identifies one life of the store's data: it is new after the data was lost, and after `headrace republish`.
    complete
        The partitions of which all lists were published in this epoch.
    """

    epoch: str
    complete: frozenset[int]


class Sentinel(Protocol):
    """Notices that a store was emptied, replaced, or taken back to an earlier state."""

    async def check(self) -> StoreState:
        """Read the state, and begin a new epoch if the store lost data.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable or refuses writes.
        """

    async def report_remaining(self, partitions: Collection[int], n_users: int) -> None:
        """Record how many users of some partitions still wait for their lists to be published again.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable or refuses writes.
        """

    async def mark_complete(self, partitions: Collection[int], epoch: str) -> None:
        """Record that all lists of some partitions were published in an epoch.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable or refuses writes.
        """

    def user_ids(self) -> AsyncIterator[list[str]]:
        """The users with a list in the store, in portions; a user may be in more than one.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable.
        """

    async def with_lists(self, user_ids: Collection[str]) -> list[str]:
        """Those of some users who have a list in the store, and not the mark of an erased user.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable.
        """

    def queries(self) -> AsyncIterator[list[str]]:
        """The queries with a list in the store, in portions; a query may be in more than one.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable.
        """

    async def close(self) -> None:
        """Close the connections."""
