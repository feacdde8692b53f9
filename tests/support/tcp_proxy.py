"""A TCP proxy on loopback: an address that can lead to another server, or be slow."""

import socket
import threading
import time
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 65_536


class TcpProxy(AbstractContextManager["TcpProxy"]):
    """Forwards connections to a server.

    Attributes
    ----------
    delay
        Seconds that each piece of a reply waits.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.delay = 0.0

    @property
    def port(self) -> int:
        """Port on 127.0.0.1."""
        return int(self._server.getsockname()[1])

    def lead_to(self, upstream: int) -> None:
        """Lead to another port from now on, and break all connections."""
        self._upstream = upstream
        self._break_all()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A thread that waits in accept() is only woken by a shutdown.
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._break_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream), timeout=5.0)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets |= {client, server}
            for source, target, is_reply in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._forward, args=(source, target, is_reply), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, is_reply: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if is_reply and self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        self._close(source, target)

    def _break_all(self) -> None:
        with self._lock:
            sockets = tuple(self._sockets)
        self._close(*sockets)

    def _close(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._sockets -= set(sockets)
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
