"""Promise: events that are late, sent twice or in another order make the same rows (decision 13)."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pytest
from msgspec import structs

from state.row import UserRow
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE
from tests.support.erased_users import keys_of_erased
from tests.support.generated_log import generate_log
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, sent
from tests.support.log_feeder import LogFeeder
from tests.support.run_outcome import deduplicate
from topics.events import Click, Erasure, Search
from topics.records import Interaction

N_EVENTS: Final = 3_000
RATE: Final = 1_500.0
MAX_DELAY: Final = 300
"""Records by which an event may be late."""


def disordered(records: Sequence[KafkaRecord], seed: int) -> list[KafkaRecord]:
    """The records in another order, half of them twice."""
    rng = np.random.default_rng(seed)
    n = len(records)
    repeated = np.flatnonzero(rng.random(n) < 0.5)
    numbers = np.concatenate([np.arange(n), repeated])
    order = np.argsort(numbers + rng.uniform(0, MAX_DELAY, len(numbers)), kind="stable")
    return [records[number] for number in numbers[order]]


class Content(NamedTuple):
    """What is the same whatever the order of the events."""

    rows: dict[str, UserRow]
    """Without offsets and event ids."""
    interactions: Counter[bytes]
    """Encoded, without offsets."""
    users_with_a_list: set[str]


def run(environment: IntegrationEnvironment, records: Sequence[KafkaRecord], users: set[str]) -> Content:
    worker = environment.start_worker().wait_until_ready()
    with LogFeeder(environment, records, rate=RATE):
        pass
    worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
    worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no pending user")
    assert worker.events("accepted") + worker.events("duplicate") == len(records)
    assert worker.events("dead_lettered") == 0
    of_records: dict[str, Any] = {"watermarks": (), "ring": b"", "partition": 0}
    return Content(
        {user: structs.replace(row, **of_records) for user, row in environment.rows().items()},
        Counter(
            msgspec.msgpack.encode(structs.replace(interaction, offset=0))
            for interaction, _ in newest(environment)
        ),
        set(environment.user_lists(users)),
    )


def newest(environment: IntegrationEnvironment) -> list[tuple[Interaction, bytes]]:
    """The interactions on the log, each once."""
    found = environment.interactions()
    assert len(deduplicate(found)) == len(found)
    return found


@pytest.mark.faults
def test_events_that_are_read_after_a_later_erasure_bring_no_user_back(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: in whichever order a backlog is read, an erased user has no row and no list."""
    now = int(time.time() * 1000)
    erased, others = ([f"{kind} {n}" for n in range(40)] for kind in ("erased", "other"))
    with clean_environment(servers, tmp_path, models=ADDITIVE) as environment:
        # The erasures are on the log first, as if the clicks were far behind.
        environment.send(sent(Erasure, user, ts=now) for user in erased)
        environment.send(
            record
            for user in (*erased, *others)
            for record in (
                sent(Click, user, ts=now - 1_002, item_id="item 1"),
                sent(Click, user, ts=now - 1_001, item_id="item 2"),
                sent(Search, user, ts=now - 1_000, query="words"),
            )
        )
        worker = environment.start_worker().wait_until_ready()
        worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
        worker.wait_until(lambda: len(environment.user_lists(others)) == len(others), "lists of the others")
        worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no pending user")
        assert worker.events("erased") == 3 * len(erased)
        assert not keys_of_erased(environment, set(erased))
        assert not {user for user, row in environment.rows().items() if row.counts.total} & set(erased)
        environment.send(sent(Click, user, item_id="item 3") for user in erased)
        worker.wait_until(
            lambda: len(environment.user_lists(erased)) == len(erased), "lists of the users who returned"
        )


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1])
def test_late_repeated_and_reordered_events_make_the_same_rows(
    servers: EmbeddedServers, tmp_path: Path, seed: int
) -> None:
    """Promise: each event counts once; sessions, counts, recent and bought items do not depend on the order."""
    log = generate_log(N_EVENTS)
    with clean_environment(servers, tmp_path / "ordered", models=ADDITIVE) as environment:
        expected = run(environment, log.records, log.users)
    records = disordered(log.records, seed)
    assert len(records) > 1.4 * N_EVENTS
    with clean_environment(servers, tmp_path / "disordered", models=ADDITIVE) as environment:
        actual = run(environment, records, log.users)
    assert len(expected.rows) == len(log.users)
    assert sum(actual.interactions.values()) == log.n_accepted
    assert actual.interactions == expected.interactions
    differences = {
        user: (row, expected.rows[user]) for user, row in actual.rows.items() if row != expected.rows[user]
    }
    assert not differences, f"{len(differences)} rows differ: {next(iter(differences.items()))}"
    assert actual.users_with_a_list == expected.users_with_a_list == log.users
