"""Worker processes: start, health and stop. A small script replaces the worker command."""

import sys
import time
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.tools.environment.worker_pool import WorkerPool, WorkerProcess

SERVER = """
import http.server, os
ready = 0
class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global ready
        lines = (
            f"headrace_ready {ready}",
            'headrace_lists_published_total{kind="user"} 4',
            "headrace_exposure_gini_ratio 0.25",
            'headrace_policy_share_ratio{policy="fixed"} 1',
            "headrace_neural_model_age_seconds 4",
            "",
        )
        body = "\\n".join(lines).encode()
        ready = 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["HEADRACE_METRICS_PORT"])), Metrics).serve_forever()
"""


def worker(folder: Path, code: str) -> WorkerProcess:
    return WorkerProcess(1, folder, {"broker": "127.0.0.1:1"}, (sys.executable, "-c", code))


def wait_until_exit(process: WorkerProcess) -> None:
    deadline = time.monotonic() + 20
    while process.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_worker_is_ready_by_its_gauge_reports_metrics_and_ends_on_stop(
    tmp_path: Path,
) -> None:
    workers = WorkerPool()
    started = worker(tmp_path, SERVER)
    workers.start(started)
    try:
        workers.wait_until_ready()
        assert workers.worker_metrics().ready == 1
        assert workers.quality.gini == 0.25
        assert workers.policies["fixed"].share == 1.0
        assert workers.neural.age_seconds == 4.0
    finally:
        workers.stop()

    assert started.process.returncode == -15


def test_each_worker_has_its_own_settings_in_the_environment(tmp_path: Path) -> None:
    code = "import os; print({k: v for k, v in os.environ.items() if k.startswith('HEADRACE_')})"
    started = worker(tmp_path, code)
    wait_until_exit(started)

    log = started.log_path.read_text()
    assert "'HEADRACE_BROKER': '127.0.0.1:1'" in log
    assert f"'HEADRACE_DATA_DIR': '{tmp_path / 'worker-1'}'" in log
    assert f"'HEADRACE_METRICS_PORT': '{started.port}'" in log


def test_a_worker_that_exits_is_reported_with_the_tail_of_its_log(tmp_path: Path) -> None:
    workers = WorkerPool()
    workers.start(worker(tmp_path, "import sys; print('no topics here'); sys.exit(3)"))

    with pytest.raises(UserError, match=r"(?s)Worker 1 exited with status 3.*no topics here"):
        workers.wait_until_ready()
    workers.stop()


def test_a_killed_worker_is_reported(tmp_path: Path) -> None:
    workers = WorkerPool()
    started = worker(tmp_path, "import time; time.sleep(60)")
    workers.start(started)
    started.process.kill()
    wait_until_exit(started)

    with pytest.raises(UserError, match="Worker 1 was killed by SIGKILL"):
        workers.worker_metrics()
    workers.stop()
