"""What a worker's process imports."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from stream_app.worker.deferred_imports import defer_imports
defer_imports()
from stream_app.settings import Settings
import stream_app.worker.app, stream_app.worker.bootstrap, stream_app.worker.lifecycle
from stream_app.worker.warm_up import warm_up
warm_up(Settings(neural=True))
from stream_app.publishing.memory_publisher import MemoryPublisher
from stream_app.worker.app import create_app
create_app(Settings(), MemoryPublisher(), partitions=1)
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Modules of a process that has compiled the kernels and made a worker's application."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, timeout=600, check=True
    )
    return set(done.stdout.split())


def test_a_worker_with_the_two_tower_model_needs_no_jax(imported: set[str]) -> None:
    assert not imported & {"jax", "jaxlib", "optax", "flwr"}


def test_a_worker_loads_no_large_package_that_river_alone_imports(imported: set[str]) -> None:
    assert "river.drift" in imported
    # Modules that the packages import when they are loaded: a deferred package itself is in the list.
    assert not imported & {"scipy.special._basic", "scipy.spatial._kdtree", "scipy.stats._stats_py"}
    assert not imported & {"sqlalchemy.engine", "river.bandit", "gymnasium"}
