"""Promise: the first record of a partition is processed, also if it arrives while partitions move."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from stream_app.kafka.partitioning import partition_of_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import SETTINGS
from tests.support.integration_environment import PARTITIONS, IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, sent
from tests.support.worker_handle import WorkerHandle
from topics.events import Click, Erasure, Feedback, FeedbackKind, OrderLine, Purchase, Search

_numbers: Final = count()


def new_users() -> list[str]:
    """One new user of each partition."""
    found: dict[int, str] = {}
    while len(found) < PARTITIONS:
        user_id = f"user-{next(_numbers)}"
        found.setdefault(partition_of_key(user_id.encode(), PARTITIONS), user_id)
    return [found[each] for each in range(PARTITIONS)]


def clicks(users: Iterable[str]) -> Iterator[KafkaRecord]:
    return (sent(Click, user_id, item_id="shoe") for user_id in users)


def searches(users: Iterable[str]) -> Iterator[KafkaRecord]:
    return (sent(Search, user_id, query="shoes") for user_id in users)


def opinions(users: Iterable[str]) -> Iterator[KafkaRecord]:
    return (sent(Feedback, user_id, item_id="shoe", kind=FeedbackKind.LIKE) for user_id in users)


def purchases(users: Iterable[str]) -> Iterator[KafkaRecord]:
    lines = [OrderLine(item_id="shoe", price=5.0, quantity=1)]
    return (sent(Purchase, user_id, order_id=f"of {user_id}", items=lines) for user_id in users)


def erasures(users: Iterable[str]) -> Iterator[KafkaRecord]:
    return (sent(Erasure, user_id) for user_id in users)


@pytest.mark.faults
def test_the_first_records_of_partitions_that_arrive_in_a_rebalance_are_processed(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """A fetch that began before the revocation returns in the next assignment; its records are fetched again."""
    held = tmp_path / "held"

    def send_held(environment: IntegrationEnvironment, worker: WorkerHandle, *records: KafkaRecord) -> None:
        """Send records while the partitions of a worker are revoked."""
        worker.wait_until(lambda: held.stat().st_size, "a revocation", seconds=240)
        environment.send(records)
        held.unlink()

    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        erased, searching, judging, buying, leaving = (new_users() for _ in range(5))
        first = environment.start_worker(1, f"revoke={held}").wait_until_ready()
        environment.send(clicks((*erased, *leaving)))
        first.wait_until(lambda: len(environment.user_lists((*erased, *leaving))) == 8, "the first lists")

        held.touch()
        second = environment.start_worker(2)
        send_held(environment, first, *erasures(erased), *searches(searching))
        for worker in (second, first):
            worker.wait_until_ready()
        held.touch()
        second.kill()
        send_held(environment, first, *opinions(judging), *purchases(buying))
        first.wait_until_ready()

        # Later records, so that offsets behind the first ones are committed whatever became of these.
        later = new_users()
        environment.send((*erasures(leaving), *searches(later), *opinions(later), *purchases(later)))
        first.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed")
        assert environment.rows().keys() == {*searching, *judging, *buying, *later}
        assert not environment.user_lists((*erased, *leaving))
