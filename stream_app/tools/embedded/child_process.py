"""Child processes: started so that none is left behind, waited for with a deadline, stopped by their id."""

import functools
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Final

from stream_app.errors import UserError

StepCallback = Callable[[str], None]
"""Called with what is being done, for people: "Starting Kafka"."""

POLL_SECONDS: Final = 0.02
STOP_SECONDS: Final = 10.0

# The kernel hands out ports above 32768 to outgoing connections: below it, a server that is away for a moment
# finds its own port free when it comes back.
_PORT_RANGE: Final = range(20_000, 32_000)

# Asks the kernel to kill the process when its parent ends, however that ends, then becomes the command. Run
# by a fresh interpreter, since code between fork and exec is unsafe in a process with threads.
_PARENT_DEATH_LAUNCHER: Final = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started this one is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class _Spawner(threading.Thread):
    """Starts children for every thread.

    The kernel's "parent" is the thread that forked, not its process: a server started by a short-lived thread
    would be killed with it. This one lasts as long as the process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(name=f"spawner-{pid}", daemon=True)
        self._jobs: Final[queue.SimpleQueue[_Job]] = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            job, future = self._jobs.get()
            try:
                future.set_result(job())
            except Exception as error:  # noqa: BLE001  # handed to the thread that asked
                future.set_exception(error)

    def call(self, job: Callable[[], "subprocess.Popen[bytes]"]) -> "subprocess.Popen[bytes]":
        future: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((job, future))
        return future.result()


_Job = tuple[Callable[[], "subprocess.Popen[bytes]"], "Future[subprocess.Popen[bytes]]"]


@functools.cache
def _spawner(pid: int) -> _Spawner:
    spawner = _Spawner(pid)
    spawner.start()
    return spawner


def start_process(
    command: Sequence[str | Path],
    *,
    log: IO[bytes] | int = subprocess.DEVNULL,
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a child that cannot outlive this process.

    It runs in a session of its own: ctrl-C at the terminal does not reach it, so that this process can finish
    with it before it stops it.

    Parameters
    ----------
    command
        The absolute path of the program, then its arguments.
    log
        Where both its outputs go.
    folder
        Its working directory.
    environment
        By default this process's.
    """
    parent_pid = os.getpid()
    launcher_command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _PARENT_DEATH_LAUNCHER,
        str(parent_pid),
        *map(str, command),
    ]

    def spawn() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603  # our own commands
            launcher_command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )

    return _spawner(parent_pid).call(spawn)


def stop_process(process: "subprocess.Popen[bytes]", *, seconds: float = STOP_SECONDS) -> int:
    """Stop a child: SIGTERM, and SIGKILL if it is still there after `seconds`.

    Returns
    -------
    int
        Its exit status, as `subprocess.Popen.returncode`.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def kill_process(process: "subprocess.Popen[bytes]") -> None:
    """End a child as a crash would (SIGKILL), and wait until it is gone."""
    process.kill()
    process.wait()


def wait_until_ready(
    process: "subprocess.Popen[bytes]", is_ready: Callable[[], bool], *, name: str, log: Path, seconds: float
) -> None:
    """Wait until a server answers.

    Raises
    ------
    UserError
        If it ends, or does not answer within `seconds`, with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while True:
        ready = is_ready()
        if process.poll() is not None:
            status = process.returncode
            raise UserError(f"{name} stopped as soon as it was started (status {status}).\n{log_tail(log)}")
        if ready:
            return
        if time.monotonic() > deadline:
            raise UserError(f"{name} did not answer within {seconds:.0f} s of its start.\n{log_tail(log)}")
        time.sleep(POLL_SECONDS)


def log_tail(log: Path, lines: int = 15) -> str:
    """The last lines of a server's log, indented, under a heading that names the file."""
    try:
        text = log.read_bytes()[-64_000:].decode(errors="replace")
    except OSError:
        text = ""
    last_lines = text.splitlines()[-lines:] or ["(nothing)"]
    return f"The end of its log {log}:\n" + "\n".join(f"    {line[:400]}" for line in last_lines)


def free_port() -> int:
    """A loopback port that nothing listens on."""
    for port in random.sample(_PORT_RANGE, 200):
        if is_free(port):
            return port
    raise UserError(f"No free port on 127.0.0.1 between {_PORT_RANGE.start} and {_PORT_RANGE.stop}.")


def is_free(port: int) -> bool:
    """Whether a server could listen on a loopback port."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier server that are being wound up are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def send_request(port: int, request: bytes, size: int, *, seconds: float = 1.0) -> bytes:
    """Send a request to a loopback port and read up to `size` bytes; none if nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            connection.sendall(request)
            response = b""
            while len(response) < size:
                chunk = connection.recv(size - len(response))
                if not chunk:
                    break
                response += chunk
            return response
    except OSError:
        return b""
