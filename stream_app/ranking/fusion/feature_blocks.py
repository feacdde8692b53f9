"""The feature table of the learned fusion: blocks of columns, each with the function that fills it.

`FEATURE_BLOCKS` is the table. Names, width, column numbers and the stamp of the learned state follow from it. The
blocks that compiled code fills take their entries from `stream_app.ranking.kernels.feature_table`.

To add a feature that numpy computes, add one block with its entry and a function of the sources and the candidates.
This one lists newer items higher:

>>> def write_age(sources: FeatureSources, candidates: CandidateBatch, out: Matrix, first: int) -> None:
...     days = (candidates.context.now - sources.models.index.first_seen[candidates.items]) / 86_400.0
...     out[:, first] = np.exp(-np.maximum(days, 0.0) / 7.0)
>>> age = FeatureSpec("age", "ItemIndex.first_seen", "exp(-days since the first interaction / 7)")
>>> table = FeatureTable([*FEATURE_BLOCKS, FeatureBlock((age,), write_age)])
>>> table.names[-1], table.column("age") == table.width - 1
('age', True)

A feature is float32 from 0 to 1, with 0 for unknown: the ranker skips zeros. Saved weights are of the old columns, so
models are rebuilt from the log at the next start.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Candidates, Context, Items, Model, Scores
from stream_app.models.item_vectors import ItemVectors
from stream_app.models.kernels.jit import plain
from stream_app.models.model_set import ModelSet
from stream_app.models.session_store import NeighborScores, SessionStore
from stream_app.models.trending import Trending
from stream_app.models.two_tower import TwoTower
from stream_app.models.user_item_affinity import write_affinity
from stream_app.ranking.kernels.feature_table import (
    Feature,
    FeatureSpec,
    ProposalFeature,
    SessionFeature,
    TrendFeature,
    TwoTowerFeature,
    VectorFeature,
)
from stream_app.ranking.kernels.session_features import SessionQuery, write_session_features
from stream_app.ranking.kernels.source_features import (
    write_proposal_features,
    write_trend_features,
    write_two_tower_features,
    write_vector_features,
)

Matrix = NDArray[np.float32]

_PROPOSAL_WIDTH: Final = len(ProposalFeature)
"""Columns of each model that is not on the session store."""


class FeatureSources(NamedTuple):
    """What features are computed from besides the candidates; lives as long as the fusion."""

    models: ModelSet  # of the replica, with the item index
    store: SessionStore  # sessions and postings
    vectors: ItemVectors | None  # the item vectors, where they are learned
    two_tower: TwoTower | None  # the neural model, where it runs
    trending: Trending | None  # counts of the last hour, where they are learned
    row_of_slot: Items  # shape (candidates of the store,): scratch memory, -1 between calls
    ranks: Scores  # shape (rows,): scratch memory


class CandidateBatch(NamedTuple):
    """The shortlist of one list."""

    context: Context  # the user
    items: Items  # shape (n,): the shortlist
    slots: Items  # shape (n,): its slots among the candidates of the session store
    neighbors: NeighborScores  # the query of the session store
    # shape (candidates of the store,): 1 + cosine of each candidate with the session; empty without item
    # vectors
    cosines: Scores
    # candidates of the models that are not on the session store
    proposals: Sequence[tuple[Model, Candidates]]


Writer = Callable[[FeatureSources, CandidateBatch, Matrix, int], None]
"""Fills the columns of a block: sources, candidates, matrix of shape (n, width), first column of the block."""


class FeatureBlock(NamedTuple):
    """Adjacent columns that one function fills."""

    specs: tuple[FeatureSpec, ...]  # one a column, in order
    write: Writer  # fills them in each row
    needs: type[Model] | None = None  # model without which the block is left out


class FeatureTable:
    """The columns of the feature matrix.

    Parameters
    ----------
    blocks
        In the order of their columns.

    Attributes
    ----------
    specs, names
        One a column; the names stamp the learned weights.

    Raises
    ------
    ValueError
        If two features have one name.
    """

    def __init__(self, blocks: Sequence[FeatureBlock]) -> None:
        self.specs: Final = tuple(spec for block in blocks for spec in block.specs)
        self.names: Final = tuple(spec.name for spec in self.specs)
        self._columns = {name: column for column, name in enumerate(self.names)}
        if len(self._columns) < len(self.names):
            duplicates = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ValueError(f"features with the same name: {', '.join(duplicates)}")
        self._writers: list[tuple[Writer, int]] = []
        first = 0
        for block in blocks:
            self._writers.append((block.write, first))
            first += len(block.specs)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.names)

    def column(self, name: str) -> int:
        """Column of a feature."""
        return self._columns[name]

    def write(self, sources: FeatureSources, candidates: CandidateBatch, out: Matrix) -> None:
        """Fill a matrix of shape (n, width)."""
        for write, first in self._writers:
            write(sources, candidates, out, first)


def _write_sessions(sources: FeatureSources, candidates: CandidateBatch, out: Matrix, first: int) -> None:
    store, neighbors = sources.store, candidates.neighbors
    query = SessionQuery(
        neighbors.distinct, neighbors.n_sessions, neighbors.own_session, store.newest, store.clicks_seen
    )
    write_session_features(
        plain(store.arrays),
        plain(store.scratch),
        candidates.slots,
        candidates.context.items,
        plain(query),
        sources.ranks,
        first,
        out,
    )


def _write_affinity(sources: FeatureSources, candidates: CandidateBatch, out: Matrix, first: int) -> None:
    columns = out[:, first : first + len(AFFINITY_SPECS)]
    write_affinity(candidates.context, candidates.items, sources.models, columns)


def _write_vectors(sources: FeatureSources, candidates: CandidateBatch, out: Matrix, first: int) -> None:
    assert sources.vectors is not None  # noqa: S101  # the block is left out without
    context_items = sources.store.scratch.context[: candidates.neighbors.distinct]
    with_items = sources.vectors.pairwise_cosines(context_items, candidates.items)
    write_vector_features(candidates.cosines, candidates.slots, with_items, first, out)


def _write_two_tower(sources: FeatureSources, candidates: CandidateBatch, out: Matrix, first: int) -> None:
    if sources.two_tower is not None:
        write_two_tower(sources.two_tower, candidates.context, candidates.items, first, out)


def write_two_tower(model: TwoTower, context: Context, items: Items, first: int, out: Matrix) -> None:
    """Write the columns of `TwoTowerFeature` from column `first` on; 0 for an item without a vector."""
    out[:, first : first + len(TwoTowerFeature)] = 0.0
    inputs = model.feature_inputs(context, items)
    if inputs is not None:
        write_two_tower_features(*inputs, first, out)


def _write_trends(sources: FeatureSources, candidates: CandidateBatch, out: Matrix, first: int) -> None:
    trends = None if sources.trending is None else sources.trending.trends()
    if trends is None:
        out[:, first : first + len(TrendFeature)] = 0.0
    else:
        write_trend_features(candidates.items, candidates.context.items, *trends, first, out)


def _write_proposals(sources: FeatureSources, candidates: CandidateBatch, out: Matrix, first: int) -> None:
    end = first + _PROPOSAL_WIDTH * len(candidates.proposals)
    out[:, first:end] = 0.0
    columns = range(first, end, _PROPOSAL_WIDTH)
    for column, (_, found) in zip(columns, candidates.proposals, strict=True):
        if len(found.items):
            write_proposal_features(
                sources.store.scratch.slots,
                sources.row_of_slot,
                candidates.slots,
                found.items,
                found.scores,
                column,
                out,
            )


def proposal_block(model_names: Sequence[str]) -> FeatureBlock:
    """The block of the models that are not on the session store.

    Examples
    --------
    >>> [spec.name for spec in proposal_block(["content"]).specs]
    ['content_of_max', 'content_rank']
    """
    return FeatureBlock(
        tuple(
            FeatureSpec(f"{name}_{feature.spec.name}", f"{name}: {feature.source}", feature.formula)
            for name in model_names
            for feature in ProposalFeature
        ),
        _write_proposals,
    )


def _prefixed(prefix: str, table: type[Feature]) -> tuple[FeatureSpec, ...]:
    return tuple(each.spec._replace(name=f"{prefix}_{each.spec.name}") for each in table)


AFFINITY_SPECS: Final = (
    FeatureSpec(
        "category_affinity", "user profile, catalog", "affinity of the user to the item's categories"
    ),
    FeatureSpec("brand_affinity", "user profile, catalog", "affinity of the user to the item's brand"),
    FeatureSpec(
        "price_distance", "user profile, catalog", "0.5 + deviations from the user's price level / 8"
    ),
)

FEATURE_BLOCKS: Final = (
    FeatureBlock(tuple(feature.spec for feature in SessionFeature), _write_sessions),
    FeatureBlock(AFFINITY_SPECS, _write_affinity),
    FeatureBlock(_prefixed("vector", VectorFeature), _write_vectors, needs=ItemVectors),
    FeatureBlock(_prefixed("trend", TrendFeature), _write_trends, needs=Trending),
    FeatureBlock(_prefixed("neural", TwoTowerFeature), _write_two_tower, needs=TwoTower),
)
"""The table but for the columns of each further model, which follow the models that run; see `proposal_block`."""
