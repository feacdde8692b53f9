"""The lists of this worker's users: in memory for attribution, on topic ``lists`` for recovery."""

from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter
from typing import Final

from state.list_store import PublishedListStore
from state.log_progress import LogProgress
from stream_app.kafka.append import DeliveryCallbacks, RecordAppender
from stream_app.publishing.flush_batch import UserList
from stream_app.stage_metrics import StageTimes, WorkStage
from topics.catalog import LISTS
from topics.log_keys import list_key


class ListLog:
    """Stores lists in memory and appends them to the ``lists`` topic.

    Parameters
    ----------
    partition_of
        The partition of a user's events, which is also the partition of their lists.
    enabled
        Whether anything is appended to the topic.
    stage_times
        Where the time of appending is added; None measures nothing.
    """

    def __init__(
        self,
        list_store: PublishedListStore,
        append: RecordAppender,
        log_progress: LogProgress,
        partition_of: Callable[[str], int],
        *,
        enabled: bool = True,
        stage_times: StageTimes | None = None,
    ) -> None:
        self._list_store: Final = list_store
        self._append = append
        self.partition_of: Final = partition_of
        self._enabled = enabled
        self._times = StageTimes() if stage_times is None else stage_times
        self._on_delivered: Final = DeliveryCallbacks(partial(log_progress.on_delivered, LISTS.name))

    def remember(self, user_list: UserList) -> None:
        """Store a list in memory."""
        self._list_store.add(user_list.user_id, user_list.partition, user_list.published)

    def discard(self, user_lists: Iterable[UserList]) -> None:
        """Remove lists from memory that Redis did not accept."""
        for user_list in user_lists:
            self._list_store.discard(user_list.user_id, user_list.published)

    def write(self, user_lists: Iterable[UserList]) -> None:
        """Append lists to the topic."""
        if not self._enabled:
            return
        started = perf_counter()
        for user_list in user_lists:
            published = user_list.published
            key = list_key(user_list.user_id.encode(), published.list_id, published.at)
            self._append_record(key, user_list.partition, user_list.log_value)
        self._times[WorkStage.PUBLISH] += perf_counter() - started

    def erase(self, user_id: str) -> None:
        """Remove the lists of a user from memory, and append a record without a value, whose key is the user id.

        Earlier lists are still on the topic: after this record a recovery does not restore them.
        """
        self._list_store.forget(user_id)
        if self._enabled:
            self._append_record(user_id.encode(), self.partition_of(user_id), None)

    def _append_record(self, key: bytes, partition: int, value: bytes | None) -> None:
        self._append(LISTS.name, partition, key, value, self._on_delivered[partition])
