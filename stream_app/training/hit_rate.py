"""The hit rate of trained weights on choices that they were not trained on."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from stream_app.models.two_tower_network import NetworkShape, TrainedWeights, segment_slots
from stream_app.training.batches import Packer
from stream_app.training.loss import encode, normalized
from stream_app.training.sequences import Sequence as ItemSequence

_ROWS: Final = 64
"""Rows of a batch: one shape, so that the encoder is compiled once."""


class Choice(NamedTuple):
    """An item that a user chose, and the interactions before it, oldest first."""

    item_ids: Sequence[str]
    kinds: Sequence[int]
    times: Sequence[float]
    chosen_id: str
    head: int
    segments: tuple[str, ...] = ()  # of the user


def hit_rate(weights: TrainedWeights, choices: Iterable[Choice], k: int = 20) -> float:
    """Share of choices whose item is among the `k` with the largest scores; NaN without choices.

    An item without a vector is a miss.

    Examples
    --------
    >>> from stream_app.models.two_tower_network import NetworkShape, first_parameters
    >>> shape = NetworkShape(n_factors=8, hidden=4)
    >>> weights = TrainedWeights(shape, first_parameters(shape, 7), ["pan", "pot"], np.eye(2, 8, dtype=np.float32))
    >>> hit_rate(weights, [Choice(["pan"], [0], [0.0], "pan", 0), Choice(["pan"], [0], [0.0], "pot", 0)], k=1)
    0.5
    """
    found = hits(weights, choices, k)
    return float(found.mean()) if len(found) else float("nan")


def hits(weights: TrainedWeights, choices: Iterable[Choice], k: int = 20) -> NDArray[np.bool_]:
    """Whether the item of each choice is among the `k` with the largest scores, shape (choices,)."""
    return ranks(weights, choices) <= k


def ranks(weights: TrainedWeights, choices: Iterable[Choice]) -> NDArray[np.float64]:
    """The rank of the item of each choice among all items, from 1 on, shape (choices,); infinite without a vector."""
    row_of = {item_id: row for row, item_id in enumerate(weights.item_ids)}
    known, numbers, n_choices = [], [], 0
    for choice in choices:
        sequence = _as_sequence(choice, row_of, weights.shape)
        if sequence is not None:
            known.append((sequence, choice.head))
            numbers.append(n_choices)
        n_choices += 1
    found = np.full(n_choices, np.inf)
    found[np.array(numbers, np.int64)] = list(_ranks(weights, known))
    return found


def _as_sequence(choice: Choice, row_of: dict[str, int], shape: NetworkShape) -> ItemSequence | None:
    """The rows of a choice; None if its item, or all before it, have no vector."""
    before = [
        (row_of[item_id], kind, ts)
        for item_id, kind, ts in zip(choice.item_ids, choice.kinds, choice.times, strict=True)
        if item_id in row_of
    ][-shape.context_length :]
    chosen = row_of.get(choice.chosen_id)
    if chosen is None or not before:
        return None
    rows, kinds, times = (list(column) for column in zip(*before, strict=True))
    return ItemSequence(
        0,
        np.array([*rows, chosen], np.int32),
        np.array([*kinds, choice.head], np.int32),
        np.array([*times, times[-1]]),
        len(rows),
        segment_slots(choice.segments, shape.n_segments),
    )


def _ranks(weights: TrainedWeights, known: list[tuple[ItemSequence, int]]) -> Iterable[float]:
    shape = weights.shape
    params = {name: jnp.asarray(value) for name, value in weights.parameters.items()}
    for start in range(0, len(known), _ROWS):
        part = known[start : start + _ROWS]
        packer = Packer(_ROWS, shape.context_length, shape.n_gaps, segments=shape.n_segments > 0)
        # a sequence a row, so that its newest token is found
        for row, (sequence, _) in enumerate(part):
            packer.add_to_row(row, sequence)
        tokens = packer.tokens
        states = np.asarray(encode(params, jnp.asarray(weights.vectors[tokens.items]), tokens))
        for row, (sequence, head) in enumerate(part):
            state = states[row, len(sequence.items) - 2]
            user = np.asarray(normalized(jnp.asarray(state + state @ weights.parameters["heads"][head])))
            scores = weights.vectors @ user
            yield 1.0 + float((scores > scores[sequence.items[-1]]).sum())
