"""The columns of models that a trainer learns, in the saved state of a fusion.

Such a model can be switched on and off in a running shop, and a replay of the log cannot learn its columns, since the
weights of the time are gone. So a state holds them apart from all others: a fusion without the model restores the
rest, and one with it begins with columns that change no score.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Model
from stream_app.models.model_state import State
from stream_app.models.two_tower import TwoTower
from stream_app.ranking.fusion.feature_blocks import FeatureBlock, FeatureTable, proposal_block
from stream_app.ranking.fusion.softmax import FIRST_SQUARE_SUM

TRENDING_CANDIDATES: Final = ("trending_of_max", "trending_rank")
"""Columns of the candidates of `trending`, which now only orders."""

_BY_COLUMN: Final = "knots"
"""Part of the names of the arrays with a row for each column."""


def trained_columns(
    table: FeatureTable, blocks: Sequence[FeatureBlock], sources: Sequence[Model]
) -> list[int]:
    """The columns of models that a trainer learns: those of their blocks and of their candidates."""
    trained_blocks = [block for block in blocks if block.needs and block.needs.is_trained_apart]
    proposals = proposal_block([model.name for model in sources if model.is_trained_apart])
    return [table.column(spec.name) for block in (*trained_blocks, proposals) for spec in block.specs]


def optional_columns(table: FeatureTable, blocks: Sequence[FeatureBlock]) -> list[int]:
    """The columns of models that only order, which can be switched on and off as well."""
    return [
        table.column(spec.name)
        for block in blocks
        if block.needs and block.needs.only_orders
        for spec in block.specs
    ]


def source_columns(names: Sequence[str], sources: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """The columns of each source, by its name: those of its candidates, and of the two-tower model its features."""
    columns = np.array(names)
    return {
        name: np.flatnonzero(
            np.isin(columns, [spec.name for spec in proposal_block([name]).specs])
            | (np.char.startswith(columns, "neural_") & (name == TwoTower.name))
        )
        for name in sources
    }


def split_columns(
    ranker: Mapping[str, Any], names: Sequence[str], apart: Sequence[int]
) -> tuple[State, State]:
    """Take columns out of the state of a ranker.

    Parameters
    ----------
    names
        Of all columns.
    apart
        The columns to take out.

    Returns
    -------
    rest, apart_weights : dict
        The state of a ranker without these columns; their weights by name of the array and of the column.
    """
    is_kept = np.ones(len(names), np.bool_)
    is_kept[list(apart)] = False
    weights = ranker["weights"]
    rest = {name: array[is_kept] if _BY_COLUMN in name else array for name, array in weights.items()}
    apart_weights = {
        name: {names[at]: np.array(array[at]) for at in apart}
        for name, array in weights.items()
        if _BY_COLUMN in name
    }
    parameters = {**ranker["parameters"], "features": int(is_kept.sum())}
    return {**ranker, "parameters": parameters, "weights": rest}, apart_weights


def without_columns(state: Mapping[str, Any], removed: Collection[str]) -> State:
    """Take columns that no longer exist out of the saved state of a fusion."""
    names = state["parameters"]["names"]
    apart = [at for at, name in enumerate(names) if name in removed]
    ranker, _ = split_columns(state["ranker"], names, apart)
    kept = [name for name in names if name not in removed]
    return {**state, "parameters": {**state["parameters"], "names": kept}, "ranker": ranker}


def join_columns(
    rest: Mapping[str, Any], apart_weights: Mapping[str, Any], names: Sequence[str], apart: Sequence[int]
) -> State:
    """Put columns into the state of a ranker; columns that were not saved begin as those of a new ranker.

    Parameters
    ----------
    rest, apart_weights
        Results of `split_columns`.
    names, apart
        As there; they may differ from those of the saved state.

    Raises
    ------
    ValueError
        If the state does not have all columns that are not apart.
    """
    n_rest = len(names) - len(apart)
    if rest["parameters"]["features"] != n_rest:
        raise ValueError(
            f"softmax: features is {n_rest}, but the state was saved with {rest['parameters']['features']}"
        )
    kept = [at for at in range(len(names)) if at not in set(apart)]
    weights: dict[str, Any] = {}
    for name, value in rest["weights"].items():
        if _BY_COLUMN not in name:
            weights[name] = value
            continue
        array = np.asarray(value, np.float32)
        first = FIRST_SQUARE_SUM if name.endswith("square_sum") else 0.0
        joined = weights[name] = np.full((len(names), *array.shape[1:]), first, np.float32)
        joined[kept] = array
        for at in apart:
            column = apart_weights.get(name, {}).get(names[at])
            if column is not None:
                joined[at] = column
    return {**rest, "parameters": {**rest["parameters"], "features": len(names)}, "weights": weights}
