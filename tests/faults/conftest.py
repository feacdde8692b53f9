"""The servers of the fault tests are those of the integration tests; the longest files run first."""

from pathlib import Path
from typing import Final

import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.integration.conftest import servers
from tests.support.generated_log import GeneratedLog, generate_log
from tests.support.redis_runs import reference_of
from tests.support.run_outcome import RunOutcome

__all__ = ["servers"]

LONGEST: Final = (
    "test_stopped_worker.py",
    "test_joining_and_leaving.py",
    "test_broker_faults.py",
    "test_killed_worker.py",
    "test_topics_of_shops.py",
)
"""Files of several minutes; processes side by side take files in this order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    ranks = {folder / name: rank for rank, name in enumerate(LONGEST)}
    own = [item for item in items if item.path.parent == folder]
    own.sort(key=lambda item: ranks.get(item.path, len(ranks)))
    ordered = iter(own)
    items[:] = [next(ordered) if item.path.parent == folder else item for item in items]


@pytest.fixture(scope="session")
def log() -> GeneratedLog:
    """What is sent in the tests of Redis."""
    return generate_log(2_000, users=150)


@pytest.fixture(scope="session")
def reference(
    servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory, log: GeneratedLog
) -> RunOutcome:
    """The outcome of a run of it without a fault."""
    return reference_of(servers, tmp_path_factory.mktemp("reference"), log)
