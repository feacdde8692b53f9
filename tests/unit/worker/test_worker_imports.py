"""What a worker's process imports."""

import subprocess
import sys

SCRIPT = """
import sys
from stream_app.settings import Settings
import stream_app.worker.app, stream_app.worker.bootstrap, stream_app.worker.lifecycle
from stream_app.worker.warm_up import warm_up
warm_up(Settings(neural=True))
print(sorted(name for name in ("jax", "jaxlib", "optax", "flwr") if name in sys.modules))
"""


def test_a_worker_with_the_two_tower_model_needs_no_jax() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, timeout=600, check=True
    )
    assert done.stdout.strip() == "[]"
