"""Rows on disk are proven by RocksDB: damage is found, or leaves a state from before it, the offset included."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from faust.types import TP

from state.row_store import RowStore
from state.user_rows import StoreError
from tests.support.users_table_alone import CHANGELOG, UsersTableAlone

N_ROWS = 400


def cut(file: Path, rng: random.Random) -> None:
    """What a lost write leaves."""
    with file.open("r+b") as written:
        written.truncate(rng.randrange(file.stat().st_size))


def overwrite(file: Path, rng: random.Random) -> None:
    """What a bad sector leaves."""
    size = file.stat().st_size
    with file.open("r+b") as written:
        written.seek(rng.randrange(size))
        written.write(rng.randbytes(min(size, 40)))


def row(number: int) -> bytes:
    return b"row %d " % number * 40


def written_by_a_killed_worker(folder: Path, *, merged: bool) -> Path:
    """The files of a partition whose rows were written in the order of their offsets, as a kill leaves them."""
    table = UsersTableAlone(folder / "killed", owned=(0,))
    for number in range(N_ROWS):
        table.store.put(0, b"u%04d" % number, row(number))
        if number % 10 == 9:
            table.store.set_persisted_offset(TP(CHANGELOG, 0), number)
    if merged:
        table.store.purge(0)
    path: Path = table.store.partition_path(0)
    copied = folder / "left" / path.name
    shutil.copytree(path, copied)
    return copied


@pytest.mark.parametrize("damage", [cut, overwrite])
@pytest.mark.parametrize("merged", [False, True], ids=["log", "tables"])
def test_no_row_is_missing_below_the_offset_that_is_read(
    tmp_path: Path, damage: Callable[[Path, random.Random], None], *, merged: bool
) -> None:
    left = written_by_a_killed_worker(tmp_path, merged=merged)
    damaged = [path for path in left.iterdir() if path.suffix == (".sst" if merged else ".log")]
    file = max(damaged, key=lambda path: path.stat().st_size)
    outcomes = set()
    for seed in range(12):
        table = UsersTableAlone(tmp_path / str(seed), owned=(0,))
        path = table.store.partition_path(0)
        shutil.copytree(left, path)
        damage(path / file.name, random.Random(seed))
        outcomes.add(check(table.store))
    # Seeds that damage nothing show nothing.
    assert outcomes - {N_ROWS - 1}


def check(store: RowStore) -> int | str:
    """Read all rows below the offset; the offset, or what the store raised."""
    try:
        offset = store.persisted_offset(TP(CHANGELOG, 0))
        for number in range(-1 if offset is None else offset + 1):
            assert store.read(0, b"u%04d" % number) == row(number)
    except StoreError as error:
        return type(error).__name__
    return -1 if offset is None else offset
