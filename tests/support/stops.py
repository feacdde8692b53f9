"""Stops of a worker (SIGSTOP) past its session, and its continuation."""

from collections.abc import Callable

from tests.support.integration_environment import IntegrationEnvironment
from tests.support.worker_handle import WorkerHandle


def start_two_workers(
    environment: IntegrationEnvironment, *faults: tuple[str, ...]
) -> tuple[WorkerHandle, WorkerHandle]:
    """Start two workers that share the partitions.

    Parameters
    ----------
    *faults
        Faults of the first and of the second worker.
    """
    of_first, of_second = faults or ((), ())
    first = environment.start_worker(1, *of_first).wait_until_ready()
    second = environment.start_worker(2, *of_second)
    for worker in (second, first):
        worker.wait_until_ready()
    return first, second


def n_refusals(worker: WorkerHandle) -> float:
    """How often a worker could not write, because others had its partitions; more after each time."""
    # A worker that Kafka refused a record restarts: its metrics start anew, and its log goes on.
    return (
        1e9 * worker.count_logged("was taken over by another worker")
        + worker.metric("headrace_records_dropped_total")
        + worker.metric("headrace_documents_refused_total")
    )


def stop_and_continue(
    stopped: WorkerHandle, other: WorkerHandle, while_stopped: Callable[[], object]
) -> bool:
    """Stop a worker until the other one has taken over its partitions, then let it go on and join again.

    Returns
    -------
    bool
        Whether it tried to write for partitions that it had lost.
    """
    rebalances = other.metric("headrace_rebalances_total")
    refusals = n_refusals(stopped)
    stopped.suspend()
    while_stopped()
    wait_until_rebalanced(other, rebalances)
    rebalances = other.metric("headrace_rebalances_total")
    stopped.resume()
    # It restarts if Kafka refused one of its records, and joins the group again in any case.
    wait_until_rebalanced(other, rebalances)
    stopped.wait_until_ready()
    return n_refusals(stopped) > refusals


def terminate_and_wait(leaving: WorkerHandle, last: WorkerHandle) -> None:
    """Stop a worker (SIGTERM), and wait until the last one has its partitions."""
    rebalances = last.metric("headrace_rebalances_total")
    assert leaving.terminate() == 0, leaving.log
    wait_until_rebalanced(last, rebalances)


def wait_until_rebalanced(worker: WorkerHandle, rebalances: float) -> None:
    """Wait until a worker has had more rebalances, and is ready."""
    worker.wait_until(
        lambda: (
            worker.metric("headrace_rebalances_total") > rebalances and worker.metric("headrace_ready") == 1
        ),
        f"more than {rebalances:g} rebalances, and to be ready",
        seconds=240,
    )
