"""The end of a worker's process is bounded."""

import subprocess
import sys

import pytest

STUCK_ENDS = {
    "the loop": "time.sleep(600)",
    "a thread": "threading.Thread(target=time.sleep, args=(600,)).start()",
}


@pytest.mark.parametrize("stuck", STUCK_ENDS.values(), ids=STUCK_ENDS)
def test_a_process_that_does_not_end_is_ended(stuck: str) -> None:
    program = f"""
import threading, time
from stream_app.worker.process import EndDeadline
deadline = EndDeadline()
deadline.arm(300.0)
deadline.arm(0.2)
deadline.arm(300.0)
{stuck}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=200, check=False)
    assert done.returncode == 1
    assert b"did not end within" in done.stderr


def test_a_process_that_ends_in_time_does_not_wait_for_its_deadline() -> None:
    program = "from stream_app.worker.process import EndDeadline; EndDeadline().arm(600.0)"
    assert subprocess.run([sys.executable, "-c", program], timeout=200, check=False).returncode == 0
