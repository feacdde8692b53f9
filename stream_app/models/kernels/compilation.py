"""Which kernels are compiled, and the machine code that a read-only folder has."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from numba.core import caching, event

_LOG: Final = logging.getLogger(__name__)

OnCompiled = Callable[[int], None]
"""Receives how many kernels were compiled so far; those whose machine code was on disk do not count."""

_EVENT: Final = "numba:compile"


class KernelCache(caching.FunctionCache):  # type: ignore[misc]
    """Machine code on disk; a disk that takes none costs the next start its time, and ends no process."""

    has_failed = False
    """Whether a failure was logged."""

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save machine code, if it can be saved."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            if not KernelCache.has_failed:
                KernelCache.has_failed = True
                _LOG.warning(
                    "the machine code of kernels cannot be saved, and is compiled again at the next start: %s",
                    error,
                )


class _Counter(event.Listener):  # type: ignore[misc]
    def __init__(self, on_compiled: OnCompiled) -> None:
        self._on_compiled = on_compiled
        self._compiled: set[int] = set()

    def on_start(self, event: Any) -> None:
        """Nothing is counted before it is compiled."""

    def on_end(self, event: Any) -> None:
        """Count a kernel once, for however many types of arguments it is compiled."""
        dispatcher = event.data["dispatcher"]
        if isinstance(getattr(dispatcher, "_cache", None), KernelCache):  # not the parts of numba itself
            self._compiled.add(id(dispatcher))
            self._on_compiled(len(self._compiled))


@contextmanager
def counted_compilations(on_compiled: OnCompiled) -> Iterator[None]:
    """Report each kernel that is compiled inside the block."""
    counter = _Counter(on_compiled)
    event.register(_EVENT, counter)
    try:
        yield
    finally:
        event.unregister(_EVENT, counter)
