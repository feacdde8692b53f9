"""What the embedded broker and the embedded Redis have in common."""

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


class PortTakenError(UserError):
    """Another process listens where a server was to listen."""


class EmbeddedServer(ABC):
    """A server in a child process, on a free loopback port, in a folder of its own.

    A context manager: started on entry, stopped on exit.

    Parameters
    ----------
    folder
        Where it keeps its files; by default a new one, removed at `stop`.
    port
        Where it listens on 127.0.0.1; by default a free port.
    keep
        Leave the folder at `stop`; a folder that was given is always left.
    """

    name: str
    """For people."""
    folder_prefix: str
    """For folder names."""
    start_timeout: float
    """How long it may take to answer."""

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
        """How clients name it."""

    @abstractmethod
    def _command(self, progress: StepCallback) -> list[str | Path]:
        """Write the configuration into `folder`; the command that starts the server."""

    @abstractmethod
    def _is_responding(self) -> bool:
        """Whether a request on `port` is answered."""

    @property
    def folder(self) -> Path:
        """Where it keeps its files, while it is started."""
        if self._folder is None:
            raise UserError(f"{self.name} has not been started.")
        return self._folder

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1, while it is started."""
        if self._port is None:
            raise UserError(f"{self.name} has not been started.")
        return self._port

    @property
    def log(self) -> Path:
        """The file that its output goes to."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int | None:
        """Its process id, or None while no process of it is alive."""
        alive = self._process is not None and self._process.poll() is None
        return self._process.pid if alive and self._process is not None else None

    def start(self, progress: StepCallback | None = None) -> None:
        """Start it and wait until it answers; does nothing while it is running.

        Raises
        ------
        UserError
            If what it needs is not installed, or if it does not come up.
        """
        if self.pid is not None:
            return
        on_status = progress or _ignore_status
        if self._folder is not None:  # it was killed: the same folder and port again
            self._launch(on_status)
            return
        try:
            for attempt in range(_MAX_ATTEMPTS):
                self._folder = self._given_folder or scratch_dir(self.folder_prefix)
                self._folder.mkdir(parents=True, exist_ok=True)
                self._port = self._given_port or free_port()
                try:
                    self._launch(on_status)
                except PortTakenError:
                    # Somebody took it between our look and the server's start.
                    if self._given_port or attempt == _MAX_ATTEMPTS - 1:
                        raise
                    self._clear()
                else:
                    return
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it (SIGTERM, later SIGKILL) and remove its folder unless that is to be kept."""
        if self._process is not None:
            stop_process(self._process, seconds=STOP_SECONDS)
        self._clear()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL); its folder and port stay, for `start` to use again.

        A killed Kafka takes some 10 s to come back: it waits until its own earlier registration has lapsed.
        """
        if self._process is not None:
            kill_process(self._process)
            self._process = None

    def pause(self) -> None:
        """Stop it in good order, but keep its folder and port, for `start` to use again."""
        if self._process is not None:
            stop_process(self._process, seconds=STOP_SECONDS)
            self._process = None

    def restart(self, progress: StepCallback | None = None) -> None:
        """Stop it in good order and start it again on the same folder and port."""
        self.pause()
        self.start(progress)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, progress: StepCallback) -> None:
        # Else the other server's answer would be taken for ours.
        if not is_free(self.port):
            raise PortTakenError(f"{self.name} cannot listen on 127.0.0.1:{self.port}: another process does.")
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
                raise PortTakenError(f"{self.name} lost 127.0.0.1:{self.port} to another process.") from None
            raise

    def _clear(self) -> None:
        folder = self._folder
        self._process = self._folder = self._port = None
        if folder is not None and self._given_folder is None and not self._keep_folder:
            shutil.rmtree(folder, ignore_errors=True)


def _ignore_status(message: str) -> None:
    """Progress that nobody watches."""
