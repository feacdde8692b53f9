"""Promise: each reaction is rewarded once, whenever the worker is killed."""

from pathlib import Path
from typing import Final

import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.integration.test_rewards_after_crash import (
    SETTINGS,
    assert_same_rewards,
    check_reference,
    run,
)
from tests.support.integration_environment import clean_environment

MOMENTS: Final = (
    "between_interaction_and_reward:5",
    "between_changelog_and_interaction:6",
    "before_the_commit:1",
    "between_interaction_and_reward:7",
    "between_interaction_and_changelog:5",
    "between_lists_and_redis:3",
)
"""The first four batches of a log are markers of its owner."""


@pytest.mark.faults
def test_a_worker_killed_between_the_records_of_a_reaction_has_the_rewards_of_the_reference_run(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: rewards, with their lists, values and positions, are those of a run without a kill."""
    with clean_environment(servers, tmp_path / "reference", **SETTINGS) as environment:
        expected = run(environment)
    check_reference(expected)
    with clean_environment(servers, tmp_path / "killed", **SETTINGS, snapshot_interval=1.0) as environment:
        actual = run(environment, moments=MOMENTS)
    assert_same_rewards(actual, expected)
