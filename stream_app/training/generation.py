"""Sessions that the model itself generates: of items and of segments of users of which little is known."""

from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Items
from typing import Final, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from river import linear_model, metrics, optim, preprocessing

from stream_app.models.two_tower_network import MAX_SEGMENTS, TrainedWeights
from stream_app.training.batches import Packer
from stream_app.training.config import TrainingConfig
from stream_app.training.loss import Params, encode, encode_segments
from stream_app.training.sequences import NO_SEGMENTS, Sequence

Rows = NDArray[np.int32]

_GENERATED_HASH: Final = 0
"""Stands for the user of a generated session, who does not exist: erasures leave these sessions alone."""

_SECONDS_BETWEEN: Final = 60.0

_SESSIONS: Final = 2_000
"""Sessions that are held, and replayed until the next ones are generated."""

_FIRST_GENERATION: Final = 25
"""Steps before the first sessions."""

_REGENERATED: Final = 500
"""Steps after which sessions are generated anew, at most."""

_AT_ONCE: Final = 128
"""Sessions whose next items are drawn together."""

_RARE: Final = 0.3
"""Share of the items that the sessions start with, and of the segments whose users have them: the rarest."""

REAL_SESSIONS: Final = 4_000
"""Real sessions that generated ones take their lengths and segments from."""


class Model(NamedTuple):
    """What sessions are generated from.

    Attributes
    ----------
    weights
        The trained weights.
    rows : ndarray of int, shape (n,)
        The number of each item in sequences, in the order of the weights.
    """

    weights: TrainedWeights
    rows: NDArray[np.int64]


class Generator:
    """Samples sessions from the model: a first item, then one after another by its softmax.

    Parameters
    ----------
    temperature
        Divides the logits: above 1 the sessions are more varied than the model's probabilities, below 1 less.
    nearest
        Each next item is one of so many with the largest probabilities.

    References
    ----------
    Holtzman et al.: The curious case of neural text degeneration, ICLR 2020 (sampling among the most probable).

    Examples
    --------
    >>> from stream_app.models.two_tower_network import NetworkShape, first_parameters
    >>> shape = NetworkShape(n_factors=8, hidden=4)
    >>> vectors = np.eye(8, dtype=np.float32)
    >>> weights = TrainedWeights(shape, first_parameters(shape, 7), list("abcdefgh"), vectors)
    >>> generator = Generator(np.random.default_rng(1))
    >>> [session] = generator.sessions(Model(weights, np.arange(8)), [4], [3])
    >>> int(session.items[0]), len(session.items)
    (4, 3)
    """

    def __init__(self, rng: np.random.Generator, *, temperature: float = 1.0, nearest: int = 100) -> None:
        if temperature <= 0.0 or nearest < 1:
            raise ValueError(
                f"the temperature {temperature} must be above 0, and nearest {nearest} at least 1"
            )
        self._rng: Final = rng
        self._temperature: Final = temperature
        self._nearest: Final = nearest

    def sessions(
        self, model: Model, starts: Items[int], lengths: Items[int], segments: Rows | None = None
    ) -> list[Sequence]:
        """A session from each first item, given by its position in the weights; as long as real ones.

        Parameters
        ----------
        segments : ndarray of int32, shape (n, MAX_SEGMENTS), optional
            Slots of the segments of the user of each session; -1 for none.
        """
        weights = model.weights
        sizes = np.clip(np.asarray(lengths, np.int64), 2, weights.shape.context_length)
        chosen = np.zeros((len(starts), int(sizes.max(initial=2))), np.int32)
        chosen[:, 0] = starts
        for length in range(1, chosen.shape[1]):
            for rows in _parts(np.flatnonzero(sizes > length)):
                of_users = None if segments is None else segments[rows]
                chosen[rows, length] = self._drawn(next_logits(weights, chosen[rows, :length], of_users))
        known = [NO_SEGMENTS] * len(chosen) if segments is None else [each[each >= 0] for each in segments]
        return [
            self._session(model.rows[row[:size]], slots)
            for row, size, slots in zip(chosen, sizes, known, strict=True)
        ]

    def first_items(self, weights: TrainedWeights, segments: Rows) -> Rows:
        """A first item for the users of some segments, each given as in `sessions`."""
        parts = [
            self._drawn(first_logits(weights, segments[rows])) for rows in _parts(np.arange(len(segments)))
        ]
        return np.concatenate(parts)

    def _session(self, items: NDArray[np.int64], segments: Rows) -> Sequence:
        n = len(items)
        times = np.cumsum(self._rng.exponential(_SECONDS_BETWEEN, n))
        return Sequence(_GENERATED_HASH, items.astype(np.int32), np.zeros(n, np.int32), times, 1, segments)

    def _drawn(self, logits: NDArray[np.float64]) -> Rows:
        """An item for each row of logits, by its probability among the largest."""
        n = min(self._nearest, logits.shape[1])
        nearest = np.argpartition(-logits, n - 1, axis=1)[:, :n]
        kept = np.take_along_axis(logits, nearest, axis=1) / self._temperature
        # the largest of logits with Gumbel noise is a draw of their softmax
        drawn = np.argmax(kept + self._rng.gumbel(size=kept.shape), axis=1)
        result: Rows = np.take_along_axis(nearest, drawn[:, None], axis=1)[:, 0].astype(np.int32)
        return result


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows by parts whose logits of all items fit into memory."""
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]


def next_logits(weights: TrainedWeights, before: Rows, segments: Rows | None = None) -> NDArray[np.float64]:
    """Logits of all items as the next view after sessions of equal length; shape (n, items).

    Parameters
    ----------
    before : ndarray of int32, shape (n, length)
        The items of each session, by their position in the weights.
    segments : ndarray of int32, shape (n, MAX_SEGMENTS), optional
        Slots of the segments of each user; -1 for none.
    """
    shape = weights.shape
    n, length = before.shape
    rows = -(-n // _AT_ONCE) * _AT_ONCE  # of one shape, so that the operations are compiled once
    packer = Packer(rows, shape.context_length, shape.n_gaps, segments=segments is not None)
    times = _SECONDS_BETWEEN * np.arange(length + 1.0)
    for row, items in enumerate(before):
        # a sequence ends with its target, which is not read here
        packer.add_to_row(
            row, Sequence(0, np.append(items, items[-1]), np.zeros(length + 1, np.int32), times, length)
        )
    tokens = packer.tokens
    if tokens.segments is not None and segments is not None:
        tokens.segments[:n] = segments[:, None]
    states = encode(_parameters(weights), jnp.asarray(weights.vectors[tokens.items]), tokens)
    return _logits(weights, np.asarray(states)[:n, length - 1])


def first_logits(weights: TrainedWeights, segments: Rows) -> NDArray[np.float64]:
    """Logits of all items as the first view of users of some segments, as in `next_logits`."""
    rows = np.full((-(-len(segments) // _AT_ONCE) * _AT_ONCE, segments.shape[1]), -1, np.int32)
    rows[: len(segments)] = segments
    return _logits(weights, np.asarray(encode_segments(_parameters(weights), rows))[: len(segments)])


def _parameters(weights: TrainedWeights) -> Params:
    return {name: jnp.asarray(value) for name, value in weights.parameters.items()}


def _logits(weights: TrainedWeights, states: NDArray[np.float32]) -> NDArray[np.float64]:
    users = states + states @ weights.parameters["heads"][0]
    users /= np.linalg.norm(users, axis=1, keepdims=True) + 1e-6
    cosines: NDArray[np.float64] = (users @ weights.vectors.T).astype(np.float64)
    return cosines * float(weights.parameters["scale"][0])


def rare_items(counts: NDArray[np.float64], rows: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """The positions of the items with the fewest interactions, a share of all, those without any among them.

    Examples
    --------
    >>> rare_items(np.array([9.0, 0.0, 2.0, 5.0]), np.array([0, 2, 3, 1]), 0.5).tolist()
    [3, 1]
    """
    return np.argsort(counts[rows], kind="stable")[: max(1, round(share * len(rows)))]


def rare_segments(real: Iterable[Sequence], share: float) -> Rows:
    """The segments of users with the fewest sequences, a share of all; shape (n, MAX_SEGMENTS), -1 for none.

    What counts are all segments of a user together: a country and a channel.

    Examples
    --------
    >>> one = Sequence(1, np.zeros(2, np.int32), np.zeros(2, np.int32), np.zeros(2), 1, np.array([5], np.int32))
    >>> rare_segments([one, one, one._replace(segments=np.array([2, 8], np.int32))], 0.5).tolist()
    [[2, 8, -1, -1]]
    """
    counts = Counter(tuple(each.segments.tolist()) for each in real if len(each.segments))
    rarest = sorted(counts, key=lambda segments: (counts[segments], segments))
    rarest = rarest[: max(1, round(share * len(rarest)))]
    result = np.full((len(rarest), MAX_SEGMENTS), -1, np.int32)
    for row, segments in zip(result, rarest, strict=True):
        row[: len(segments)] = segments
    return result


def discriminate(
    weights: TrainedWeights, real: Items[Rows], generated: Items[Rows], rng: np.random.Generator
) -> float:
    """How well a classifier tells generated sessions from real ones: the area under its ROC curve; .5 is not at all.

    A logistic regression, that learned two thirds of the sessions, on what a session looks like: its length, the
    nearness of neighbors and of its ends, and its spread.

    Parameters
    ----------
    real, generated
        The items of each session, by their position in the weights; at least two of each session.
    """
    examples = [(items, True) for items in real] + [(items, False) for items in generated]
    order = rng.permutation(len(examples)).tolist()
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.Adam(0.05))
    auc = metrics.ROCAUC(n_thresholds=100)
    n_learned = 2 * len(order) // 3
    for n, at in enumerate(order):
        items, is_real = examples[at]
        features = _features(weights.vectors[items])
        if n < n_learned:
            model.learn_one(features, is_real)
        else:
            auc.update(is_real, model.predict_proba_one(features).get(True, 0.5))
    return float(auc.get())


def _features(vectors: NDArray[np.float32]) -> dict[str, float]:
    steps = np.einsum("nd,nd->n", vectors[:-1], vectors[1:])
    return {
        "length": float(len(vectors)),
        "mean_step": float(steps.mean()),
        "smallest_step": float(steps.min()),
        "largest_step": float(steps.max()),
        "ends": float(vectors[0] @ vectors[-1]),
        "spread": float(1.0 - np.linalg.norm(vectors.mean(axis=0))),
    }


class GeneratedSessions:
    """Sessions of rare items and of users of rare segments among the replayed ones; generated anew now and then."""

    def __init__(self, config: TrainingConfig, rng: np.random.Generator) -> None:
        self._share: Final = config.generated
        self._kind: Final = config.generated_for
        self._rng: Final = rng
        self._generator: Final = Generator(rng, temperature=config.temperature)
        self._sessions: list[Sequence] = []
        self._next = _FIRST_GENERATION

    def is_due(self, n_steps: int) -> bool:
        """Whether sessions are to be generated: early, after twice the steps while these are few, then regularly."""
        if n_steps < self._next:
            return False
        self._next = n_steps + min(n_steps, _REGENERATED)
        return True

    def generate(self, model: Model, counts: NDArray[np.float64], real: Iterable[Sequence]) -> None:
        """Replace the sessions; `real` ones give the lengths, and the segments of users."""
        known = list(real)
        self._sessions = []
        if not known or not len(model.rows):
            return
        n = _SESSIONS // 2 if self._kind == "both" else _SESSIONS
        lengths = self._rng.choice([len(each.items) for each in known], n).tolist()
        if self._kind != "segments":
            starts = self._rng.choice(rare_items(counts, model.rows, _RARE), n).tolist()
            self._sessions += self._generator.sessions(model, starts, lengths)
        segments = rare_segments(known, _RARE)
        if self._kind != "items" and len(segments):
            users = segments[self._rng.integers(len(segments), size=n)]
            starts = self._generator.first_items(model.weights, users).tolist()
            self._sessions += self._generator.sessions(model, starts, lengths, users)

    def mix(self, sequences: Iterable[Sequence]) -> Iterator[Sequence]:
        """The sequences, some by chance replaced by generated ones."""
        for each in sequences:
            if self._sessions and self._rng.random() < self._share:
                yield self._sessions[int(self._rng.integers(len(self._sessions)))]
            else:
                yield each

    def forget(self) -> None:
        """Drop the sessions: the rows of their items may be given to others."""
        self._sessions = []
