"""Child processes that never outlive this process, with deadlines for start and stop."""

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
"""Receives a progress message, such as "Starting Kafka"."""

POLL_SECONDS: Final = 0.02
STOP_SECONDS: Final = 10.0

# The kernel assigns ports above 32768 to outgoing connections: below that, a restarted server finds its port still
# free.
_PORT_RANGE: Final = range(20_000, 32_000)

# Sets the parent-death signal, so that the kernel kills the process when its parent ends for any reason, then
# executes the command. It runs in a new interpreter: code between fork and exec is unsafe with threads.
_PARENT_DEATH_LAUNCHER: Final = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent process has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


class _Spawner(threading.Thread):
    """A thread that starts the children of all threads.

    For the parent-death signal, the kernel's parent is the thread that forked, not its process: a server started by a
    short-lived thread would be killed when that thread ends. This thread lives as long as the process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(name=f"spawner-{pid}", daemon=True)
        self._jobs: Final[queue.SimpleQueue[_Job]] = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            job, future = self._jobs.get()
            try:
                future.set_result(job())
            except Exception as error:  # noqa: BLE001  # raised in the calling thread
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

    It runs in its own session: Ctrl-C at the terminal does not reach it, so that this process controls its shutdown.

    Parameters
    ----------
    command
        Absolute path of the program and its arguments.
    log
        File for stdout and stderr.
    environment
        Environment variables; by default those of this process.
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
    """Stop a child by SIGTERM, and by SIGKILL if it is alive after `seconds`; return its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def kill_process(process: "subprocess.Popen[bytes]") -> None:
    """Kill a child (SIGKILL), as in a crash, and wait until it has ended."""
    process.kill()
    process.wait()


def wait_until_ready(
    process: "subprocess.Popen[bytes]", is_ready: Callable[[], bool], *, name: str, log: Path, seconds: float
) -> None:
    """Wait until a server responds.

    Raises
    ------
    UserError
        If it exits, or does not respond within `seconds`; the message has the end of its log.
    """
    deadline = time.monotonic() + seconds
    while True:
        ready = is_ready()
        if process.poll() is not None:
            status = process.returncode
            raise UserError(f"{name} exited during startup with status {status}.\n{log_tail(log)}")
        if ready:
            return
        if time.monotonic() > deadline:
            raise UserError(f"{name} did not respond within {seconds:.0f} s of its start.\n{log_tail(log)}")
        time.sleep(POLL_SECONDS)


def describe_exit(code: int) -> str:
    """How a process ended, the predicate of a sentence.

    Examples
    --------
    >>> describe_exit(3), describe_exit(-9)
    ('exited with status 3', 'was killed by SIGKILL')
    """
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"


def log_tail(log: Path, lines: int = 15) -> str:
    """The last lines of a server's log, indented, under a heading that names the file."""
    try:
        text = log.read_bytes()[-64_000:].decode(errors="replace")
    except OSError:
        text = ""
    last_lines = text.splitlines()[-lines:] or ["(nothing)"]
    return f"The end of its log {log}:\n" + "\n".join(f"    {line[:400]}" for line in last_lines)


def free_port() -> int:
    """A free loopback port."""
    for port in random.sample(_PORT_RANGE, 200):
        if is_free(port):
            return port
    raise UserError(
        f"No free port on 127.0.0.1 between {_PORT_RANGE.start} and {_PORT_RANGE.stop}; end a program that uses one."
    )


def is_free(port: int) -> bool:
    """Whether a loopback port is free to bind."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier server in TIME_WAIT do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def send_request(port: int, request: bytes, size: int, *, seconds: float = 1.0) -> bytes:
    """Send a request to a loopback port and read up to `size` bytes; empty without a response."""
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
