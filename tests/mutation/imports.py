"""Which modules a defect reaches: those that import the changed module, directly or by others."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from typing import Final

from tests.support import ROOT

CODE: Final = ("state", "topics", "stream_app")
"""The top packages of the product."""


def importing_modules(name: str) -> frozenset[str]:
    """A module, and all modules of the product that import it, directly or by others.

    A module also depends on the packages that it is in: their ``__init__`` runs before it.

    Examples
    --------
    >>> found = importing_modules("state.list_store")
    >>> "state.attribution" in found, "state.published_list" in found
    (True, False)
    """
    importers: dict[str, set[str]] = {}
    for importer, imported in _imports_by_module().items():
        for each in imported:
            importers.setdefault(each, set()).add(importer)
    found, waiting = {name}, [name]
    while waiting:
        new = importers.get(waiting.pop(), set()) - found
        found |= new
        waiting.extend(new)
    return frozenset(found)


def forget(names: frozenset[str]) -> None:
    """Remove modules, and what their packages hold of them, so that they are imported anew."""
    for name in names:
        package, _, attribute = name.rpartition(".")
        if sys.modules.pop(name, None) is not None and package in sys.modules:
            # ``from package import module`` would find it there.
            vars(sys.modules[package]).pop(attribute, None)


@cache
def _imports_by_module() -> dict[str, frozenset[str]]:
    files = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
        for folder in CODE
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    return {
        name: frozenset(
            package
            for imported in (name, *imports_of(ast.parse(path.read_text())))
            for package in _with_packages(imported)
            if package in files and package != name
        )
        for name, path in files.items()
    }


def imports_of(tree: ast.AST) -> Iterator[str]:
    """The names that a module imports: modules, and what is taken from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[: end + 1]) for end in range(len(parts)))
