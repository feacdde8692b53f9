"""Notices when Kafka removes records that a consumer has still to read, and when it loses records that were read.

aiokafka then goes on with the first record that is left, and does not tell how many it passed.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from aiokafka.structs import TopicPartition

OnRemoved = Callable[[TopicPartition, int, int], None]
"""Called with a partition, the next offset to read, and that of the first record that is left."""

OnShortened = Callable[[TopicPartition, int, int], None]
"""Called with a partition, the next offset to read, before which the log ends, and the offset to go on from."""

_MAX_REQUESTS: Final = 64
"""A refused position is reset before the next request for its partition; some for others come between."""


def report_removed_records(
    consumer: Any, on_removed: OnRemoved, on_shortened: OnShortened = lambda *_: None
) -> None:
    """Report removed records of a consumer's partitions from now on.

    Parameters
    ----------
    consumer
        A started consumer of aiokafka whose positions are reset to the earliest offset.
    on_removed
        Called in the consumer's event loop as soon as the position is known from which the consumer goes on.
    on_shortened
        Called likewise if a log ends before the next offset to read: the brokers lost records, or the topic was
        deleted and created anew.
    """
    fetcher = consumer._fetcher  # noqa: SLF001  # aiokafka has no public way to it
    watch = _PositionWatch(fetcher, on_removed, on_shortened)
    fetcher._proc_fetch_request = watch.fetch  # noqa: SLF001
    fetcher._update_fetch_positions = watch.reset  # noqa: SLF001


class _PositionWatch:
    """Compares the position that the fetcher resets a partition to with the one that it requested last."""

    def __init__(self, fetcher: Any, on_removed: OnRemoved, on_shortened: OnShortened) -> None:
        self._fetch = fetcher._proc_fetch_request  # noqa: SLF001
        self._reset = fetcher._update_fetch_positions  # noqa: SLF001
        self._on_removed: Final = on_removed
        self._on_shortened: Final = on_shortened
        self._requests: Final[deque[tuple[Any, Any]]] = deque(maxlen=_MAX_REQUESTS)
        """The newest requests, each with the assignment that it belongs to."""

    async def fetch(self, assignment: Any, node_id: int, request: Any) -> bool:
        """Fetch, and remember the request: a look at the state of each partition would cost more than the rest."""
        self._requests.append((assignment, request))
        has_records: bool = await self._fetch(assignment, node_id, request)
        return has_records

    def _requested(self, assignment: Any, tp: TopicPartition) -> int | None:
        """The offset of a partition that was requested last in this assignment."""
        for known, request in reversed(self._requests):
            if known is not assignment:
                continue
            for topic, partitions in request.topics:
                if topic == tp.topic:
                    for partition, offset, _ in partitions:
                        if partition == tp.partition:
                            return int(offset)
        return None

    async def reset(self, assignment: Any, node_id: int, tps: list[TopicPartition]) -> bool:
        """Find positions; report those that passed records."""
        refused = {
            tp: self._requested(assignment, tp) for tp in tps if assignment.state_value(tp).awaiting_reset
        }
        has_error: bool = await self._reset(assignment, node_id, tps)
        for tp, offset in refused.items():
            state = assignment.state_value(tp)
            if offset is not None and state.has_valid_position and state.position != offset:
                report = self._on_removed if state.position > offset else self._on_shortened
                report(tp, offset, state.position)
        return has_error
