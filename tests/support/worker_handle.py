"""Worker processes of the integration tests, and waiting with a deadline."""

import math
import os
import re
import signal
import time
from collections.abc import Callable
from typing import Final, Self

from stream_app.errors import UserError
from stream_app.tools.embedded.child_process import kill_process, log_tail, stop_process
from stream_app.tools.environment.metrics_endpoint import fetch_metrics
from stream_app.tools.environment.worker_pool import WorkerProcess

_POLL: Final = 0.05
_LONGEST_POLL: Final = 0.3
"""Where a look takes long, on a busy machine, there are fewer: they would keep the machine busy."""

_START_SECONDS: Final = 240.0
"""Deadline of a start; deadlines are generous, so that tests pass on a machine with a load of 10."""

_STOP_SECONDS: Final = 120.0
_METRICS_TIMEOUT: Final = 60.0

# A regular expression, because metrics are polled every 50 ms and prometheus_client's parser is slower.
_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)

_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def wait_until(condition: Callable[[], object], description: str, *, seconds: float) -> None:
    """Poll until `condition` holds; fail with `description` after `seconds`."""
    now = time.monotonic()
    deadline = now + seconds
    while not condition():
        looked_at, now = now, time.monotonic()
        if now > deadline:
            raise AssertionError(f"not reached within {seconds:.0f} s: {description}")
        time.sleep(min(max(_POLL, 2.0 * (now - looked_at)), _LONGEST_POLL))
        now = time.monotonic()


def _parse(text: str) -> list[tuple[str, dict[str, str], float]]:
    return [
        (name, dict(_LABEL.findall(labels)), float(value)) for name, labels, value in _SAMPLE.findall(text)
    ]


class WorkerHandle:
    """A ``headrace worker`` process."""

    def __init__(self, process: WorkerProcess) -> None:
        self._worker: Final = process

    @property
    def pid(self) -> int:
        return int(self._worker.process.pid)

    @property
    def port(self) -> int:
        """Of its metrics and probes."""
        return self._worker.port

    @property
    def alive(self) -> bool:
        return self._worker.process.poll() is None

    @property
    def log(self) -> str:
        """The end of its log, for messages."""
        return log_tail(self._worker.log_path, 40)

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """All samples of /metrics; empty while the worker does not respond."""
        return self._samples() or []

    def _samples(self, *names: str) -> list[tuple[str, dict[str, str], float]] | None:
        text = fetch_metrics(self._worker.port, *names, timeout=_METRICS_TIMEOUT)
        return None if text is None else _parse(text)

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric with these labels; NaN without a response, which no condition accepts.

        Fails if the worker has exited.
        """
        self._check_alive()
        samples = self._samples(name)
        if samples is None:
            return math.nan
        return sum(
            value
            for found, sample_labels, value in samples
            if found == name and all(sample_labels.get(label) == wanted for label, wanted in labels.items())
        )

    def events(self, outcome: str) -> float:
        """Events of all topics with an outcome."""
        return self.metric("headrace_events_total", outcome=outcome)

    def wait_until(
        self, condition: Callable[[], object], description: str, *, seconds: float = 120.0
    ) -> None:
        """Poll until `condition` holds; fail at once with the log if the worker exits."""

        def check_then_condition() -> object:
            self._check_alive()
            return condition()

        try:
            wait_until(check_then_condition, description, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._metrics_summary()}\n{self.log}") from None

    def wait_until_ready(self) -> Self:
        """Wait until it owns its partitions and has caught up with the log."""
        self.wait_until(
            lambda: self.metric("headrace_ready") == 1, "the worker to be ready", seconds=_START_SECONDS
        )
        return self

    def has_logged(self, text: str) -> bool:
        """Whether the text is anywhere in its log."""
        return self.count_logged(text) > 0

    def count_logged(self, text: str) -> int:
        """How often the text is in its log."""
        return self._worker.log_path.read_text(errors="replace").count(text)

    def wait_until_killed(self, description: str, *, seconds: float = _START_SECONDS) -> None:
        """Wait until it has died by a SIGKILL of its own (`tests.support.faulty_worker`)."""
        process = self._worker.process
        try:
            wait_until(lambda: process.poll() is not None, description, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._metrics_summary()}\n{self.log}") from None
        assert process.returncode == -signal.SIGKILL, f"{description}: exit {process.returncode}\n{self.log}"

    def kill(self) -> None:
        """Kill it (SIGKILL), as in a crash."""
        assert self.alive, f"the worker exited before it was killed\n{self.log}"
        kill_process(self._worker.process)

    def suspend(self) -> None:
        """Stop it (SIGSTOP): it answers nothing until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> int:
        """Terminate it and return its exit status, which is that of SIGKILL if it does not exit in time."""
        return stop_process(self._worker.process, seconds=_STOP_SECONDS)

    def _metrics_summary(self) -> str:
        messages = [
            f"{name}{labels or ''}={value:g}"
            for name, labels, value in self.metrics()
            if value and name.startswith("headrace_") and not name.endswith(("_bucket", "_created", "_bytes"))
        ]
        return "Metrics: " + ", ".join(messages)

    def _check_alive(self) -> None:
        try:
            self._worker.check()
        except UserError as error:
            raise AssertionError(f"{error}\n{self.log}") from None
