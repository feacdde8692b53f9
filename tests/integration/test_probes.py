"""An orchestrator sees by the probes of a worker what it is doing."""

import http.client
from pathlib import Path

import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import PARTITIONS, clean_environment
from tests.support.worker_handle import WorkerHandle


def get(worker: WorkerHandle, path: str) -> tuple[int, str]:
    """Status and text of a path; status 0 while the worker does not listen yet."""
    connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=30.0)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except ConnectionError:
        return 0, ""
    finally:
        connection.close()


@pytest.mark.integration
def test_the_probes_of_a_worker_follow_its_start(servers: EmbeddedServers, tmp_path: Path) -> None:
    with clean_environment(servers, tmp_path, log_level="WARNING") as environment:
        worker = environment.start_worker()
        worker.wait_until(lambda: get(worker, "/readyz")[0], "the worker to listen")
        status, stage = get(worker, "/readyz")
        # It listens before it compiles and joins: it cannot be ready at once.
        assert status == 503, stage
        assert get(worker, "/livez") == (200, "ok\n")
        worker.wait_until_ready()
        worker.wait_until(lambda: get(worker, "/readyz") == (200, "ok\n"), "the probe to agree")
        assert get(worker, "/livez") == (200, "ok\n")
        worker.wait_until(lambda: worker.has_logged(f": {PARTITIONS} partitions, 0 users"), "its line")
        assert get(worker, "/")[0] == 404
        assert "headrace_ready 1.0" in get(worker, "/metrics")[1]
        assert worker.terminate() == 0
