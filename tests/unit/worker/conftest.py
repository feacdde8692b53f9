"""What several test modules of the worker share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.replica_harness import ReplicaHarness


@pytest.fixture
async def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReplicaHarness]:
    """Replicas over logs in memory; those that a test started are stopped after it."""
    made = ReplicaHarness(tmp_path / "models", monkeypatch)
    yield made
    for replica in made.running:
        await replica.stop()
