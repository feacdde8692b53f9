"""The training of the two-tower model: interactions come in, steps are taken, weights come out."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.models.columns import grow
from stream_app.models.id_index import IdIndex
from stream_app.models.item_content import ItemContent
from stream_app.models.model_state import State
from stream_app.models.two_tower_network import (
    HEAD_OF_KIND,
    LATER_PARAMETERS,
    NetworkShape,
    TrainedWeights,
    check_parameters,
    first_parameters,
    segment_slots,
    served_parameters,
)
from stream_app.training.augmentation import Augmenter, GroupedItems, Views, make_views
from stream_app.training.average import WeightAverage
from stream_app.training.batches import Packer
from stream_app.training.config import TrainingConfig
from stream_app.training.content_table import ContentTable
from stream_app.training.generation import REAL_SESSIONS, GeneratedSessions, Model
from stream_app.training.loss import Batch, LossOptions, TrainingLoss
from stream_app.training.negatives import NegativeSampler
from stream_app.training.optimizer import DENSE, RowMoments, rates_at, train_step
from stream_app.training.sequences import NO_ROW, Sequence, SequenceBuffer, key_of_hash, user_key
from stream_app.training.stored_sequences import pack_buffer, unpack_buffer
from topics.events import CatalogItem
from topics.records import Kind

__all__ = ["TrainingConfig", "TwoTowerTraining", "user_key"]

_FIRST_VECTOR_SIZE: Final = 0.05
_REGROUPED: Final = 500
"""Steps after which similar items are looked for anew."""

_FIRST_OFFSET: Final = 10.0
"""Of the logits in the sigmoid: an item has about the probability 1 in 20,000 before anything is learned."""


class TwoTowerTraining:
    """Learns item vectors and an encoder of sequences from a stream of interactions.

    Examples
    --------
    >>> training = TwoTowerTraining(NetworkShape(n_factors=8, hidden=8), TrainingConfig(rows=2, negatives=8))
    >>> for n in range(40):
    ...     training.add(f"user {n // 2}", "pot" if n % 2 else "pan", Kind.VIEW, 60.0 * n)
    >>> loss = training.step()
    >>> training.weights().item_ids
    ['pan', 'pot']
    """

    def __init__(
        self,
        shape: NetworkShape = NetworkShape(),  # noqa: B008  # immutable
        config: TrainingConfig = TrainingConfig(),  # noqa: B008  # immutable
        buffer: SequenceBuffer | None = None,
        content: ItemContent | None = None,
    ) -> None:
        self.shape: Final = shape
        self.config: Final = config
        self.items: Final = IdIndex(config.max_items, self._forget_rows)
        self.buffer: Final = buffer or SequenceBuffer(
            length=shape.context_length + 1, gap=config.session_gap, seed=config.seed
        )
        self.n_interactions = 0
        self.n_steps = 0
        self.n_predictions = 0
        self._packer = Packer(config.rows, shape.context_length, shape.n_gaps, segments=shape.n_segments > 0)
        self._negatives = NegativeSampler(config.negatives, config.seed)
        self._rng = np.random.default_rng(config.seed)
        self._key = jax.random.key(config.seed)
        self.contents: Final = ContentTable(content)
        projection = self._rng.normal(0.0, _FIRST_VECTOR_SIZE, (self.contents.dimensions, shape.n_factors))
        # the last two are for training alone: a worker gets the sum of an item's vectors
        self._params: Any = {
            name: jnp.asarray(value, jnp.float32)
            for name, value in {
                **first_parameters(shape, config.seed),
                "content": projection,
                "offset": [_FIRST_OFFSET],
            }.items()
            if shape.n_segments or name not in LATER_PARAMETERS
        }
        self._moments: Any = DENSE.init(self._params)
        d = shape.n_factors
        self.vectors: NDArray[np.float32] = np.zeros((0, d), np.float32)
        self._first: NDArray[np.float32] = np.zeros((0, d), np.float32)
        self._second: NDArray[np.float32] = np.zeros((0, d), np.float32)
        self._updates: NDArray[np.int32] = np.zeros(0, np.int32)
        self.counts: NDArray[np.float64] = np.zeros(0)
        self.average: Final = WeightAverage(config.average, d)
        self._loss = TrainingLoss(
            LossOptions(config.loss, config.dropout, config.id_dropout, config.contrast)
        )
        # of each step: the batch's items and negatives; rows of short sequences have more, each a target of its own
        self._n_gathered = config.rows * (shape.context_length + 1) + config.negatives
        self._n_of_short = config.rows * (shape.context_length - 1)
        self._grouped = GroupedItems(self._rng)
        names = config.augmentations
        self._augmenter = Augmenter(names, self._rng, self._grouped) if names else None
        self._generated = (
            GeneratedSessions(config, np.random.default_rng(config.seed)) if config.generated > 0.0 else None
        )
        if config.contrast > 0.0:
            if self._augmenter is None:
                raise ValueError("the contrastive term needs augmentations")
            self._n_gathered += 2 * config.contrast_pairs * shape.context_length

    def add(self, user: str, item_id: str, kind: Kind, ts: float, segments: tuple[str, ...] = ()) -> None:
        """Add an interaction with an item of a user of some segments; kinds without a head are ignored."""
        head = HEAD_OF_KIND.get(kind)
        if head is None:
            return
        row = self.items.index(item_id, ts)
        if row >= len(self.counts):
            self._grow(row + 1)
        self.counts[row] += 1.0
        self.n_interactions += 1
        slots = segment_slots(segments, self.shape.n_segments)
        self.buffer.add(user_key(user), row, int(head), ts, slots)

    def add_catalog(self, entry: CatalogItem) -> None:
        """Learn what the catalog says about an item, which has a vector from then on.

        A full index accepts known items only, so that a large catalog does not evict what users interact with.
        """
        if self.contents.dimensions == 0:
            return
        row = self.items.find(entry.item_id)
        if row < 0:
            if len(self.items) >= self.items.capacity:
                return
            row = self.items.index(entry.item_id, entry.time)
        if row >= len(self.counts):
            self._grow(row + 1)
        if self._updates[row] == 0:
            self.vectors[row] = 0.0  # the content stands alone until the id has learned something
        self.contents.describe(row, entry)

    def recent(self, user: str) -> tuple[list[str], list[int], list[float]]:
        """Items, heads and times of a user's open sequence, oldest first; empty lists without one."""
        current = self.buffer.open_sequence(user_key(user))
        if current is None:
            return [], [], []
        known = [at for at, row in enumerate(current.items) if row != NO_ROW]
        ids = self.items.ids_of([current.items[at] for at in known])
        return ids, [current.kinds[at] for at in known], [current.times[at] for at in known]

    def _grow(self, rows: int) -> None:
        old = len(self.counts)
        self.vectors = grow(self.vectors, rows)
        size = len(self.vectors)
        self._first, self._second = grow(self._first, size), grow(self._second, size)
        self._updates, self.counts = grow(self._updates, size), grow(self.counts, size)
        self.vectors[old:size] = self._first_vectors(size - old)

    def _first_vectors(self, n: int) -> NDArray[np.float32]:
        return self._rng.normal(0.0, _FIRST_VECTOR_SIZE, (n, self.shape.n_factors)).astype(np.float32)

    def learn_new(self) -> list[float]:
        """Take a step, and the further ones of a young training; return their losses, none without a prediction."""
        config = self.config
        n_steps = 1 + config.young_steps * (self.n_interactions <= config.young)
        losses = [self.step() for _ in range(n_steps)]
        return [loss for loss in losses if not math.isnan(loss)]

    def step(self) -> float:
        """Learn the new interactions and replayed ones; return the mean loss, NaN without a prediction."""
        self._packer.clear()
        self._packer.fill(self.buffer.pop_new())
        # sequences have a few tokens each: more than enough are drawn to fill the rows
        self._packer.fill(self._replayed())
        tokens = self._packer.tokens
        if not self._packer.n_predictions:
            return float("nan")
        negatives, log_expected = self._draw_negatives()
        views = self._views()
        parts = (tokens.items.ravel(), tokens.targets.ravel(), negatives, views.items.ravel())
        used, positions = np.unique(np.concatenate(parts), return_inverse=True)
        n, n_tokens = len(used), tokens.items.size
        gathered = np.zeros(self._n_gathered + (n > self._n_gathered) * self._n_of_short, np.int64)
        gathered[:n] = used
        at = positions.astype(np.int32)
        batch = Batch(
            at[:n_tokens].reshape(tokens.items.shape),
            tokens.kinds,
            tokens.gaps,
            tokens.positions,
            tokens.sequences,
            at[n_tokens : 2 * n_tokens].reshape(tokens.items.shape),
            tokens.heads,
            tokens.weights,
            at[2 * n_tokens : 2 * n_tokens + len(negatives)],
            log_expected,
            self.contents.gather(gathered),
            views._replace(items=at[2 * n_tokens + len(negatives) :].reshape(views.items.shape)),
            tokens.segments,
            tokens.starts,
        )
        self._key, key = jax.random.split(self._key)
        self._params, self._moments, vectors, moments, loss = train_step(
            self._loss,
            self._params,
            self._moments,
            jnp.asarray(self.vectors[gathered]),
            RowMoments(
                jnp.asarray(self._first[gathered]),
                jnp.asarray(self._second[gathered]),
                jnp.asarray(self._updates[gathered]),
            ),
            batch,
            key,
            rates_at(self.n_steps, self.config),
        )
        before, after = self.vectors[used], np.asarray(vectors)[:n]
        self.vectors[used] = after
        self._first[used] = np.asarray(moments.first)[:n]
        self._second[used] = np.asarray(moments.second)[:n]
        self._updates[used] = np.asarray(moments.n_updates)[:n]
        self.average.update(used, before, after, self._updates[used], self._params)
        self.n_steps += 1
        self.n_predictions += self._packer.n_predictions
        return float(loss)

    def _replayed(self) -> Iterator[Sequence]:
        config, augmenter = self.config, self._augmenter
        sequences = self.buffer.sample(config.rows * self.shape.context_length, config.share_of_newest)
        if self._generated is not None:
            if self._generated.is_due(self.n_steps):
                self._generated.generate(self._as_model(), self.counts, self.buffer.sample(REAL_SESSIONS))
            sequences = self._generated.mix(sequences)
        if augmenter is None:
            return sequences
        if self.n_steps % _REGROUPED == 0 and "substitute" in config.augmentations:
            used = np.flatnonzero(self.items.used)
            self._grouped.group(used, self.vectors[used])
        return (
            augmenter.change(each) if self._rng.random() < config.augmented else each for each in sequences
        )

    def _as_model(self) -> Model:
        weights = self.weights()
        return Model(weights, np.array([self.items.find(each) for each in weights.item_ids], np.int64))

    def _views(self) -> Views:
        shape, pairs = self.shape, self.config.contrast_pairs if self.config.contrast > 0.0 else 0
        if self._augmenter is None:
            return make_views((), None, 0, shape.context_length, shape.n_gaps)
        # about half of the sequences are long enough
        sequences = self.buffer.sample(4 * pairs, self.config.share_of_newest)
        return make_views(sequences, self._augmenter, pairs, shape.context_length, shape.n_gaps)

    def _draw_negatives(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Items, and the logarithm of how often each is expected among them."""
        negatives, log_expected = self._negatives.draw(self.counts, self.items.size)
        if not self.config.in_batch:
            return negatives, log_expected
        tokens = self._packer.tokens
        targets = tokens.targets[tokens.weights > 0.0]
        return self._negatives.with_targets(negatives, targets, self.counts)

    def weights(self) -> TrainedWeights:
        """A copy of what was learned: the moving average of the steps."""
        used = np.flatnonzero(self.items.used)
        averages = self.average.parameters or {name: np.array(value) for name, value in self._params.items()}
        vectors = self.average.vectors(used, self.vectors[used])
        if not self.contents.is_empty:
            vectors = vectors + self.contents.gather(used) @ averages["content"]
        norms = np.linalg.norm(vectors, axis=1)
        # an item of which nothing is known has no direction
        has_vector = norms > 1e-6
        ids = self.items.ids_of(used[has_vector].tolist())
        unit = vectors[has_vector] / norms[has_vector, None]
        return TrainedWeights(self.shape, served_parameters(averages, self.shape), ids, unit)

    def dense_parameters(self) -> dict[str, NDArray[np.float32]]:
        """A copy of the parameters but the item vectors: they name no item and no user."""
        return {name: np.array(value) for name, value in self._params.items()}

    def replace_dense(self, parameters: Mapping[str, NDArray[np.float32]]) -> None:
        """Continue with other `dense_parameters`; their moving average begins anew.

        Raises
        ------
        ValueError
            If one is missing, of another size, or not finite.
        """
        for name, value in self._params.items():
            if name not in parameters or parameters[name].shape != value.shape:
                raise ValueError(f"the parameters have no {name} with the dimensions {value.shape}")
        check_parameters(served_parameters(parameters, self.shape), self.shape)
        self._params = {name: jnp.array(parameters[name]) for name in self._params}
        self.average.parameters = {name: np.array(parameters[name]) for name in self._params}

    def forget_user(self, user: str) -> None:
        """Drop the sequences of a user."""
        self.buffer.forget_user(user_key(user))

    def forget_user_hash(self, user_hash: bytes) -> None:
        """Drop the sequences of a user of whom the one-way hash is known alone."""
        self.buffer.forget_user(key_of_hash(user_hash))

    def state(self) -> State:
        """Everything that was learned, and what is learned from, as plain data.

        The state of the random numbers is not in it: a restored training draws others.
        """
        size = self.items.size
        columns = {name: array[:size].copy() for name, array in self._columns().items()}
        return {
            "shape": msgspec.to_builtins(self.shape),
            "items": self.items.state(),
            "parameters": {name: np.array(value) for name, value in self._params.items()},
            "moments": [np.array(leaf) for leaf in jax.tree.leaves(self._moments)],
            **columns,
            "average": self.average.state(np.arange(size), self.vectors[:size]),
            "contents": self.contents.state(),
            "progress": [self.n_interactions, self.n_steps, self.n_predictions],
            **pack_buffer(self.buffer.state()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the result of `state`.

        Raises
        ------
        ValueError
            If it is of another shape or capacity; this training is to be discarded then.
        """
        # a snapshot of an earlier version has no segments
        if msgspec.convert(state["shape"], NetworkShape) != self.shape:
            raise ValueError(f"the state has the shape {state['shape']}")
        self.items.restore(state["items"])
        parameters = dict(state["parameters"])
        check_parameters(served_parameters(parameters, self.shape), self.shape)
        self.contents.restore(state["contents"])
        self._params = {name: jnp.asarray(parameters[name]) for name in self._params}
        leaves, structure = jax.tree.flatten(self._moments)
        stored = state["moments"]
        if [np.shape(leaf) for leaf in stored] != [leaf.shape for leaf in leaves]:
            raise ValueError("the moments of the state have other dimensions")
        self._moments = jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in stored])
        size = self.items.size
        self._grow(size)
        for name, array in self._columns().items():
            if len(state[name]) != size:
                raise ValueError(f"the state has {len(state[name])} rows of {name}, not {size}")
            array[:size] = state[name]
        if averages := state["average"]["parameters"]:
            check_parameters(served_parameters(averages, self.shape), self.shape)
        self.average.restore(state["average"])
        self.n_interactions, self.n_steps, self.n_predictions = (int(n) for n in state["progress"])
        self.buffer.restore(unpack_buffer(state))
        self._key = jax.random.fold_in(jax.random.key(self.config.seed), self.n_steps)

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {
            "vectors": self.vectors,
            "first": self._first,
            "second": self._second,
            "updates": self._updates,
            "counts": self.counts,
        }

    def _forget_rows(self, rows: Iterable[int]) -> None:
        dropped = np.fromiter(rows, np.int64)
        self.buffer.forget_items(dropped.tolist())
        if self._generated is not None:
            self._generated.forget()
        self.vectors[dropped] = self._first_vectors(len(dropped))
        self._first[dropped] = self._second[dropped] = 0.0
        self._updates[dropped] = 0
        self.average.forget(dropped)
        self.contents.forget(dropped)
        self.counts[dropped] = 0.0
