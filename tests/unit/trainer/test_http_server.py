"""The paths of a trainer's HTTP server."""

import http.client

import pytest
from prometheus_client import CollectorRegistry, Gauge

from stream_app.errors import UserError
from stream_app.trainer.http_server import serve


class Probe:
    """A server whose health is set by the test."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        Gauge("shop_open", "1 while it is.", registry=registry).set(1)
        self.problem = ""
        self.port = serve(registry, lambda: self.problem, "127.0.0.1", 0)

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30.0)
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe()


def test_metrics_alone_has_metrics(probe: Probe) -> None:
    status, text = probe.get("/metrics")
    assert status == 200
    assert "shop_open 1.0" in text
    for path in ("/", "/healthz", "/metrics/x"):
        assert "shop_open" not in probe.get(path)[1]


def test_health_says_what_is_wrong(probe: Probe) -> None:
    probe.problem = ""
    assert probe.get("/healthz") == (200, "ok\n")
    probe.problem = "the logs were not read for 121 s"
    assert probe.get("/healthz") == (503, "the logs were not read for 121 s\n")


def test_other_paths_are_not_found(probe: Probe) -> None:
    assert probe.get("/")[0] == 404


def test_a_port_in_use_is_a_clear_error(probe: Probe) -> None:
    with pytest.raises(UserError, match="HEADRACE_METRICS_PORT"):
        serve(CollectorRegistry(), str, "127.0.0.1", probe.port)
