"""The decorator of all compiled kernels.

Numba keeps machine code on disk and invalidates it when the kernel's own file changes. Here the key of the cache is
a hash of the sources of all kernels, so that a kernel may call kernels of other files, and read their constants and
enums: after any change all kernels are compiled again.
"""

import hashlib
import shutil
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
from numba.core import caching

from stream_app.models.kernels.compilation import KernelCache

_KERNELS: Final[list[Any]] = []

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=tuple[Any, ...])

SUMS: Final = frozenset({"reassoc", "contract"})
"""Sums may be computed in any order, which allows vector instructions; infinities and NaN are respected."""

DIVISIONS: Final = SUMS | {"arcp"}
"""As `SUMS`; a division may become a multiplication by the reciprocal."""

FUNCTIONS: Final = DIVISIONS | {"afn"}
"""As `DIVISIONS`; ``exp``, ``log`` and similar functions may be approximated."""


_PACKAGES: Final = ("models", "bandit", "experiment", "ranking", "tools/bench")
_MARK: Final = b"import jit"


@cache
def kernel_sources() -> tuple[Path, ...]:
    """Files that are part of the cache key: those that import this decorator, and folders named ``kernels``."""
    root = Path(__file__).parents[2]
    files = sorted(file for name in _PACKAGES for file in (root / name).rglob("*.py"))
    return tuple(file for file in files if file.parent.name == "kernels" or _MARK in file.read_bytes())


@cache
def _stamp() -> str:
    digest = hashlib.sha256()
    for file in kernel_sources():
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


class _ByStamp:
    """Stores machine code in a folder named by the hash, and removes the folders of other hashes.

    An index that other sources wrote may refer to types that no longer exist.
    """

    _cache_path: str

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        super().__init__(function, file)  # type: ignore[call-arg]  # numba's locators take both
        current = Path(self._cache_path) / f"kernels-{_stamp()[:16]}"
        for folder in current.parent.glob("kernels-*"):
            if folder != current:
                shutil.rmtree(folder, ignore_errors=True)
        self._cache_path = str(current)

    def ensure_cache_path(self) -> None:
        """Make the folder; a folder that exists is read also where it cannot be written to, as in an image."""
        try:
            super().ensure_cache_path()  # type: ignore[misc]  # of numba's locators
        except OSError:
            if not Path(self._cache_path).is_dir():
                raise

    def get_source_stamp(self) -> str:
        """The hash of all kernel sources."""
        return _stamp()


class StampedUserProvided(_ByStamp, caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """The folder of ``NUMBA_CACHE_DIR``."""


class StampedInTree(_ByStamp, caching.InTreeCacheLocator):  # type: ignore[misc]
    """The ``__pycache__`` next to the kernel's file."""


class StampedUserWide(_ByStamp, caching.UserWideCacheLocator):  # type: ignore[misc]
    """The cache folder of the system's user, if the source tree is read-only."""


_LOCATORS: Final = ",".join(
    f"{__name__}.{locator.__name__}" for locator in (StampedUserProvided, StampedInTree, StampedUserWide)
)


def jit(
    *, fastmath: Collection[str] = (), numpy_errors: bool = False, inline: bool = False
) -> Callable[[F], F]:
    """Compile a kernel at its first call and keep the machine code on disk.

    Parameters
    ----------
    fastmath
        Floating-point rules that may be relaxed: `SUMS`, `DIVISIONS` or `FUNCTIONS`; none by default.
    numpy_errors
        Whether a division by zero returns an infinity, as in numpy, and does not raise.
    inline
        Whether every call is inlined, and references to arrays are not counted. For a part of a kernel that is
        called in its inner loop: counting takes 5 nanoseconds per array and call. It must not create arrays.

    Examples
    --------
    >>> @jit(fastmath=SUMS)
    ... def total(values):
    ...     result = 0.0
    ...     for value in values:
    ...         result += value
    ...     return result
    >>> import numpy as np
    >>> total(np.ones(3))
    3.0
    """

    def decorate(function: F) -> F:
        before = numba.config.CACHE_LOCATOR_CLASSES
        numba.config.CACHE_LOCATOR_CLASSES = _LOCATORS
        try:
            # a kernel of a doctest or of an interactive session has no file to cache it next to
            kept = Path(function.__code__.co_filename) in kernel_sources()
            compiled = numba.njit(
                fastmath=set(fastmath),
                error_model="numpy" if numpy_errors else "python",
                forceinline=inline,
                _nrt=not inline,
            )(function)
            if kept:
                compiled._cache = KernelCache(function)  # noqa: SLF001  # as `cache=True` sets numba's own
                _KERNELS.append(compiled)
        finally:
            numba.config.CACHE_LOCATOR_CLASSES = before
        return cast("F", compiled)

    return decorate


def plain(columns: T) -> T:
    """Convert a named tuple into a plain tuple, to pass it to a kernel.

    Numba's dispatcher identifies a plain tuple in 0.1 microseconds, a named tuple in 1 microsecond. The kernel
    restores the names in its first line by ``columns = Columns(*columns)``, which costs nothing.
    """
    return tuple(columns)  # type: ignore[return-value]  # `cast` would cost as much as the conversion


def n_kernels() -> int:
    """Number of kernels in the modules that are imported."""
    return len(_KERNELS)


def compiled_signatures(kernel: Callable[..., Any]) -> int:
    """Count the argument types that a kernel is compiled for in this process."""
    return len(kernel.signatures)  # type: ignore[attr-defined]
