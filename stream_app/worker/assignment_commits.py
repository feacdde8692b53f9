"""A consumer that commits what its current assignment has processed, and nothing else.

Faust counts processed events by their offsets alone. An event may outlive its assignment: it waited for the catch-up
barrier, or for room in the queue of its stream, while the partitions were revoked. It is dropped then, or its row
was, and its new owner reads it again. Counted in the next assignment of the partition, Faust would commit it, and of
a partition without a committed offset all events before it: the first erasures of a partition were lost so.

A message that waits for room while the partitions are assigned again is delivered late. Faust notes its offset as the
newest that was read, and would drop the messages before it, which the new assignment reads again.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from faust.transport.drivers import aiokafka as faust_kafka


class _ReadOffset(int):
    """An offset that is true even if it is 0, which Faust would take for no offset."""

    def __bool__(self) -> bool:
        return True


class ReadOffsets(dict[Any, int | None]):
    """Offset of the newest record read, by partition; Faust finds gaps by it, and commits over them.

    Faust finds no gap after offset 0: if an aborted transaction followed the first record of a topic, it would never
    commit again.
    """

    _ignored: tuple[Any, int] | None = None

    def __missing__(self, key: Any) -> None:
        self[key] = None

    def __setitem__(self, key: Any, offset: int | None) -> None:
        ignored, self._ignored = self._ignored, None
        if ignored is None or ignored != (key, offset):
            super().__setitem__(key, None if offset is None else _ReadOffset(offset))

    def ignore(self, key: Any, offset: int) -> None:
        """Ignore an offset that Faust notes next: its message belongs to an earlier assignment."""
        self._ignored = (key, offset)


class AssignmentConsumer(faust_kafka.Consumer):  # type: ignore[misc]
    """Faust's consumer, without the events of earlier assignments."""

    _is_positioned = False
    """Whether the partitions of this assignment have their positions: nothing is committed before."""

    _selected_in: int | None = None
    """The generation of the group in which the offsets of the commit in progress were selected."""

    _committed_part: Collection[Any] = frozenset()
    """The partitions whose offsets Kafka has, though those of others were refused."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset: ReadOffsets = ReadOffsets()
        self._begun: dict[Any, set[int]] = {}
        streams: Callable[[Any], Awaitable[None]] = self.callback
        self._deliver_to_streams: Final = streams
        self.callback: Callable[[Any], Awaitable[None]] = self.deliver

    async def deliver(self, message: Any) -> None:
        """Deliver a message to its streams, unless it belongs to an earlier assignment."""
        if message.generation_id == self.app.consumer_generation_id:
            await self._deliver_to_streams(message)
        if message.generation_id != self.app.consumer_generation_id:
            self._read_offset.ignore(message.tp, message.offset)

    def begin(self, message: Any) -> None:
        """Note that an agent takes an event; nothing beyond it is committed before `end`."""
        self._begun.setdefault(message.tp, set()).add(message.offset)

    def end(self, message: Any) -> None:
        """Note that an agent has processed an event."""
        self._begun.get(message.tp, set()).discard(message.offset)

    def release(self, message: Any) -> None:
        """Let a rebalance, or the end of the worker, wait no longer for an event that is not counted."""
        self._unacked_messages.discard(message)
        waiting = self._waiting_for_ack
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def ack(self, message: Any) -> bool:
        """Note that an event of the current assignment was processed.

        The stream calls it (`stream_app.worker.direct_stream`), except for messages that the agent has marked because
        it dropped them while their partition was revoked.
        """
        if message.generation_id == self.app.consumer_generation_id:
            return bool(super().ack(message))
        message.acked = True
        self.release(message)
        return False

    async def on_task_error(self, exc: BaseException) -> None:
        """End the worker after an agent failed: the event is read again after the start.

        Faust would commit, and let the agent go on with the next event.
        """
        await self.app.crash(exc)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """Take up an assignment."""
        self._is_positioned = False
        # Events that were processed while the partitions were revoked.
        for processed in (self._acked, self._acked_index, self._gap, self._begun):
            processed.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; Faust does it for a fetch that a rebalance has overtaken, too."""
        generation = self.app.consumer_generation_id
        await super().perform_seek()
        self._is_positioned = generation == self.app.consumer_generation_id

    def _filter_committable_offsets(self, tps: Any) -> dict[Any, int]:
        if not self._is_positioned:
            return {}
        offsets: dict[Any, int] = super()._filter_committable_offsets(tps)
        for tp, begun in self._begun.items():
            # Faust passes over one event that is missing: one in the middle of which an agent failed.
            if begun and tp in offsets and (first := min(begun)) < offsets[tp]:
                if first > (self._committed_offset.get(tp) or 0):
                    offsets[tp] = first
                else:
                    del offsets[tp]
        return offsets

    async def _commit_offsets(
        self, offsets: Any, start_new_transaction: bool = True
    ) -> bool:  # Faust's signature
        """Commit; take back offsets that were not committed.

        Faust remembers them as committed even so: the last events before an idle time would stay uncommitted. It has
        also removed these events from those that were processed: later ones would wait for them without end.
        """
        before = {tp: self._committed_offset.get(tp) for tp in offsets}
        self._selected_in, self._committed_part = self.app.consumer_generation_id, frozenset()
        try:
            did_commit: bool = await super()._commit_offsets(offsets, start_new_transaction)
            is_current = not self._is_outdated
        finally:
            self._selected_in = None
        if not did_commit:
            for tp, offset in offsets.items():
                if tp in self._committed_part:
                    continue
                if is_current:
                    self._put_back(tp, offset)
                elif self._committed_offset.get(tp) == offset:
                    self._committed_offset[tp] = before[tp]
        return did_commit

    def _put_back(self, tp: Any, offset: int) -> None:
        """Let the next commit include an offset again: its last event stands for all before it."""
        last = offset - 1
        if last not in self._acked_index[tp]:
            self._acked_index[tp].add(last)
            self._acked[tp].append(last)
        self._committed_offset[tp] = last or None

    @property
    def _is_outdated(self) -> bool:
        """Whether a rebalance came while the producer was flushed for a commit: it dropped rows of these events."""
        return self._selected_in is not None and self._selected_in != self.app.consumer_generation_id
