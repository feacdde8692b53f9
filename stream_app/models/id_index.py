"""Ids as small integers: a bounded two-way map that evicts the least recently used ids."""

import sys
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import NO_ITEM, Items, Times
from stream_app.models.columns import grow
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes

EVICTED_SHARE = 100
"""A full index evicts one in this many ids at a time."""

_BYTES_PER_ID = 120
"""Size of a dict slot, a list slot and a boxed integer."""


def stable_hash(text: str) -> int:
    """Hash a text to 64 bits, the same in every process.

    Examples
    --------
    >>> hex(stable_hash("shoe"))
    '0x2060dac27e6d6dba'
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


class IdIndex:
    """Gives each id an integer; integers of evicted ids are reused.

    Parameters
    ----------
    capacity
        Largest number of ids. A full index evicts about 1%: the least recently used by event time, so that replicas
        evict the same ids in any order of the partitions.
    on_evict
        Called with the integers (ndarray of int32) before they are given to other ids.

    Attributes
    ----------
    hashes : ndarray of uint64, shape (n,)
        Stable hash of each id; decides every tie, so that rankings do not depend on the order in which integers were
        assigned. Replaced by a longer array when the index grows.
    last_seen : ndarray of float64, shape (n,)
        Newest event time of each id, seconds since the epoch; -inf where the integer is free.

    Examples
    --------
    >>> index = IdIndex(capacity=2, on_evict=lambda gone: print("gone:", gone.tolist()))
    >>> index.index("a", 10.0), index.index("b", 5.0), index.index("a", 3.0)
    (0, 1, 0)
    >>> index.index("c", 7.0)
    gone: [1]
    1
    >>> index.find("b"), index.id_of(1), len(index)
    (-1, 'c', 2)
    """

    def __init__(self, capacity: int, on_evict: Callable[[Items], None] | None = None) -> None:
        self.capacity = capacity
        self.hashes: NDArray[np.uint64] = np.zeros(64, np.uint64)
        self.last_seen: Times = np.full(64, -np.inf)
        self._on_evict = [] if on_evict is None else [on_evict]
        self._on_add: list[Callable[[int], None]] = []
        self._numbers: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []
        self._text_bytes = 0

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def size(self) -> int:
        """One more than the largest integer assigned so far."""
        return len(self._ids)

    @property
    def used(self) -> NDArray[np.bool_]:
        """Whether each integer is in use, shape (size,)."""
        return self.last_seen[: self.size] > -np.inf

    def subscribe(self, on_evict: Callable[[Items], None]) -> None:
        """Call a further function with the integers of evicted ids, before these are given to other ids."""
        self._on_evict.append(on_evict)

    def subscribe_additions(self, on_add: Callable[[int], None]) -> None:
        """Call a function with the integer of each id that is added from now on."""
        self._on_add.append(on_add)

    def find(self, name: str) -> int:
        """Integer of an id, or `NO_ITEM`."""
        return self._numbers.get(name, NO_ITEM)

    def find_all(self, names: Iterable[str]) -> list[int]:
        """Integers of ids, `NO_ITEM` for unknown ids."""
        get = self._numbers.get
        return [get(name, NO_ITEM) for name in names]

    def id_of(self, number: int) -> str:
        """Id of an integer.

        Raises
        ------
        KeyError
            If the integer is not in use.
        """
        name = self._ids[number] if 0 <= number < len(self._ids) else None
        if name is None:
            raise KeyError(number)
        return name

    def ids_of(self, numbers: list[int]) -> list[str]:
        """Ids of integers; raises a KeyError as `id_of` does."""
        ids = self._ids
        names = [ids[number] if 0 <= number < len(ids) else None for number in numbers]
        if None in names:
            raise KeyError(numbers[names.index(None)])
        return cast("list[str]", names)

    def index(self, name: str, ts: float) -> int:
        """Integer of an id, assigned if needed; its last use is at the event time `ts`, seconds since the epoch."""
        number = self._numbers.get(name)
        if number is None:
            return self._add(name, ts)
        if ts > self.last_seen[number]:  # noqa: PLR1730  # max() would write each time, which costs more
            self.last_seen[number] = ts
        return number

    def forget(self, name: str) -> None:
        """Drop an id, if it is known."""
        number = self._numbers.get(name)
        if number is not None:
            self._evict([number])

    def forget_numbers(self, numbers: NDArray[Any]) -> None:
        """Drop the ids of distinct integers, shape (n,); integers that are not in use are skipped."""
        used = [number for number in numbers.tolist() if self._ids[number] is not None]
        if used:
            self._evict(used)

    def _add(self, name: str, ts: float) -> int:
        if len(self._numbers) >= self.capacity:
            self._evict(self._least_recently_seen(max(1, self.capacity // EVICTED_SHARE)))
        if self._free:
            number = self._free.pop()
            self._ids[number] = name
        else:
            number = len(self._ids)
            self._ids.append(name)
            self.hashes = grow(self.hashes, number + 1)
            self.last_seen = grow(self.last_seen, number + 1, -np.inf)
        self._numbers[name] = number
        self._text_bytes += sys.getsizeof(name)
        self.hashes[number] = stable_hash(name)
        self.last_seen[number] = ts
        for on_add in self._on_add:
            on_add(number)
        return number

    def _least_recently_seen(self, count: int) -> list[int]:
        used = np.fromiter(self._numbers.values(), np.int64, len(self._numbers))
        return [int(number) for number in used[np.lexsort((self.hashes[used], self.last_seen[used]))][:count]]

    def _evict(self, numbers: list[int]) -> None:
        for on_evict in self._on_evict:
            on_evict(np.array(numbers, np.int32))
        for number in numbers:
            name = self.id_of(number)
            del self._numbers[name]
            self._text_bytes -= sys.getsizeof(name)
            self._ids[number] = None
            self.last_seen[number] = -np.inf
            self.hashes[number] = 0
            self._free.append(number)

    def state(self) -> State:
        """Ids and times of last use, as plain data."""
        return {
            "capacity": self.capacity,
            "ids": list(self._ids),
            "free": list(self._free),
            "last_seen": self.last_seen[: len(self._ids)].copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state`.

        Raises
        ------
        ValueError
            If the capacity differs.
        """
        if state["capacity"] != self.capacity:
            raise ValueError(f"the index holds {self.capacity} ids, the state's {state['capacity']}")
        self._ids = list(state["ids"])
        self._free = [int(number) for number in state["free"]]
        self._numbers = {name: number for number, name in enumerate(self._ids) if name is not None}
        self._text_bytes = sum(sys.getsizeof(name) for name in self._numbers)
        self.last_seen = grow(np.full(64, -np.inf), len(self._ids), -np.inf)
        self.last_seen[: len(self._ids)] = state["last_seen"]
        self.hashes = grow(np.zeros(64, np.uint64), len(self._ids))
        for number, name in enumerate(self._ids):
            if name is not None:
                self.hashes[number] = stable_hash(name)

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        arrays = resident_bytes((self.hashes, self.last_seen))
        return arrays + self._text_bytes + _BYTES_PER_ID * len(self._ids)
