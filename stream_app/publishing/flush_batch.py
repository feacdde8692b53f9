"""The content of one flush."""

from collections.abc import Sequence
from typing import NamedTuple

from state.published_list import PublishedList
from stream_app.client.redis_contract import query_key, search_key, user_key
from stream_app.publishing.publisher import Document, OwnedKey
from stream_app.publishing.shared_lists import RefreshCycle


class UserList(NamedTuple):
    """A list of one user, ready to be published.

    Attributes
    ----------
    user_id, partition
        The user, and the partition of their events.
    published
        The list as `state.list_store.PublishedListStore` keeps it.
    document
        The list as Redis stores it.
    log_value
        The list as the ``lists`` topic stores it: the same JSON, with the features that the policy used.
    """

    user_id: str
    partition: int
    published: PublishedList
    document: Document
    log_value: bytes


class FlushBatch(NamedTuple):
    """The content of one flush.

    Attributes
    ----------
    generated_at
        When the lists were ranked, RFC 3339.
    users
        The users with a list in the batch, each with the broker's times of the events that it reflects.
    lists
        Their lists.
    search_lists
        Lists of search results of some of these users.
    searches
        The broker's time of each search; a search list without an event since the last flush has none.
    cycle
        Item, query and segment lists.
    erasures
        Users of the batch with a pending erasure when they were ranked, and its serial number: they returned after
        the erasure.
    stale_keys
        Keys to delete.
    n_holds
        `PendingQueue.n_holds` when the lists were ranked: the rows may have moved since, if it has grown.
    withdrawn_queries
        Queries whose lists are deleted: too few users are left who chose an item after them.
    """

    generated_at: str
    users: dict[str, tuple[float, ...]]
    lists: list[UserList]
    search_lists: list[UserList]
    searches: dict[str, float]
    cycle: RefreshCycle
    erasures: dict[str, int]
    stale_keys: list[OwnedKey]
    n_holds: int
    withdrawn_queries: Sequence[str] = ()

    @property
    def user_lists(self) -> list[UserList]:
        """Users' lists and search lists."""
        return self.lists + self.search_lists

    @property
    def deleted_keys(self) -> list[OwnedKey]:
        """All keys to delete, without those of erased users."""
        return self.stale_keys + [OwnedKey(query_key(query)) for query in self.withdrawn_queries]

    @property
    def documents(self) -> list[Document]:
        """All documents of the batch."""
        return [user_list.document for user_list in self.user_lists] + self.cycle.documents

    def without_users(self, users: set[str]) -> "FlushBatch":
        """The batch without the lists of some users."""
        if not users.intersection(self.users):
            return self
        return self._replace(
            users={user: received for user, received in self.users.items() if user not in users},
            lists=[each for each in self.lists if each.user_id not in users],
            search_lists=[each for each in self.search_lists if each.user_id not in users],
            searches={user: received for user, received in self.searches.items() if user not in users},
        )


def keys_of(user_id: str) -> tuple[str, str]:
    """The Redis keys of a user's lists."""
    return user_key(user_id), search_key(user_id)
