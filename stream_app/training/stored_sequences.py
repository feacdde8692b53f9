"""Sequences as a few arrays, for snapshots: a hundred thousand small arrays would be slow to write and to read."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from stream_app.training.sequences import NO_SEGMENTS, BufferState, Sequence

Stored = dict[str, Any]


def pack_buffer(state: BufferState) -> Stored:
    """The parts of a buffer."""
    return {
        "open": pack_sequences(state.open),
        "newest": pack_sequences(state.newest),
        "reservoir": pack_sequences(state.reservoir),
        "n_closed": state.n_closed,
        "returning": pack_sequences(state.returning),
        "replayed_from": state.replayed_from,
    }


def unpack_buffer(stored: Mapping[str, Any]) -> BufferState:
    """The result of `pack_buffer`; also of a version without contexts of returning users, which starts with none.

    Raises
    ------
    ValueError
        If the arrays do not fit each other.
    """
    open_ = unpack_sequences(stored["open"])
    replayed_from = np.asarray(stored.get("replayed_from", np.ones(len(open_), np.int32)))
    returning = unpack_sequences(stored["returning"]) if "returning" in stored else []
    if len(replayed_from) != len(open_):
        raise ValueError("the first targets do not fit the open sequences")
    return BufferState(
        open_,
        unpack_sequences(stored["newest"]),
        unpack_sequences(stored["reservoir"]),
        int(stored["n_closed"]),
        returning,
        replayed_from,
    )


def pack_sequences(sequences: Iterable[Sequence]) -> Stored:
    """Sequences one after the other.

    Examples
    --------
    >>> items, kinds = np.array([5, 6], np.int32), np.zeros(2, np.int32)
    >>> stored = pack_sequences([Sequence(1, items, kinds, np.array([0.0, 9.0]), 1)] * 2)
    >>> stored["items"].tolist(), [each.times.tolist() for each in unpack_sequences(stored)]
    ([5, 6, 5, 6], [[0.0, 9.0], [0.0, 9.0]])
    """
    all_ = list(sequences)
    return {
        "users": np.array([each.user_hash for each in all_], np.uint64),
        "first_targets": np.array([each.first_target for each in all_], np.int32),
        "lengths": np.array([len(each.items) for each in all_], np.int32),
        "items": _joined([each.items for each in all_], np.int32),
        "kinds": _joined([each.kinds for each in all_], np.int32),
        "times": _joined([each.times for each in all_], np.float64),
        "segments": _joined([each.segments for each in all_], np.int32),
        "n_segments": np.array([len(each.segments) for each in all_], np.int32),
    }


def unpack_sequences(stored: Mapping[str, Any]) -> list[Sequence]:
    """The result of `pack_sequences`; also of a version without segments.

    Raises
    ------
    ValueError
        If the arrays do not fit each other.
    """
    lengths = np.asarray(stored["lengths"])
    ends = np.cumsum(lengths)
    n = int(ends[-1]) if len(ends) else 0
    if not len(stored["users"]) == len(stored["first_targets"]) == len(lengths) or any(
        len(stored[name]) != n for name in ("items", "kinds", "times")
    ):
        raise ValueError("the arrays of the sequences do not fit each other")
    segments = _unpack_segments(stored, len(lengths))
    # copies: a view would keep the whole array in memory as long as one of its sequences
    return [
        Sequence(
            user,
            stored["items"][end - length : end].copy(),
            stored["kinds"][end - length : end].copy(),
            stored["times"][end - length : end].copy(),
            first_target,
            of_user,
        )
        for user, first_target, length, end, of_user in zip(
            stored["users"].tolist(),
            stored["first_targets"].tolist(),
            lengths.tolist(),
            ends.tolist(),
            segments,
            strict=True,
        )
    ]


def _unpack_segments(stored: Mapping[str, Any], n: int) -> list[Any]:
    sizes = stored.get("n_segments", np.zeros(n, np.int32))
    slots = stored.get("segments", NO_SEGMENTS)
    if len(sizes) != n or len(slots) != int(np.sum(sizes)):
        raise ValueError("the segments do not fit the sequences")
    return [each.copy() for each in np.split(slots, np.cumsum(sizes)[:-1])] if n else []


def _joined(arrays: list[Any], dtype: Any) -> Any:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)
