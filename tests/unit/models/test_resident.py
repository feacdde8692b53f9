"""Memory of arrays as the system counts it."""

import subprocess
import sys

import numpy as np

from stream_app.models.resident import resident_bytes

MIB = 1 << 20

SCRIPT = """
import numpy as np
from stream_app.models.resident import process_bytes, resident_bytes
table, before = np.zeros((1 << 20, 8)), process_bytes()
print(resident_bytes([table]))
table[: len(table) // 2] = 1.0
print(resident_bytes([table]))
table[:] = 1.0
print(resident_bytes([table]), process_bytes() - before)
"""


def test_only_the_pages_that_were_written_count() -> None:
    # In a process of its own: this one may give the table memory that it has written before.
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    none, half, whole, grown = map(int, found.stdout.split())
    # huge pages are of 2 MiB
    assert none <= 2 * MIB
    assert 32 * MIB <= half <= 36 * MIB
    assert whole == 64 * MIB
    assert 60 * MIB < grown < 72 * MIB


def test_small_arrays_and_views_count_as_a_whole() -> None:
    small, columns = np.zeros(100), np.zeros((1000, 1000))[:, ::2]
    assert resident_bytes([small]) == small.nbytes
    assert resident_bytes([columns]) == columns.nbytes
    assert resident_bytes([]) == 0
