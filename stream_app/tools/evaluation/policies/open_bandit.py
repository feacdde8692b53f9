"""Logs in the format of the Open Bandit Dataset (Saito et al. 2021): one row a displayed item."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import UserError
from stream_app.tools.evaluation.policies.rounds import Floats, Integers, Rounds
from stream_app.tools.feeds.delimited import DelimitedRow, read_delimited
from stream_app.tools.feeds.files import lines, open_log_file
from stream_app.tools.progress import UpdateProgress

ITEM: Final = "item_id"
POSITION: Final = "position"
CLICK: Final = "click"
PROPENSITY: Final = "propensity_score"
USER_FEATURE: Final = "user_feature_"
AFFINITY: Final = "user-item_affinity_"
ITEM_FEATURE: Final = "item_feature_"


@dataclass(frozen=True, kw_only=True)
class CatalogDesign:
    """Features of rounds that all choose from the same catalog.

    Columns: one per position; one per value of each user feature; one per item; the item features; the affinity of
    user and item.

    Attributes
    ----------
    positions : ndarray of int32, shape (n,)
        Position of each round.
    n_positions
        Number of positions.
    user_columns : ndarray of int32, shape (n, u)
        For each user feature, its column among the `values`.
    values
        Number of values of all user features.
    items : ndarray of float64, shape (a, f)
        Item features.
    affinities : ndarray of float32, shape (n, a)
        Affinity of user and item.
    """

    positions: Integers
    n_positions: int
    user_columns: Integers
    values: int
    items: Floats
    affinities: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.constants + self.values + sum(self.items.shape) + 1

    @property
    def constants(self) -> int:
        """Number of positions."""
        return self.n_positions

    def candidate_features(self, rows: NDArray[np.int64]) -> Floats:
        """Features of every item in the given rounds, shape (m, a, width)."""
        count = len(self.items)
        result = np.zeros((len(rows), count, self.width))
        each = np.arange(len(rows))
        result[each, :, self.positions[rows]] = 1.0
        for column in self.user_columns[rows].T:
            result[each, :, self.n_positions + column] = 1.0
        start = self.n_positions + self.values
        result[:, np.arange(count), start + np.arange(count)] = 1.0
        result[:, :, start + count : -1] = self.items
        result[:, :, -1] = self.affinities[rows]
        return result


def read(
    log: Path,
    items: Path | None = None,
    *,
    limit: int | None = None,
    update_progress: UpdateProgress = lambda _: None,
) -> Rounds:
    """Read a log: one round per row; the policy is named after the file.

    Parameters
    ----------
    log
        CSV, plain or gzip, with the columns ``item_id``, ``position``, ``click`` and ``propensity_score``; those
        named ``user_feature_*`` and ``user-item_affinity_<item_id>`` become features. The format has no user ids,
        so each row counts as a user.
    items
        CSV with ``item_id`` and ``item_feature_*``, numbers or categories. None: the items are those of the
        log, without features.

    Raises
    ------
    UserError
        If a file cannot be read, lacks a column, or has an invalid row.
    """
    catalog = None if items is None else _read_items(items)
    columns = _Columns({} if catalog is None else {name: at for at, name in enumerate(catalog)})
    with _rows(log, (ITEM, POSITION, CLICK, PROPENSITY)) as rows:
        for record in rows:
            if limit is not None and len(columns.items) >= limit:
                break
            if catalog is None:
                columns.names.setdefault(record.values[ITEM], len(columns.names))
            elif record.values[ITEM] not in columns.names:
                raise UserError(
                    f"{log}:{record.line}: {ITEM} {record.values[ITEM]!r} is not in {items}; "
                    "give the log's own items."
                )
            columns.append(log, record)
            update_progress(len(columns.items))
    if not columns.items:
        raise UserError(f"{log} has no rows, so there is nothing to evaluate.")
    item_matrix = (
        np.zeros((len(columns.names), 0)) if catalog is None else _item_features(list(catalog.values()))
    )
    return columns.rounds(log.name.partition(".")[0], item_matrix)


class _Columns:
    """Columns of a log while it is read.

    Parameters
    ----------
    names
        Index of each item id; without a catalog, items of the log are added.
    """

    def __init__(self, names: dict[str, int]) -> None:
        self.names = names
        self.items: list[int] = []
        self._positions: list[float] = []
        self._clicks: list[float] = []
        self._propensities: list[float] = []
        self._affinities: list[list[float]] = []
        self._user_columns: list[list[int]] = []
        self._user_values: dict[tuple[str, str], int] = {}
        self._user_features: list[str] = []
        self._affinity_columns: list[str] = []

    def append(self, log: Path, record: DelimitedRow) -> None:
        fields = record.values
        if not self.items:
            self._user_features = [column for column in fields if column.startswith(USER_FEATURE)]
            self._affinity_columns = [column for column in fields if column.startswith(AFFINITY)]
        propensity = _number(log, record, PROPENSITY)
        if not 0.0 < propensity <= 1.0:
            raise UserError(
                f"{log}:{record.line}: {PROPENSITY} {propensity:g} is not a probability above 0, which other "
                "policies cannot be evaluated without; correct or remove this row."
            )
        self.items.append(self.names[fields[ITEM]])
        self._positions.append(_number(log, record, POSITION))
        self._clicks.append(_number(log, record, CLICK))
        self._propensities.append(propensity)
        values = self._user_values
        self._user_columns.append(
            [values.setdefault((name, fields[name]), len(values)) for name in self._user_features]
        )
        self._affinities.append([_number(log, record, name) for name in self._affinity_columns])

    def rounds(self, policy: str, item_matrix: Floats) -> Rounds:
        n, count = len(self.items), len(self.names)
        values, numbers = np.unique(np.array(self._positions), return_inverse=True)
        positions = numbers.astype(np.int32)
        return Rounds(
            names=tuple(self.names),
            candidates=np.broadcast_to(np.arange(count, dtype=np.int32), (n, count)),
            chosen=np.array(self.items, np.int32),
            positions=positions,
            propensities=np.array(self._propensities),
            rewards=np.array(self._clicks),
            groups=np.arange(n),
            policies=(policy,),
            policy=np.zeros(n, np.int32),
            design=CatalogDesign(
                positions=positions,
                n_positions=len(values),
                user_columns=np.array(self._user_columns, np.int32).reshape(n, len(self._user_features)),
                values=len(self._user_values),
                items=item_matrix,
                affinities=self._aligned_affinities(),
            ),
        )

    def _aligned_affinities(self) -> NDArray[np.float32]:
        """Affinities with a column for each item, shape (n, items); 0 for an item without one."""
        n = len(self.items)
        aligned = np.zeros((n, len(self.names)), np.float32)
        affinities = np.array(self._affinities, np.float32).reshape(n, len(self._affinity_columns))
        for column, name in enumerate(self._affinity_columns):
            if (at := self.names.get(name.removeprefix(AFFINITY))) is not None:
                aligned[:, at] = affinities[:, column]
        return aligned


def _read_items(path: Path) -> dict[str, dict[str, str]]:
    """Item features by item id, in the order of the file."""
    with _rows(path, (ITEM,)) as rows:
        result = {
            record.values[ITEM]: {
                name: value for name, value in record.values.items() if name.startswith(ITEM_FEATURE)
            }
            for record in rows
        }
    if not result:
        raise UserError(f"{path} has no items; give a file with a row for each item.")
    return result


def _item_features(items: list[dict[str, str]]) -> Floats:
    """Item features as numbers, shape (items, columns): numbers standardized, one column per category."""
    columns: list[Floats] = []
    for name in items[0]:
        texts = [each[name] for each in items]
        try:
            numbers = np.array([float(text) for text in texts])
        except ValueError:
            kinds, codes = np.unique(texts, return_inverse=True)
            columns.extend((codes == code).astype(np.float64) for code in range(len(kinds)))
            continue
        spread = numbers.std()
        if np.isfinite(spread) and spread > 0.0:
            columns.append((numbers - numbers.mean()) / spread)
    return np.stack(columns, axis=1) if columns else np.zeros((len(items), 0))


@contextmanager
def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[Iterator[DelimitedRow]]:
    with open_log_file(path) as stream:
        yield _require_valid(
            path, read_delimited(lines(stream), name=str(path), delimiter=",", required_columns=needed)
        )


def _require_valid(path: Path, rows: Iterator[DelimitedRow]) -> Iterator[DelimitedRow]:
    for record in rows:
        if record.problem is not None:
            raise UserError(f"{path}:{record.line}: {record.problem}; correct or remove this row.")
        yield record


def _number(path: Path, record: DelimitedRow, column: str) -> float:
    text = record.values[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{path}:{record.line}: {column} {text[:40]!r} is not a number; correct or remove this row."
        )
    return value
