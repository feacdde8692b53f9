import signal
import sys
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.tools.embedded.child_process import (
    free_port,
    kill_process,
    log_tail,
    start_process,
    stop_process,
    wait_until_ready,
)

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_a_process_that_exits_on_sigterm_is_not_killed() -> None:
    process = start_process([sys.executable, "-c", "import signal; signal.pause()"])
    assert stop_process(process) == -signal.SIGTERM


def test_a_process_that_ignores_sigterm_is_killed_after_the_deadline(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = start_process([sys.executable, "-c", STUBBORN], log=output)
    wait_until_ready(process, lambda: b"ready" in log.read_bytes(), name="The process", log=log, seconds=20)
    assert stop_process(process, seconds=0.05) == -signal.SIGKILL


def test_stopping_an_exited_process_is_idempotent() -> None:
    process = start_process([sys.executable, "-c", "raise SystemExit(3)"])
    assert process.wait() == 3
    assert stop_process(process) == 3
    kill_process(process)


def test_a_process_gets_its_arguments_folder_and_environment(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ.get('WHO'))"
    with log.open("wb") as output:
        command = [sys.executable, "-c", code, "a b", "-c"]
        process = start_process(command, log=output, folder=tmp_path, environment={"WHO": "me"})
    assert process.wait() == 0
    assert log.read_text() == f"['a b', '-c'] {tmp_path} me\n"


def test_a_process_that_exits_before_it_is_ready_is_an_error_with_its_log_tail(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = start_process([sys.executable, "-c", "raise SystemExit('no such option')"], log=output)
    with pytest.raises(UserError, match=r"(?s)Redis exited during startup with status 1.*    no such option"):
        wait_until_ready(process, lambda: False, name="Redis", log=log, seconds=20)


def test_a_process_that_is_never_ready_is_an_error_after_the_deadline(tmp_path: Path) -> None:
    process = start_process([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        with pytest.raises(UserError, match=r"Redis did not respond within 0 s"):
            wait_until_ready(process, lambda: False, name="Redis", log=tmp_path / "none", seconds=0.05)
    finally:
        kill_process(process)


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert log_tail(log, lines=2) == f"The end of its log {log}:\n    line 98\n    line 99"


def test_free_ports_lie_below_the_ephemeral_range() -> None:
    assert all(1024 < free_port() < 32_768 for _ in range(50))
