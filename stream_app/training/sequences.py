"""Sequences of interactions that the trainer learns from: new ones, and older ones that are replayed."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from topics.log_keys import one_way_hash

Rows = NDArray[np.int32]

NO_ROW: Final = -1
"""An item that was evicted."""

NO_SEGMENTS: Final[Rows] = np.zeros(0, np.int32)
"""The segments of a user of whom none is known."""


class Sequence(NamedTuple):
    """Consecutive interactions of a user, oldest first; all arrays have shape (n,)."""

    user_hash: int
    items: Rows
    kinds: Rows
    times: NDArray[np.float64]
    first_target: int
    """The first interaction that is predicted; those before it are context alone."""
    segments: Rows = NO_SEGMENTS
    """Slots of the user's segments, shape (s,)."""


class BufferState(NamedTuple):
    """All sequences of a buffer, by part.

    Attributes
    ----------
    open
        The first target is the first interaction that was not learned.
    newest, reservoir
        Closed ones; the newest from the oldest on.
    n_closed
        Sequences that were closed so far.
    returning
        What the next sequences of users without an open one begin with; none of it is predicted.
    replayed_from
        First target of each open one when it is replayed, shape (open,).
    """

    open: list[Sequence]
    newest: list[Sequence]
    reservoir: list[Sequence]
    n_closed: int
    returning: list[Sequence]
    replayed_from: Rows


class OpenSequence:
    """The interactions of a user that are not in the buffer yet."""

    __slots__ = ("first_target", "items", "kinds", "n_learned", "segments", "times", "user_hash")

    def __init__(self, user_hash: int) -> None:
        self.user_hash = user_hash
        self.segments = NO_SEGMENTS
        self.items: list[int] = []
        self.kinds: list[int] = []
        self.times: list[float] = []
        self.n_learned = 0
        self.first_target = 1
        """What is replayed from: a context of earlier sessions was replayed with these."""

    @classmethod
    def of(cls, sequence: Sequence, replayed_from: int = 1) -> "OpenSequence":
        """An open sequence with the interactions of another; those before the first target were learned."""
        result = cls(sequence.user_hash)
        result.items, result.kinds = sequence.items.tolist(), sequence.kinds.tolist()
        result.times = sequence.times.tolist()
        result.segments = sequence.segments
        result.n_learned = sequence.first_target
        result.first_target = replayed_from
        return result

    def sequence(self, first_target: int) -> Sequence:
        """The interactions so far."""
        return Sequence(
            self.user_hash,
            np.array(self.items, np.int32),
            np.array(self.kinds, np.int32),
            np.array(self.times),
            first_target,
            self.segments,
        )

    def following(self, overlap: int) -> "OpenSequence":
        """The next sequence of the user: the last `overlap` interactions, which were learned, as context."""
        result = OpenSequence(self.user_hash)
        first = max(0, len(self.items) - overlap)
        result.items, result.kinds, result.times = self.items[first:], self.kinds[first:], self.times[first:]
        result.segments = self.segments
        result.n_learned = len(result.items)
        return result


class SequenceBuffer:
    """Bounded memory of sequences.

    A sequence is closed by the session gap, or when it has `length` interactions; a user who continues, or returns
    later, starts the next one with the last `overlap` interactions as context: lists are ranked by what a user did in
    earlier sessions, too. Closed sequences are in a ring of the newest ones, and in a reservoir, which is a uniform
    sample of all (Vitter's algorithm R).

    Parameters
    ----------
    length
        Largest number of interactions of a sequence.
    gap
        Seconds of inactivity that close a sequence.
    max_open
        Users with an open sequence, and users whose last interactions are remembered for their return; beyond it,
        those of the longest inactive one are closed, or forgotten.
    newest, reservoir
        Sizes of the two parts.
    """

    def __init__(
        self,
        *,
        length: int = 20,
        overlap: int = 4,
        gap: float = 1800.0,
        max_open: int = 50_000,
        newest: int = 20_000,
        reservoir: int = 200_000,
        seed: int = 7,
    ) -> None:
        self._length = length
        self._overlap = overlap
        self._gap = gap
        self._max_open = max_open
        self._max_newest = newest
        self._max_reservoir = reservoir
        self._open: OrderedDict[int, OpenSequence] = OrderedDict()
        self._returning: OrderedDict[int, OpenSequence] = OrderedDict()
        """The context of the next sequence of users without an open one."""
        self._unlearned: dict[int, None] = {}
        self._replayable: dict[int, OpenSequence] = {}  # open ones with something to predict
        self._newest: list[Sequence] = []
        self._next = 0
        self._reservoir: list[Sequence] = []
        self._n_closed = 0
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        """Closed sequences in the reservoir."""
        return len(self._reservoir)

    def add(self, user_hash: int, item: int, kind: int, ts: float, segments: Rows = NO_SEGMENTS) -> None:
        """Add an interaction; later segments of a user replace earlier ones."""
        self._close_finished(ts)
        current = self._open.get(user_hash)
        if current is None:
            current = self._returning.pop(user_hash, None) or OpenSequence(user_hash)
            self._open[user_hash] = current
        else:
            self._open.move_to_end(user_hash)
        if len(current.items) >= self._length:
            current = self._continue(current)
        if len(segments):
            current.segments = segments
        current.items.append(item)
        current.kinds.append(kind)
        current.times.append(max(ts, current.times[-1]) if current.times else ts)
        if len(current.items) > 1:
            self._unlearned[user_hash] = None
            self._replayable[user_hash] = current

    def open_sequence(self, user_hash: int) -> OpenSequence | None:
        """The sequence of a user that is not closed yet."""
        return self._open.get(user_hash)

    def _close_finished(self, now: float) -> None:
        """Close the longest inactive sequences: those that ended, and those beyond the bound."""
        while self._open:
            oldest = next(iter(self._open.values()))
            if now - oldest.times[-1] <= self._gap and len(self._open) < self._max_open:
                break
            self._close(oldest)

    def _continue(self, full: OpenSequence) -> OpenSequence:
        self._store(full)
        following = self._open[full.user_hash] = full.following(self._overlap)
        return following

    def _close(self, finished: OpenSequence) -> None:
        del self._open[finished.user_hash]
        self._replayable.pop(finished.user_hash, None)
        self._unlearned.pop(finished.user_hash, None)
        self._store(finished)
        returning = self._returning[finished.user_hash] = finished.following(self._overlap)
        returning.first_target = len(returning.items)
        if len(self._returning) > self._max_open:
            self._returning.popitem(last=False)

    def _store(self, finished: OpenSequence) -> None:
        if len(finished.items) < 2:
            return
        sequence = finished.sequence(finished.first_target)
        if len(self._newest) < self._max_newest:
            self._newest.append(sequence)
        else:
            self._newest[self._next] = sequence
            self._next = (self._next + 1) % self._max_newest
        self._n_closed += 1
        if len(self._reservoir) < self._max_reservoir:
            self._reservoir.append(sequence)
        elif (at := int(self._rng.integers(self._n_closed))) < self._max_reservoir:
            self._reservoir[at] = sequence

    def pop_new(self) -> Iterator[Sequence]:
        """The open sequences with interactions that were not learned yet, which count as learned then."""
        for user_hash in self._unlearned:
            current = self._open[user_hash]
            first_target = max(1, current.n_learned)
            current.n_learned = len(current.items)
            if first_target < len(current.items):
                yield current.sequence(first_target)
        self._unlearned = {}

    def sample(self, n: int, share_of_newest: float = 0.5) -> Iterator[Sequence]:
        """`n` sequences, with replacement: some of the newest, the others of all; the open ones belong to both.

        While a log is younger than the session gap, no sequence is closed: without the open ones nothing would be
        replayed.
        """
        open_ = list(self._replayable.values())
        # An erasure may have emptied one part: the other stands for both.
        newest, reservoir = self._newest or self._reservoir, self._reservoir or self._newest
        if not open_ and not newest:
            return
        n_newest = round(n * share_of_newest)
        for closed, count in ((newest, n_newest), (reservoir, n - n_newest)):
            for at in self._rng.integers(len(closed) + len(open_), size=count).tolist():
                yield closed[at] if at < len(closed) else _replayed(open_[at - len(closed)])

    def forget_user(self, user_hash: int) -> None:
        """Drop the sequences of a user."""
        self._open.pop(user_hash, None)
        self._replayable.pop(user_hash, None)
        self._unlearned.pop(user_hash, None)
        self._returning.pop(user_hash, None)
        self._newest = _without(self._newest_in_order(), user_hash)
        self._next = 0
        self._reservoir = _without(self._reservoir, user_hash)

    def _newest_in_order(self) -> list[Sequence]:
        """The ring from the oldest sequence, which is overwritten next."""
        return self._newest[self._next :] + self._newest[: self._next]

    def forget_items(self, rows: Iterable[int]) -> None:
        """Drop items: their rows may be given to others."""
        removed = np.array(sorted(rows), np.int32)
        for part in (self._newest, self._reservoir):
            for sequence in part:
                sequence.items[np.isin(sequence.items, removed)] = NO_ROW
        dropped = set(removed.tolist())
        for each in (*self._open.values(), *self._returning.values()):
            each.items = [NO_ROW if item in dropped else item for item in each.items]

    def state(self) -> BufferState:
        """All sequences; they share no memory with what changes later."""
        open_ = list(self._open.values())
        return BufferState(
            [each.sequence(each.n_learned) for each in open_],
            self._newest_in_order(),
            list(self._reservoir),
            self._n_closed,
            [each.sequence(each.n_learned) for each in self._returning.values()],
            np.array([each.first_target for each in open_], np.int32),
        )

    def restore(self, state: BufferState) -> None:
        """Continue with the result of `state`; what exceeds the bounds of this buffer is dropped."""
        open_ = list(zip(state.open, state.replayed_from.tolist(), strict=True))[-self._max_open :]
        self._open = OrderedDict((each.user_hash, OpenSequence.of(each, first)) for each, first in open_)
        self._replayable = {each.user_hash: each for each in self._open.values() if len(each.items) > 1}
        self._unlearned = {
            each.user_hash: None for each in self._open.values() if max(1, each.n_learned) < len(each.items)
        }
        self._newest, self._next = state.newest[-self._max_newest :], 0
        self._reservoir, self._n_closed = state.reservoir[: self._max_reservoir], state.n_closed
        returning = state.returning[-self._max_open :]
        self._returning = OrderedDict(
            (each.user_hash, OpenSequence.of(each, len(each.items))) for each in returning
        )


def _replayed(open_: OpenSequence) -> Sequence:
    return open_.sequence(open_.first_target)


def _without(sequences: list[Sequence], user_hash: int) -> list[Sequence]:
    return [each for each in sequences if each.user_hash != user_hash]


def user_key(user: str) -> int:
    """The number that stands for a user in sequences; a prefix of the hash in the receipts of erasures.

    Examples
    --------
    >>> user_key("ann") == int.from_bytes(one_way_hash("ann")[:8], "little")
    True
    """
    return key_of_hash(one_way_hash(user))


def key_of_hash(user_hash: bytes) -> int:
    """The number of a user of whom the one-way hash is known alone."""
    return int.from_bytes(user_hash[:8], "little")
