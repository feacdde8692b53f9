"""The code that is mutated, and the tests of each module."""

import ast
from functools import cache
from pathlib import Path
from typing import Final

from tests.mutation.imports import imports_of
from tests.support import ROOT

PACKAGES: Final = {
    "snapshots": ("state/snapshots", ("tests/unit/state",)),
    "state": ("state", ("tests/unit/state",)),
    "topics": ("topics", ("tests/unit/topics",)),
    "ranking": ("stream_app/ranking", ("tests/unit/ranking",)),
    "experiment": ("stream_app/experiment", ("tests/unit/experiment",)),
    "publishing": ("stream_app/publishing", ("tests/unit/publishing",)),
    "client": ("stream_app/client", ("tests/unit/client",)),
}
"""Folder of each package, and the folders of its tests; a folder within another one precedes it."""

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
    # The connection to a broker, the clock of a broker, and the state of its consumer groups: nothing is left of them
    # without a broker, which takes longer to start than the tests of a mutant may. The integration tests hold them.
    "topics/broker_client.py",
    "topics/broker_clock.py",
    "topics/consumer_groups.py",
    # Likewise why a broker refuses a connection, and which rights it grants.
    "topics/connection_fault.py",
    "topics/access.py",
    # The losses of single nodes: a cluster of several starts for seconds (tests/checks/test_redis_cluster.py).
    "stream_app/publishing/redis_node_checks.py",
    # Texts for readers alone.
    "topics/schema_documents.py",
}

_REDIS: Final = (
    "tests/checks/test_redis_connections.py",
    "tests/checks/test_publishers.py",
    "tests/checks/test_redis_ownership.py",
    "tests/integration/test_redis_sentinel.py",
    "tests/checks/test_redis_cluster_node.py",
)

_STORED_ROWS: Final = (
    "tests/agents/test_users_agent.py",
    "tests/agents/test_local_store.py",
    "tests/agents/test_erased_users.py",
    "tests/agents/test_erasures_meanwhile.py",
)

OTHER_TESTS: Final[dict[str, tuple[str, ...]]] = {
    "state/erased_rows.py": _STORED_ROWS,
    "state/log_progress.py": (
        "tests/unit/worker/test_reward_attributor.py",
        "tests/unit/worker/test_list_recovery.py",
    ),
    "state/row_store.py": _STORED_ROWS,
    "state/user_table.py": _STORED_ROWS,
    "stream_app/experiment/guardrail.py": ("tests/unit/worker/test_policy_controller.py",),
    "topics/kafka_connection.py": (
        "tests/unit/settings/test_kafka_settings.py",
        "tests/unit/kafka/test_connection_arguments.py",
        "tests/unit/kafka/test_client_credentials.py",
    ),
    "stream_app/publishing/redis_connection.py": (*_REDIS, "tests/integration/test_redis_acl.py"),
    "stream_app/publishing/redis_inspection.py": ("tests/integration/test_redis_acl.py",),
    "stream_app/publishing/redis_publisher.py": _REDIS,
    "stream_app/publishing/redis_sentinel.py": (
        "tests/checks/test_redis_connections.py",
        "tests/integration/test_redis_sentinel.py",
        "tests/integration/test_redis_acl.py",
    ),
}
"""Tests in other folders. Those of the files for Redis start a server, for a tenth of a second."""

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
