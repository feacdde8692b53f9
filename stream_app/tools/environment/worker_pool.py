"""Workers as child processes, each with its own folder, log and metrics port."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from stream_app.errors import UserError
from stream_app.tools.embedded.child_process import describe_exit, log_tail, stop_process
from stream_app.tools.environment.child import HeadraceChild
from stream_app.tools.environment.list_quality import ListQuality, mean_list_quality, parse_list_quality
from stream_app.tools.environment.metrics_endpoint import fetch_metrics, parse_samples
from stream_app.tools.environment.neural_stats import (
    NeuralStats,
    combine_neural_stats,
    parse_neural_stats,
)
from stream_app.tools.environment.policy_stats import PolicyStats, parse_policy_stats
from stream_app.tools.environment.worker_metrics import (
    ScrapedMetrics,
    parse_worker_metrics,
    sum_worker_metrics,
)

READY_TIMEOUT: Final = 180.0
"""Seconds until a worker must be ready; the first start on a machine compiles the models' kernels."""

_STOP_SECONDS: Final = 20.0


class WorkerError(UserError):
    """A worker exited or is not ready; the message names its log, which should be kept."""


class WorkerProcess(HeadraceChild):
    """One worker process.

    Parameters
    ----------
    folder
        Folder of its table, snapshots and log.
    settings
        Further settings by field name.
    command
        Command to run; by default this installation's ``headrace worker``.
    """

    def __init__(
        self, number: int, folder: Path, settings: dict[str, object], command: tuple[str, ...] | None = None
    ) -> None:
        super().__init__("worker", folder, f"worker-{number}", settings, command)
        self.number: Final = number
        self._last_metrics = ScrapedMetrics()
        self.policies: Mapping[str, PolicyStats] = {}
        self.quality: tuple[float, ListQuality] = (0.0, ListQuality())
        self.neural = NeuralStats()

    def check(self) -> None:
        """Check that the process is alive.

        Raises
        ------
        WorkerError
            If it exited, with the end of its log.
        """
        code = self.process.poll()
        if code is not None:
            raise WorkerError(f"Worker {self.number} {describe_exit(code)}. {log_tail(self.log_path)}")

    def worker_metrics(self) -> ScrapedMetrics:
        """Current metrics, or the last ones if the worker does not respond in time."""
        text = fetch_metrics(self.port)
        if text is not None:
            samples = parse_samples(text)
            self._last_metrics = parse_worker_metrics(samples)
            self.policies = parse_policy_stats(samples)
            self.quality = parse_list_quality(samples)
            self.neural = parse_neural_stats(samples)
        return self._last_metrics


class WorkerPool:
    """The workers of a run."""

    def __init__(self) -> None:
        self._workers: list[WorkerProcess] = []

    def start(self, worker: WorkerProcess) -> None:
        """Add a worker to the pool."""
        self._workers.append(worker)

    def wait_until_ready(self, *, sleep: Callable[[float], object] = time.sleep) -> None:
        """Wait until every worker owns its partitions and has caught up with the log.

        Raises
        ------
        WorkerError
            If one exits, or is not ready after `READY_TIMEOUT`.
        """
        deadline = time.monotonic() + READY_TIMEOUT
        while self.worker_metrics().ready < len(self._workers):
            if time.monotonic() > deadline:
                not_ready = next(worker for worker in self._workers if worker.worker_metrics().ready < 1)
                tail = log_tail(not_ready.log_path)
                raise WorkerError(
                    f"Worker {not_ready.number} was not ready after {READY_TIMEOUT:.0f} s. {tail}"
                )
            sleep(0.1)

    def worker_metrics(self) -> ScrapedMetrics:
        """Sum of the metrics of all workers.

        Raises
        ------
        WorkerError
            If a worker exited.
        """
        for worker in self._workers:
            worker.check()
        return sum_worker_metrics(worker.worker_metrics() for worker in self._workers)

    @property
    def policies(self) -> Mapping[str, PolicyStats]:
        """Results by policy, from the last metrics of the first worker; all workers expose the same."""
        return self._workers[0].policies if self._workers else {}

    @property
    def quality(self) -> ListQuality:
        """List quality from the last metrics of all workers."""
        return mean_list_quality(worker.quality for worker in self._workers)

    @property
    def neural(self) -> NeuralStats:
        """The two-tower model, from the last metrics of all workers."""
        return combine_neural_stats(worker.neural for worker in self._workers)

    def stop(self) -> None:
        """Terminate all workers, wait, and kill those that do not exit in time."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.terminate()  # all at once, so that they stop in parallel
        for worker in self._workers:
            stop_process(worker.process, seconds=_STOP_SECONDS)
