"""Promise: a worker may be killed at any moment; what it did is neither lost nor done twice."""

from pathlib import Path
from typing import Final

import numpy as np
import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE, RATE, reference_outcome
from tests.support.generated_log import generate_log
from tests.support.integration_environment import clean_environment
from tests.support.log_feeder import LogFeeder
from tests.support.reacting_users import REACTING, with_reactions
from tests.support.run_outcome import assert_same_outcome, read_outcome, wait_until_settled

N_KILLS: Final = 20
N_EVENTS: Final = 9_000

MOMENTS: Final = {
    "between_changelog_and_interaction": range(5, 9),
    "between_interaction_and_changelog": range(5, 9),
    "between_interaction_and_reward": range(5, 7),
    "between_row_and_records": range(1, 150),
    "before_the_commit": range(1, 2),
    "in_a_recovery": range(1, 4),
    "while_catching_up": range(1, 2),
    "between_lists_and_redis": range(1, 6),
    "after_redis": range(1, 6),
    "in_a_snapshot": range(1, 3),
}
"""The moments of `tests.support.faulty_worker`, and which time of each a kill may be at: the worker gets there with
the events of one kill. The first four batches of a log are markers of its owner."""


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1])
def test_a_worker_killed_twenty_times_has_the_outcome_of_the_reference_run(
    servers: EmbeddedServers, tmp_path: Path, seed: int
) -> None:
    """Promise: rows, interactions, rewards, models and lists are those of a run without a kill, erased users gone."""
    rng = np.random.default_rng(seed)
    log = generate_log(N_EVENTS)
    expected = reference_outcome(servers, tmp_path / "reference", log, reactions=True)
    # Each moment at least twice, in a seeded order.
    order = [name for _ in range(1 + N_KILLS // len(MOMENTS)) for name in rng.permutation(list(MOMENTS))]
    with clean_environment(
        servers, tmp_path / "killed", models=ADDITIVE, snapshot_interval=0.5, **REACTING
    ) as environment:
        worker = environment.start_worker().wait_until_ready()
        log = with_reactions(environment, log, worker)
        worker.kill()
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.05) as feed:
            for kill, moment in enumerate(order[:N_KILLS]):
                n = int(rng.choice(MOMENTS[moment]))
                worker = environment.start_worker(1, f"kill={moment}:{n}")
                # The rest of the log waits for the next worker.
                feed.advance_to((kill + 2) / (N_KILLS + 2))
                worker.wait_until_killed(f"death no. {n} {moment}")
        worker = environment.start_worker().wait_until_ready()
        wait_until_settled(environment, worker, log, seconds=400)
        actual = read_outcome(environment, log, models_of=1)
    assert_same_outcome(actual, expected)
