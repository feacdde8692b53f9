"""Serves /metrics and the probes of a process from a thread of its own: they answer while everything else is busy."""

from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from stream_app.errors import UserError

Probe = Callable[[], str]
"""What is wrong, in words; empty if nothing is."""

_METRICS: Final = "/metrics"
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name of the base class
        """Log no requests: a probe comes every few seconds."""


def application(registry: CollectorRegistry, probes: Mapping[str, Probe]) -> Callable[..., Iterable[bytes]]:
    """A WSGI application with the metrics and a path per probe."""
    metrics = make_wsgi_app(registry)
    paths = ", ".join((_METRICS, *sorted(probes)))

    def respond(request: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = request.get("PATH_INFO", "")
        if path == _METRICS:
            found: Iterable[bytes] = metrics(request, start_response)
            return found
        probe = probes.get(path)
        if probe is None:
            start_response("404 Not Found", [_TEXT])
            return [f"not found; the paths are {paths}\n".encode()]
        problem = probe()
        start_response("503 Service Unavailable" if problem else "200 OK", [_TEXT])
        return [f"{problem or 'ok'}\n".encode()]

    return respond


def serve(registry: CollectorRegistry, probes: Mapping[str, Probe], host: str, port: int) -> int:
    """Serve until the process ends, and return the port.

    Parameters
    ----------
    probes
        By path, ``/livez``: a probe answers 200 and ``ok``, or 503 and what is wrong.
    host, port
        Address to listen on; port 0 selects a free one.

    Raises
    ------
    UserError
        If the address cannot be used.
    """
    try:
        server = make_server(host, port, application(registry, probes), _Server, _QuietHandler)
    except OSError as error:
        raise UserError(
            f"/metrics cannot be served at {host}:{port} ({error.strerror}). Set HEADRACE_METRICS_PORT; 0 selects a "
            "free port."
        ) from None
    Thread(target=server.serve_forever, daemon=True, name="metrics").start()
    return int(server.server_port)
