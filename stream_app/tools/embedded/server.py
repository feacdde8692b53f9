"""Base class of the embedded broker and the embedded Redis."""

import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final, Self

from stream_app.errors import UserError
from stream_app.settings import scratch_dir
from stream_app.tools.embedded.child_process import (
    STOP_SECONDS,
    StepCallback,
    free_port,
    is_free,
    kill_process,
    start_process,
    stop_process,
    wait_until_ready,
)

_MAX_ATTEMPTS: Final = 3


class PortInUseError(UserError):
    """Another process listens on the server's port."""


class EmbeddedServer(ABC):
    """A server in a child process, on a free loopback port, with its own folder.

    A context manager that starts it on entry and stops it on exit.

    Parameters
    ----------
    folder
        Folder of its files; by default a new one that `stop` removes.
    port
        Port on 127.0.0.1; by default a free one.
    keep
        Keep a new folder at `stop`; a given folder is always kept.
    """

    name: str
    """Name in messages."""
    folder_prefix: str
    """Prefix of the name of a new folder."""
    start_timeout: float
    """Seconds until the server must respond."""
    stop_seconds: float = STOP_SECONDS
    """Seconds until a server that does not end is killed."""

    def __init__(self, *, folder: Path | None = None, port: int | None = None, keep: bool = False) -> None:
        self._given_folder: Final = folder
        self._given_port: Final = port
        self._keep_folder: Final = keep
        self._folder: Path | None = None
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def address(self) -> str:
        """Address for clients."""

    @abstractmethod
    def _command(self, progress: StepCallback) -> list[str | Path]:
        """Write the configuration to `folder` and return the command that starts the server."""

    @abstractmethod
    def _is_responding(self) -> bool:
        """Whether the server responds to a request on `port`."""

    @property
    def folder(self) -> Path:
        """Folder of its files, once it is started."""
        if self._folder is None:
            raise UserError(f"{self.name} has not been started.")
        return self._folder

    @property
    def port(self) -> int:
        """Port on 127.0.0.1, once it is started."""
        if self._port is None:
            raise UserError(f"{self.name} has not been started.")
        return self._port

    @property
    def log(self) -> Path:
        """File of its output."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int | None:
        """Its process id; None if the process is not alive."""
        alive = self._process is not None and self._process.poll() is None
        return self._process.pid if alive and self._process is not None else None

    def start(self, progress: StepCallback | None = None) -> None:
        """Start it and wait until it responds; does nothing while it is running.

        Raises
        ------
        UserError
            If its binaries are not installed, or it does not start.
        """
        if self.pid is not None:
            return
        on_status = progress or _ignore_status
        if self._folder is not None:  # restart after a kill: the same folder and port
            self._launch(on_status)
            return
        try:
            for attempt in range(_MAX_ATTEMPTS):
                self._folder = self._given_folder or scratch_dir(self.folder_prefix)
                self._folder.mkdir(parents=True, exist_ok=True)
                self._port = self._given_port or free_port()
                try:
                    self._launch(on_status)
                except PortInUseError:
                    # Another process took the port between our check and the server's start.
                    if self._given_port or attempt == _MAX_ATTEMPTS - 1:
                        raise
                    self._clear()
                else:
                    return
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it (SIGTERM, then SIGKILL) and remove its folder unless it is to be kept."""
        if self._process is not None:
            stop_process(self._process, seconds=self.stop_seconds)
        self._clear()

    def kill(self) -> None:
        """Kill it (SIGKILL), as in a crash; `start` uses its folder and port again.

        A killed Kafka needs about 10 s to restart: it waits until its previous registration has expired.
        """
        if self._process is not None:
            kill_process(self._process)
            self._process = None

    def pause(self) -> None:
        """Stop it cleanly; `start` uses its folder and port again."""
        if self._process is not None:
            stop_process(self._process, seconds=self.stop_seconds)
            self._process = None

    def restart(self, progress: StepCallback | None = None) -> None:
        """Stop it cleanly and start it again with the same folder and port."""
        self.pause()
        self.start(progress)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, progress: StepCallback) -> None:
        # Otherwise the readiness check would accept the other server's response.
        if not is_free(self.port):
            raise PortInUseError(
                f"{self.name} cannot listen on 127.0.0.1:{self.port}: another process uses the port."
            )
        command = self._command(progress)
        progress(f"Starting {self.name}")
        with self.log.open("ab") as log:
            self._process = start_process(command, log=log, folder=self.folder)
        try:
            wait_until_ready(
                self._process, self._is_responding, name=self.name, log=self.log, seconds=self.start_timeout
            )
        except BaseException:
            kill_process(self._process)
            self._process = None
            if b"address already in use" in self.log.read_bytes().lower():
                raise PortInUseError(
                    f"Another process took {self.name}'s port 127.0.0.1:{self.port}."
                ) from None
            raise

    def _clear(self) -> None:
        folder = self._folder
        self._process = self._folder = self._port = None
        if folder is not None and self._given_folder is None and not self._keep_folder:
            shutil.rmtree(folder, ignore_errors=True)


def _ignore_status(message: str) -> None:
    """Discard a progress message."""
