"""Packages that River imports and that few of its parts use: they are loaded when a part uses them.

``import river.reco`` imports all of `scipy.stats` and SQLAlchemy, which takes half of the seconds in which a worker
imports its modules. Models and detectors of a worker use neither.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any, Final

DEFERRED: Final = frozenset({"scipy.spatial", "scipy.special", "scipy.stats", "sqlalchemy"})
"""Modules that are loaded at the first use of a name in them."""

_LOADING: Final = RLock()
_LOAD: Final = "_load"


class _DeferredModule(ModuleType):
    """A module that is loaded at the first use of a name in it.

    Unlike `importlib.util.LazyLoader`, names like ``__file__`` do not load it: Faust calls `inspect` for each agent,
    which looks at them in all modules.
    """

    def __init__(self, name: str, load: Callable[[ModuleType], None]) -> None:
        super().__init__(name)
        self.__dict__[_LOAD] = load

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"module {self.__name__!r} is not loaded yet and has no {name!r}")
        with _LOADING:
            if type(self) is _DeferredModule:
                # While it is loaded, and after, it is a module like any other.
                self.__class__ = ModuleType  # type: ignore[assignment]  # both have the same layout
                self.__dict__.pop(_LOAD)(self)
        return getattr(self, name)


class _DeferringLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader: Final = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make a module that is not loaded yet."""
        return _DeferredModule(spec.name, self._loader.exec_module)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing yet; what asks for the loader of the module gets its own."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a deferred module, with a loader that loads it at its first use."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in DEFERRED else None
        if spec is not None and spec.loader is not None:
            spec.loader = _DeferringLoader(spec.loader)
        return spec


def defer_imports() -> None:
    """Load the modules of `DEFERRED`, if they are not imported yet, at their first use."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
