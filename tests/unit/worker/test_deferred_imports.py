"""Packages that are loaded when they are used."""

import subprocess
import sys

SCRIPT = """
import sys
from stream_app.worker.deferred_imports import defer_imports
defer_imports()
defer_imports()
from river import drift, metrics, optim
assert "scipy.stats._stats_py" not in sys.modules
detector = drift.KSWIN(seed=1)
for value in [0.0] * 100 + [1.0] * 100:
    detector.update(value)
    if detector.drift_detected:
        break
assert detector.drift_detected
assert optim.losses.Log().mean_func(0.0) == 0.5
from scipy.spatial import distance
assert distance.euclidean([0.0], [2.0]) == 2.0
import sqlalchemy
assert sqlalchemy.text("a").text == "a"
import scipy.stats
assert scipy.stats.norm.cdf(0.0) == 0.5
print("all are loaded")
"""


def test_a_deferred_package_is_loaded_at_its_first_use() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stdout) == (0, "all are loaded\n"), done.stderr
