"""Logs in the format of the Open Bandit Dataset (Saito et al. 2021): one row an item shown."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import UserError
from stream_app.tools.evaluation.policies.rounds import Floats, Integers, Rounds, check
from stream_app.tools.evaluation.progress import Tell
from stream_app.tools.feeds.delimited import Record, records
from stream_app.tools.feeds.files import lines, open_log_file

ITEM: Final = "item_id"
POSITION: Final = "position"
CLICK: Final = "click"
PROPENSITY: Final = "propensity_score"
USER_FEATURE: Final = "user_feature_"
AFFINITY: Final = "user-item_affinity_"
ITEM_FEATURE: Final = "item_feature_"


@dataclass(frozen=True, kw_only=True)
class CatalogueDesign:
    """Features of rounds that all choose from the same catalogue.

    Columns: one a place; one a value of each of the shopper's features; one an item; the items' features; the
    shopper's affinity to the item.

    Attributes
    ----------
    positions : ndarray of int32, shape (n,)
        The place of each round.
    places
        Places there are.
    shoppers : ndarray of int32, shape (n, u)
        For each of the shopper's features, its column among the `values`.
    values
        Values of all features of shoppers.
    items : ndarray of float64, shape (a, f)
        Features of the items.
    affinities : ndarray of float32, shape (n, a)
        Of shopper and item.
    """

    positions: Integers
    places: int
    shoppers: Integers
    values: int
    items: Floats
    affinities: NDArray[np.float32]

    @property
    def width(self) -> int:
        """All columns."""
        return self.constants + self.values + sum(self.items.shape) + 1

    @property
    def constants(self) -> int:
        """Places."""
        return self.places

    def at(self, rows: NDArray[np.int64]) -> Floats:
        """Features of every item in some rounds, shape (m, a, width)."""
        count = len(self.items)
        found = np.zeros((len(rows), count, self.width))
        each = np.arange(len(rows))
        found[each, :, self.positions[rows]] = 1.0
        for column in self.shoppers[rows].T:
            found[each, :, self.places + column] = 1.0
        start = self.places + self.values
        found[:, np.arange(count), start + np.arange(count)] = 1.0
        found[:, :, start + count : -1] = self.items
        found[:, :, -1] = self.affinities[rows]
        return found


def read(
    log: Path, items: Path | None = None, *, limit: int | None = None, tell: Tell = lambda _: None
) -> Rounds:
    """Read a log.

    Parameters
    ----------
    log
        CSV, plain or gzip, with the columns ``item_id``, ``position``, ``click`` and ``propensity_score``; those
        named ``user_feature_*`` and ``user-item_affinity_<item_id>`` become features. Each row counts as a shopper
        of its own: the format names none.
    items
        CSV with ``item_id`` and ``item_feature_*``, numbers or categories. None: the items are those that the log
        shows, without features.
    limit
        Only the first so many rows.
    tell
        Is told how many rows are read.

    Returns
    -------
    Rounds
        One a row; policies are named after the file.

    Raises
    ------
    UserError
        If a file cannot be read, lacks a column, or has a row that does not fit.
    """
    catalogue = None if items is None else _read_items(items)
    names: dict[str, int] = {} if catalogue is None else {name: at for at, name in enumerate(catalogue)}
    shown: list[int] = []
    places: list[float] = []
    clicks: list[float] = []
    propensities: list[float] = []
    affinities: list[list[float]] = []
    shoppers: list[list[int]] = []
    values: dict[tuple[str, str], int] = {}
    with _rows(log, (ITEM, POSITION, CLICK, PROPENSITY)) as rows:
        for record in rows:
            if limit is not None and len(shown) >= limit:
                break
            of = record.values
            item = of[ITEM]
            if catalogue is None:
                names.setdefault(item, len(names))
            elif item not in names:
                raise UserError(
                    f"{log}:{record.line}: {ITEM} {item!r} is not in {items}; give the log's own items."
                )
            propensity = _number(log, record, PROPENSITY)
            if not 0.0 < propensity <= 1.0:
                raise UserError(
                    f"{log}:{record.line}: {PROPENSITY} {propensity:g} is no probability above 0; without it a row "
                    "tells nothing of other policies: mend or remove it."
                )
            shown.append(names[item])
            places.append(_number(log, record, POSITION))
            clicks.append(_number(log, record, CLICK))
            propensities.append(propensity)
            if len(shown) == 1:
                features = [column for column in of if column.startswith(USER_FEATURE)]
                towards = [column for column in of if column.startswith(AFFINITY)]
            shoppers.append([values.setdefault((name, of[name]), len(values)) for name in features])
            affinities.append([_number(log, record, name) for name in towards])
            tell(len(shown))
    if not shown:
        raise UserError(f"{log} has no rows, so there is nothing to evaluate.")
    n, count = len(shown), len(names)
    of_items = np.zeros((count, 0)) if catalogue is None else _item_features(list(catalogue.values()))
    aligned = np.zeros((n, count), np.float32)
    known = np.array(affinities, np.float32).reshape(n, len(towards))
    for column, name in enumerate(towards):
        if (at := names.get(name.removeprefix(AFFINITY))) is not None:
            aligned[:, at] = known[:, column]
    found, numbers = np.unique(np.array(places), return_inverse=True)
    positions = numbers.astype(np.int32)
    rounds = Rounds(
        names=tuple(names),
        candidates=np.broadcast_to(np.arange(count, dtype=np.int32), (n, count)),
        chosen=np.array(shown, np.int32),
        positions=positions,
        propensities=np.array(propensities),
        rewards=np.array(clicks),
        groups=np.arange(n),
        policies=(log.name.partition(".")[0],),
        policy=np.zeros(n, np.int32),
        design=CatalogueDesign(
            positions=positions,
            places=len(found),
            shoppers=np.array(shoppers, np.int32).reshape(n, len(features)),
            values=len(values),
            items=of_items,
            affinities=aligned,
        ),
    )
    return check(rounds, str(log))


def _read_items(path: Path) -> dict[str, dict[str, str]]:
    """Features by item id, in the order of the file."""
    with _rows(path, (ITEM,)) as rows:
        found = {
            record.values[ITEM]: {
                name: value for name, value in record.values.items() if name.startswith(ITEM_FEATURE)
            }
            for record in rows
        }
    if not found:
        raise UserError(f"{path} names no item.")
    return found


def _item_features(items: list[dict[str, str]]) -> Floats:
    """Numbers standardised, categories one column each, shape (items, columns)."""
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
def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[Iterator[Record]]:
    with open_log_file(path) as stream:
        yield _sound(path, records(lines(stream), name=str(path), delimiter=",", needed=needed))


def _sound(path: Path, rows: Iterator[Record]) -> Iterator[Record]:
    for record in rows:
        if record.problem is not None:
            raise UserError(f"{path}:{record.line}: {record.problem}; mend or remove that row.")
        yield record


def _number(path: Path, record: Record, column: str) -> float:
    text = record.values[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{path}:{record.line}: {column} {text[:40]!r} is no number; mend or remove that row."
        )
    return value
