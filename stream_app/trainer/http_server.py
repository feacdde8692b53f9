"""Serves /metrics and /healthz from a thread of its own, so that they answer while everything else is busy."""

from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from stream_app.errors import UserError

Health = Callable[[], str]
"""What is wrong, in words; empty if nothing is."""

_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name of the base class
        """Log no requests: a probe comes every few seconds."""


def application(registry: CollectorRegistry, health: Health) -> Callable[..., Iterable[bytes]]:
    """A WSGI application with the two paths."""
    metrics = make_wsgi_app(registry)

    def respond(request: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = request.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(request, start_response)
            return found
        if path != "/healthz":
            start_response("404 Not Found", [_TEXT])
            return [b"there are /metrics and /healthz\n"]
        problem = health()
        start_response("503 Service Unavailable" if problem else "200 OK", [_TEXT])
        return [f"{problem or 'ok'}\n".encode()]

    return respond


def serve(registry: CollectorRegistry, health: Health, host: str, port: int) -> int:
    """Serve until the process ends, and return the port.

    Raises
    ------
    UserError
        If the address cannot be used.
    """
    try:
        server = make_server(host, port, application(registry, health), _Server, _QuietHandler)
    except OSError as error:
        raise UserError(
            f"/metrics cannot be served at {host}:{port} ({error.strerror}). Set HEADRACE_METRICS_PORT; 0 selects a "
            "free port."
        ) from None
    Thread(target=server.serve_forever, daemon=True, name="metrics").start()
    return int(server.server_port)
