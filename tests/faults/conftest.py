"""The servers of the fault tests are those of the integration tests; the longest files run first."""

from pathlib import Path
from typing import Final

import pytest

from tests.integration.conftest import servers

__all__ = ["servers"]

LONGEST: Final = (
    "test_stopped_worker.py",
    "test_joining_and_leaving.py",
    "test_broker_faults.py",
    "test_killed_worker.py",
)
"""Files of several minutes; processes side by side take files in this order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    ranks = {folder / name: rank for rank, name in enumerate(LONGEST)}
    own = [item for item in items if item.path.parent == folder]
    own.sort(key=lambda item: ranks.get(item.path, len(ranks)))
    ordered = iter(own)
    items[:] = [next(ordered) if item.path.parent == folder else item for item in items]
