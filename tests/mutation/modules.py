"""The code that is mutated, and the tests of each module."""

import ast
from functools import cache
from pathlib import Path
from typing import Final

from tests.mutation.imports import imports_of
from tests.support import ROOT

PACKAGES: Final = {
    "state": ("state", ("tests/unit/state",)),
    "topics": ("topics", ("tests/unit/topics",)),
    "ranking": ("stream_app/ranking", ("tests/unit/ranking",)),
    "experiment": ("stream_app/experiment", ("tests/unit/experiment",)),
    "publishing": ("stream_app/publishing", ("tests/unit/publishing",)),
    "client": ("stream_app/client", ("tests/unit/client",)),
}
"""Folder of each package, and the folders of its tests."""

CHOSEN: Final = {
    "ranking": {
        "allowed_items",
        "diversity",
        "exposure",
        "intra_list_diversity",
        "list_rules",
        "long_tail",
        "row_request",
    },
    "experiment": {"assignment", "comparison", "confidence_sequence", "control", "guardrail"},
}
"""Of the ranker its rules, of the experiment what pauses a policy: not the fusions, features and kernels. The other
tests of these packages are about those, and take minutes."""

EXCLUDED: Final = {
    # Real servers are needed: the integration tests, the fault tests and `tests/checks` hold these.
    "state/row_store.py",
    "state/user_table.py",
    "topics/admin.py",
    "topics/broker_client.py",
    "topics/broker_clock.py",
    "topics/consumer_groups.py",
    "topics/topic_checks.py",
    "stream_app/publishing/redis_connection.py",
    "stream_app/publishing/redis_inspection.py",
    "stream_app/publishing/redis_publisher.py",
    "stream_app/publishing/redis_sentinel.py",
    # The agents' tests hold it, on the table of an application.
    "state/erased_rows.py",
    # Texts for readers alone.
    "topics/schema_documents.py",
}

OTHER_TESTS: Final[dict[str, tuple[str, ...]]] = {
    "state/log_progress.py": (
        "tests/unit/worker/test_reward_attributor.py",
        "tests/unit/worker/test_list_recovery.py",
    ),
    "stream_app/experiment/guardrail.py": ("tests/unit/worker/test_policy_controller.py",),
}
"""Tests in other folders."""

OF_ALL_PACKAGES: Final = ("tests/unit/test_defaults.py", "tests/unit/test_structs.py")
"""Tests of the defaults and the structs of all packages."""


def module_name(path: str) -> str:
    """The dotted name of a module's file.

    Examples
    --------
    >>> module_name("state/fold.py")
    'state.fold'
    """
    return path.removesuffix(".py").replace("/", ".")


def modules(package: str) -> list[str]:
    """The files of a package that are mutated."""
    folder = ROOT / PACKAGES[package][0]
    found = [path.relative_to(ROOT).as_posix() for path in sorted(folder.glob("*.py"))]
    chosen = CHOSEN.get(package)
    return [
        path
        for path in found
        if path not in EXCLUDED
        and not path.endswith("__init__.py")
        and (chosen is None or path.rsplit("/", 1)[1].removesuffix(".py") in chosen)
    ]


def package_of(path: str) -> str:
    """The package of a module's file."""
    return next(name for name, (folder, _) in PACKAGES.items() if path.startswith(f"{folder}/"))


@cache
def tests_of(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tests of a module: first those that name or import it, with its doctests; then those of all packages, and
    others of its package."""
    files = [
        file.relative_to(ROOT).as_posix()
        for folder in PACKAGES[package_of(path)][1]
        for file in sorted((ROOT / folder).rglob("test_*.py"))
    ]
    stem, name = Path(path).stem, module_name(path)
    near = [file for file in files if Path(file).stem == f"test_{stem}"]
    near += [file for file in files if file not in near and name in _imported(file)]
    near += OTHER_TESTS.get(path, ())
    others = [] if package_of(path) in CHOSEN else [file for file in files if file not in near]
    return (path, *near), (*OF_ALL_PACKAGES, *others)


@cache
def _imported(file: str) -> frozenset[str]:
    return frozenset(imports_of(ast.parse((ROOT / file).read_text())))
