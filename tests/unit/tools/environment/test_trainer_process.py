"""A trainer as a child process: its environment, its end and its stop. A small script replaces its command."""

import sys
from pathlib import Path

from stream_app.tools.embedded.child_process import kill_process
from stream_app.tools.environment.trainer_process import TrainerProcess


def trainer(folder: Path, code: str) -> TrainerProcess:
    return TrainerProcess(folder, {"broker": "127.0.0.1:1"}, (sys.executable, "-c", code))


def test_a_trainer_runs_with_its_settings_until_it_is_stopped(tmp_path: Path) -> None:
    code = "import os, time; print(os.environ['HEADRACE_BROKER'], os.environ['HEADRACE_METRICS_PORT'])"
    started = trainer(tmp_path, code)
    started.process.wait()
    assert started.log_path.read_text() == f"127.0.0.1:1 {started.port}\n"
    running = trainer(tmp_path, "import time; time.sleep(600)")
    assert running.failure == ""
    running.stop()
    assert running.process.returncode == -15


def test_the_end_of_a_trainer_is_described(tmp_path: Path) -> None:
    exiting, killed = (
        trainer(tmp_path, "raise SystemExit(3)"),
        trainer(tmp_path, "import time; time.sleep(600)"),
    )
    exiting.process.wait()
    kill_process(killed.process)
    assert (exiting.failure, killed.failure) == ("exited with status 3", "was killed by SIGKILL")
    killed.stop()
