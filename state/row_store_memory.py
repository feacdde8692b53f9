"""The memory of RocksDB: bounds of it, and what it takes."""

from typing import Any, Final

DEFAULT_MEMORY: Final = 256 << 20
"""Bytes for the buffers and caches of all databases of a worker, where nothing else is said."""

_MAX_WRITE_BUFFER: Final = 64 << 20
_MIN_WRITE_BUFFER: Final = 1 << 20
_MIN_CACHE: Final = 1 << 20

_MEMORY_PROPERTIES: Final = (
    b"rocksdb.cur-size-all-mem-tables",
    b"rocksdb.estimate-table-readers-mem",
    b"rocksdb.block-cache-usage",
)


def store_options(memory: int, partitions: int) -> dict[str, int]:
    """Options of Faust's store that bound the memory of its databases.

    By default each partition may take 2.7 GB: three buffers of writes, and a cache of 2 GiB.

    Parameters
    ----------
    memory
        Bytes for all databases of a worker that owns all partitions.

    Examples
    --------
    >>> options = store_options(DEFAULT_MEMORY, partitions=4)
    >>> options["write_buffer_size"] >> 20, options["block_cache_size"] >> 20
    (16, 32)
    """
    share = memory // max(1, partitions)
    return {
        # two buffers: one is written to disk while the other fills
        "max_write_buffer_number": 2,
        "write_buffer_size": min(_MAX_WRITE_BUFFER, max(_MIN_WRITE_BUFFER, share // 4)),
        "block_cache_size": max(_MIN_CACHE, share // 2),
        # one cache is enough: the system caches the files, which are compressed
        "block_cache_compressed_size": _MIN_CACHE,
        # Each log would reserve room for a whole buffer on the disk: on one with little room, that of the first
        # partition leaves none for the others.
        "allow_fallocate": False,
    }


def memory_of(database: Any) -> int:
    """Bytes of the buffers, indexes and caches of an open database."""
    return sum(int(database.get_property(name) or 0) for name in _MEMORY_PROPERTIES)
