"""Notices that a node of a cluster lost its lists: one counter for each primary, in a slot of its own.

The counter of the sentinel is at one node. Another node that was emptied, or was replaced by a replica that lagged,
shows in a counter in one of its slots, ``headrace:epoch:{n}``, that each check increments. The hash of the sentinel
has a field ``slot:<number>`` for each slot that has a counter: a counter that begins at 1 although there is a field
was lost. The field is written after the counter, so that a worker which reads the field finds the counter. Slots move
with their keys: after a resharding a node without a counter gets one.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from itertools import count
from typing import Any, Final

from stream_app.publishing.redis_connection import PipelineConnection, slot_of

_FIELD: Final = "slot:"
_N_SLOTS: Final = 16_384


class NodeChecks:
    """The counters of the nodes of a cluster.

    Parameters
    ----------
    sentinel_key
        Key of the sentinel's hash, whose node needs no further counter.
    execute
        Executes commands, all at once, and returns their replies.
    """

    def __init__(
        self,
        sentinel_key: str,
        connection: PipelineConnection,
        execute: Callable[..., Awaitable[list[Any]]],
    ) -> None:
        self._key, self._connection, self._execute = sentinel_key, connection, execute
        self._counts: dict[int, int] = {}
        self._lost: dict[int, str] = {}

    async def lost_nodes(self, fields: Mapping[str, str]) -> list[str]:
        """The nodes that lost writes since the last check, or since the last worker ran.

        They are returned again by each check until `settle` is called.

        Parameters
        ----------
        fields
            The fields of the sentinel's hash.

        Raises
        ------
        PublisherUnavailableError
            If Redis is unavailable.
        """
        known = {int(name.removeprefix(_FIELD)) for name in fields if name.startswith(_FIELD)}
        nodes = await self._slots_by_node(known)
        if nodes:
            counts = await self._execute(*(("INCRBY", self._key_in(slot), 1) for slot in nodes.values()))
            for (name, slot), checks in zip(nodes.items(), counts, strict=True):
                if checks <= self._counts.get(slot, 0) or (checks == 1 and slot in known):
                    self._lost[slot] = name
                self._counts[slot] = checks
            moved = {name: slot for name, slot in nodes.items() if self._owner(slot) != name}
            if moved:
                # One slot is known to be elsewhere, and many may be.
                await self._connection.refresh()
                nodes = {name: slot for name, slot in nodes.items() if name not in moved}
        added = [part for slot in sorted(set(nodes.values()) - known) for part in (f"{_FIELD}{slot}", "1")]
        if added:
            await self._execute(("HSET", self._key, *added))
        return sorted(set(self._lost.values()))

    def settle(self) -> None:
        """Forget the nodes that lost writes: all lists are published again."""
        self._lost.clear()

    async def _slots_by_node(self, known: set[int]) -> dict[str, int]:
        """A slot of each primary but that of the sentinel: the first that has a counter, or else its first."""
        primaries = {node.name for node in await self._connection.nodes()}
        primaries.discard(self._owner(slot_of(self._key)))
        found: dict[str, int] = {}
        for slots in (sorted(known), range(_N_SLOTS)):
            for slot in slots:
                if len(found) == len(primaries):
                    return found
                if (name := self._owner(slot)) in primaries:
                    found.setdefault(name, slot)
        # A primary without slots has no lists.
        return found

    def _owner(self, slot: int) -> str:
        node = self._connection.owner(slot)
        return node.name if node is not None else ""

    def _key_in(self, slot: int) -> str:
        return f"{self._key}:{{{tag_of(slot)}}}"


@lru_cache(maxsize=1_024)
def tag_of(slot: int) -> str:
    """A hash tag whose keys are in a slot.

    Examples
    --------
    >>> slot_of("any:{%s}" % tag_of(17))
    17
    """
    return next(str(number) for number in count() if slot_of(str(number)) == slot)
