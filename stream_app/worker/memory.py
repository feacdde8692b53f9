"""What takes memory in a worker."""

from state.user_table import FaustUserRows
from stream_app.worker.bootstrap import Components


def memory_of(components: Components) -> dict[str, int]:
    """Memory of each part of a worker but its rows, in bytes."""
    return {
        "process": components.process_bytes,
        "lists": components.list_store.memory_bytes(),
        "pending": components.queue.memory(),
        **components.models.memory(),
    }


def memory_by_part(components: Components, rows: FaustUserRows) -> dict[str, int]:
    """Memory of each part of a worker, in bytes.

    The sum is the resident memory of the process to within a tenth (`make bench-memory`).
    """
    return {**memory_of(components), "rows": rows.memory()}
