"""Packages that River imports and that few of its parts use: they are loaded when a part uses them.

``import river.reco`` imports all of `scipy.stats` and SQLAlchemy, which takes half of the seconds in which a worker
imports its modules. Models and detectors of a worker use neither.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Final

DEFERRED: Final = frozenset({"scipy.spatial", "scipy.special", "scipy.stats", "sqlalchemy"})
"""Modules that are loaded at the first use of a name in them."""


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a deferred module, with a loader that loads it at its first use."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in DEFERRED else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def defer_imports() -> None:
    """Load the modules of `DEFERRED`, if they are not imported yet, at their first use.

    For a process in which a single thread uses them: before Python 3.13, a second thread may see a module that the
    first one still loads.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
