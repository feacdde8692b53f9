"""Memory of arrays as the system counts it."""

import numpy as np

from stream_app.models.resident import process_bytes, resident_bytes

MIB = 1 << 20


def test_only_the_rows_that_were_written_count() -> None:
    table = np.zeros((64 * MIB // 64, 8))
    assert resident_bytes([table]) < MIB * 3
    table[: len(table) // 2] = 1.0
    # huge pages of 2 MiB
    assert 32 * MIB <= resident_bytes([table]) < 36 * MIB
    table[:] = 1.0
    assert resident_bytes([table]) == table.nbytes


def test_small_arrays_and_views_count_as_a_whole() -> None:
    small, columns = np.zeros(100), np.zeros((1000, 1000))[:, ::2]
    assert resident_bytes([small]) == small.nbytes
    assert resident_bytes([columns]) == columns.nbytes
    assert resident_bytes([]) == 0


def test_the_process_takes_what_it_has_written() -> None:
    before = process_bytes()
    table = np.ones(64 * MIB // 8)
    grown = process_bytes() - before
    assert 0.9 * table.nbytes < grown < 1.2 * table.nbytes
