"""Promise: a wall clock that jumps by hours loses no event, brings no erased user back, and stops no list."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from stream_app.client.redis_contract import item_key, popular_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE, EVENTS, reference_outcome
from tests.support.erased_users import keys_of_erased
from tests.support.generated_log import generate_log
from tests.support.integration_environment import IntegrationEnvironment, clean_environment, send_click
from tests.support.log_feeder import LogFeeder
from tests.support.reacting_users import REACTING, with_reactions
from tests.support.run_outcome import assert_same_outcome, read_outcome, wait_until_settled
from tests.support.stops import start_two_workers, stop_and_continue, terminate_and_wait
from tests.support.worker_handle import WorkerHandle
from topics.records import ListedItem

HOUR: Final = 3_600.0
JUMPS: Final = (5 * HOUR, -5 * HOUR, 26 * HOUR, -0.5 * HOUR)
RATE: Final = 600.0


class WallClock:
    """The wall clock of a worker."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.jump_to(0.0)

    @property
    def fault(self) -> str:
        """The argument of `tests.support.faulty_worker`."""
        return f"clock={self._path}"

    def jump_to(self, seconds: float) -> None:
        """Let the clock be ahead by `seconds` from now on."""
        temporary = self._path.with_suffix(".writing")
        temporary.write_text(str(seconds))
        temporary.replace(self._path)


def wait_for_more(
    environment: IntegrationEnvironment, workers: Sequence[WorkerHandle], n_events: int
) -> None:
    """Wait until the workers have accepted that many more events, or all that were sent."""

    def accepted() -> float:
        return sum(worker.events("accepted") for worker in workers)

    before = accepted()
    workers[0].wait_until(
        lambda: accepted() > before + n_events or environment.uncommitted() == 0, "more events", seconds=240
    )


def wait_until_idle(worker: WorkerHandle) -> None:
    """Wait until all lists are published, and all lists of erased users are deleted."""
    worker.wait_until(
        lambda: (
            worker.metric("headrace_ready") == 1
            and worker.metric("headrace_pending_users") == 0
            and worker.metric("headrace_pending_erasures") == 0
        ),
        "no pending user and no pending erasure",
        seconds=240,
    )


@pytest.mark.faults
def test_clock_jumps_have_the_outcome_of_the_reference_run(servers: EmbeddedServers, tmp_path: Path) -> None:
    """Promise: rows, models and lists are those of a run with a right clock; the fence and the lease hold."""
    log = generate_log(EVENTS)
    expected = reference_outcome(servers, tmp_path / "reference", log, reactions=True)
    with clean_environment(
        servers, tmp_path / "jumps", models=ADDITIVE, snapshot_interval=1.5, **REACTING
    ) as environment:
        clocks = [WallClock(tmp_path / f"clock-{number}") for number in (1, 2)]
        workers = start_two_workers(environment, *((clock.fault,) for clock in clocks))
        log = with_reactions(environment, log, *workers)
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.1) as feed:
            for number, seconds in enumerate(JUMPS):
                clock = clocks[number % 2]
                clock.jump_to(seconds)
                feed.advance_to((number + 2) / (len(JUMPS) + 2))
                wait_for_more(environment, workers, 200)
                # The worker with the wrong clock is stopped past its session: it must not believe that it is owner.
                stop_and_continue(
                    workers[number % 2], workers[1 - number % 2], lambda: clocks[0].jump_to(-3 * HOUR)
                )
        last, other = workers
        last.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        for worker in workers:
            wait_until_idle(worker)
        assert not keys_of_erased(environment, log.erased)
        terminate_and_wait(other, last)
        wait_until_settled(environment, last, log, seconds=400)
        assert_same_outcome(read_outcome(environment, log, models_of=1), expected)


@pytest.mark.faults
def test_shared_lists_are_renewed_after_a_jump_back(servers: EmbeddedServers, tmp_path: Path) -> None:
    """Promise: lists of items and popular lists follow the events also while the clock is behind by hours."""
    clock = WallClock(tmp_path / "clock")
    with clean_environment(servers, tmp_path / "worker", models=ADDITIVE) as environment:
        worker = environment.start_worker(1, clock.fault).wait_until_ready()
        for number, seconds in enumerate((0.0, 5 * HOUR, -5 * HOUR, 0.0)):
            clock.jump_to(seconds)
            for user in ("ann", "bob"):
                for item in ("shoe", f"item {number}"):
                    send_click(environment, user, item, event_id=f"{user} {item} {number}")
            worker.wait_until(
                lambda item=f"item {number}": (  # type: ignore[misc]  # bound now
                    environment.read_list(item_key(item)) is not None
                    and item in {each.id for each in listed(environment, popular_key())}
                ),
                f"the lists to have the item that was clicked at {seconds:+.0f} s",
            )


def listed(environment: IntegrationEnvironment, key: str) -> Sequence[ListedItem]:
    found = environment.read_list(key)
    return () if found is None else found.items
