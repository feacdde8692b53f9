"""Notices when Kafka removes records that a consumer has still to read.

aiokafka then goes on with the first record that is left, and does not tell how many it passed.
"""

from collections.abc import Callable
from typing import Any, Final

from aiokafka.structs import TopicPartition

OnRemoved = Callable[[TopicPartition, int, int], None]
"""Called with a partition, the next offset to read, and that of the first record that is left."""


def report_removed_records(consumer: Any, on_removed: OnRemoved) -> None:
    """Report removed records of a consumer's partitions from now on.

    Parameters
    ----------
    consumer
        A started consumer of aiokafka whose positions are reset to the earliest offset.
    on_removed
        Called in the consumer's event loop as soon as the position is known from which the consumer goes on.
    """
    fetcher = consumer._fetcher  # noqa: SLF001  # aiokafka has no public way to it
    watch = _PositionWatch(fetcher, on_removed)
    fetcher._proc_fetch_request = watch.fetch  # noqa: SLF001
    fetcher._update_fetch_positions = watch.reset  # noqa: SLF001


class _PositionWatch:
    """Compares the position of a refused fetch with the one that the fetcher resets it to."""

    def __init__(self, fetcher: Any, on_removed: OnRemoved) -> None:
        self._fetch = fetcher._proc_fetch_request  # noqa: SLF001
        self._reset = fetcher._update_fetch_positions  # noqa: SLF001
        self._on_removed: Final = on_removed
        self._refused: dict[TopicPartition, tuple[Any, int]] = {}
        """State of a partition and the offset that was refused; the state belongs to one assignment."""

    async def fetch(self, assignment: Any, node_id: int, request: Any) -> bool:
        """Fetch; note the partitions whose offset the broker refuses."""
        has_records: bool = await self._fetch(assignment, node_id, request)
        for topic, partitions in request.topics:
            for partition, offset, _ in partitions:
                tp = TopicPartition(topic, partition)
                state = assignment.state_value(tp)
                if state.awaiting_reset:
                    self._refused[tp] = state, offset
        return has_records

    async def reset(self, assignment: Any, node_id: int, tps: list[TopicPartition]) -> bool:
        """Find positions; report those that passed records."""
        has_error: bool = await self._reset(assignment, node_id, tps)
        for tp in tps:
            state = assignment.state_value(tp)
            if not state.has_valid_position or tp not in self._refused:
                continue
            refused, offset = self._refused.pop(tp)
            if refused is state and state.position > offset:
                self._on_removed(tp, offset, state.position)
        return has_error
