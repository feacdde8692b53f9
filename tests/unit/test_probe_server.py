"""The paths of the HTTP server of workers and trainers."""

import http.client

import pytest
from prometheus_client import CollectorRegistry, Gauge

from stream_app.errors import UserError
from stream_app.probe_server import serve


class Probe:
    """A server whose health is set by the test."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        Gauge("shop_open", "1 while it is.", registry=registry).set(1)
        self.problem = ""
        self.port = serve(registry, {"/livez": str, "/readyz": lambda: self.problem}, "127.0.0.1", 0)

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
    for path in ("/", "/livez", "/readyz", "/metrics/x"):
        assert "shop_open" not in probe.get(path)[1]


def test_a_probe_says_what_is_wrong(probe: Probe) -> None:
    probe.problem = ""
    assert probe.get("/readyz") == (200, "ok\n")
    probe.problem = "the logs were not read for 121 s"
    assert probe.get("/readyz") == (503, "the logs were not read for 121 s\n")
    assert probe.get("/livez") == (200, "ok\n")


def test_other_paths_are_not_found(probe: Probe) -> None:
    status, text = probe.get("/")
    assert (status, text) == (404, "not found; the paths are /metrics, /livez, /readyz\n")


def test_a_port_in_use_is_a_clear_error(probe: Probe) -> None:
    with pytest.raises(UserError, match="HEADRACE_METRICS_PORT"):
        serve(CollectorRegistry(), {}, "127.0.0.1", probe.port)
