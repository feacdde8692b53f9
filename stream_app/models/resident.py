"""Memory of the process and of its arrays, as the operating system counts it."""

import ctypes
import mmap
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_PAGE: Final = mmap.PAGESIZE
_MEASURED_BYTES: Final = 1 << 20
"""A smaller array counts as a whole: it may share its pages with others."""

try:
    _mincore: Any = ctypes.CDLL(None).mincore
except (AttributeError, OSError, TypeError):
    _mincore = None  # not on Windows
else:
    _mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


def process_bytes() -> int:
    """Memory of this process, in bytes; 0 where the system does not tell (it is not Linux)."""
    with suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    return 0


def resident_bytes(arrays: Iterable[NDArray[Any]]) -> int:
    """Count the bytes of arrays that take memory.

    Tables are allocated ahead: for the largest number of rows, or for twice as many as there are. The system gives
    memory to the pages that were written, so that ``nbytes`` is up to twice of what a table takes.

    Parameters
    ----------
    arrays : iterable of ndarray
        Contiguous ones that own their memory. Where the system does not tell, and for other arrays, all bytes count.

    Examples
    --------
    >>> resident_bytes([np.zeros(100), np.ones(10, np.float32)])
    840
    """
    return sum(_resident_bytes(array) for array in arrays)


def _resident_bytes(array: NDArray[Any]) -> int:
    size = array.nbytes
    if size < _MEASURED_BYTES or _mincore is None or not array.flags.c_contiguous:
        return size
    address = array.ctypes.data
    start = address - address % _PAGE
    n_pages = -(-(address + size - start) // _PAGE)
    resident = np.zeros(n_pages, np.uint8)
    if _mincore(start, n_pages * _PAGE, resident.ctypes.data):
        return size
    return min(size, int(np.count_nonzero(resident & 1)) * _PAGE)
