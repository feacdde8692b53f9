"""The unit tests notice nine of ten small defects in the code."""

import subprocess
import sys

import pytest

from tests.support import ROOT

MINUTES = 8
"""The tests of the unchanged code take one or two minutes before."""


@pytest.mark.slow
def test_nine_of_ten_mutants_die() -> None:
    # In a process of its own: it forks, and this one has threads and has imported the code.
    command = [sys.executable, "-m", "tests.mutation", "--seed", "15", "--minutes", str(MINUTES)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
