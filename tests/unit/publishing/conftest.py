"""An in-memory worker for each test of the flush loop and its parts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.in_memory_worker import InMemoryWorker


@pytest.fixture
def worker(tmp_path: Path) -> InMemoryWorker:
    return InMemoryWorker(tmp_path)


@pytest.fixture
def make_worker(tmp_path: Path) -> Callable[..., InMemoryWorker]:
    """Create a worker with other settings."""
    return partial(InMemoryWorker, tmp_path)
