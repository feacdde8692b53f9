"""The port to the rows of this worker's users, with its errors; `state.user_table` adapts Faust's table to it."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from state.row import UserRow


class StoreError(RuntimeError):
    """The local store could not read or write, for no reason of the event: try again later."""


class StuckStoreError(StoreError):
    """The local store cannot be closed: it works again in another process only."""


class DamagedStoreError(StoreError):
    """Files of a partition are damaged.

    Attributes
    ----------
    partition
        The partition; -1 if it is not known.
    """

    def __init__(self, message: str, partition: int) -> None:
        super().__init__(message)
        self.partition: Final = partition


class UnreadableRow(NamedTuple):
    """A stored row that cannot be decoded.

    Attributes
    ----------
    topic, partition
        The changelog and the partition of the row.
    key, value
        The stored bytes.
    detail
        Why it cannot be decoded.
    """

    topic: str
    partition: int
    key: bytes
    value: bytes
    detail: str


class UserRowStore(Protocol):
    """The rows of the users of this worker's partitions.

    Attributes
    ----------
    on_unreadable
        Called with a row that cannot be decoded; its user has an empty row from then on.
    """

    on_unreadable: Callable[[UnreadableRow], None]

    def get(self, user_id: str) -> UserRow:
        """The user's row; the empty row for a new user."""

    def put(self, user_id: str, row: UserRow, partition: int) -> None:
        """Store a row; allowed only while the event that changed it is processed."""

    def partition_of(self, user_id: str) -> int:
        """The partition of a user's events."""

    def scan(self) -> Iterator[tuple[str, UserRow]]:
        """All rows."""

    def clear_cache(self) -> None:
        """Drop cached rows, after partitions moved."""
