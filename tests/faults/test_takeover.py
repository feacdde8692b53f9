"""A worker that takes partitions over knows who was erased and what was bought, before it publishes a list."""

from pathlib import Path
from typing import Final

import pytest

from stream_app.client.redis_contract import decode_list
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import SETTINGS
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import sent
from tests.support.worker_handle import WorkerHandle
from topics.catalog import LISTS
from topics.events import Click, Erasure, OrderLine, Purchase
from topics.log_keys import user_of

N_USERS: Final = 300
BOUGHT: Final = "item 0"


def erase_and_sell(environment: IntegrationEnvironment, worker: WorkerHandle) -> tuple[list[str], list[str]]:
    """Make lists for all users; then erase a half of them, and sell the most popular item to the others."""
    erased, buyers = ([f"{kind}-{n}" for n in range(N_USERS)] for kind in ("erased", "buyer"))
    environment.send(
        sent(Click, user_id, item_id=f"item {item}")
        for n, user_id in enumerate((*erased, *buyers))
        for item in (0, 1 + n % 20)
    )
    users = [*erased, *buyers]
    worker.wait_until(lambda: environment.uncommitted() == 0, "all clicks to be committed")
    worker.wait_until(lambda: len(environment.user_lists(users)) == len(users), "all users to have a list")
    lines = [OrderLine(item_id=BOUGHT, price=5.0, quantity=1)]
    environment.send(sent(Erasure, user_id) for user_id in erased)
    environment.send(sent(Purchase, user_id, order_id=f"o{user_id}", items=lines) for user_id in buyers)
    worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed")
    worker.wait_until(lambda: not environment.user_lists(erased), "the lists of erased users to be deleted")
    worker.wait_until(lambda: not lists_with_the_bought_item(environment, buyers), "the buyers' new lists")
    return erased, buyers


def lists_with_the_bought_item(environment: IntegrationEnvironment, buyers: list[str]) -> list[str]:
    return [
        user_id
        for user_id, each in environment.user_lists(buyers).items()
        if BOUGHT in {item.id for item in each.items}
    ]


@pytest.mark.faults
@pytest.mark.parametrize("killed", [False, True], ids=["terminated", "killed"])
def test_a_new_owner_publishes_no_list_of_an_erased_user_and_no_bought_item(
    servers: EmbeddedServers, tmp_path: Path, *, killed: bool
) -> None:
    """Promise: after a take-over no erased user has a list again, and no buyer is offered the bought item."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        first = environment.start_worker(1).wait_until_ready()
        erased, buyers = erase_and_sell(environment, first)
        known = set(environment.read(LISTS.name))
        # The second worker starts while the first owns all partitions, and takes them over with an empty folder.
        second = environment.start_worker(2)
        for worker in (second, first):
            worker.wait_until_ready()
        if killed:
            first.kill()
        else:
            assert first.terminate() == 0, first.log
        second.wait_until(
            lambda: second.metric("headrace_table_users") == 2 * N_USERS,
            "all rows to be recovered",
            seconds=240,
        )
        second.wait_until(lambda: second.metric("headrace_pending_users") == 0, "no pending user")
        assert not environment.user_lists(erased)
        assert len(environment.user_lists(buyers)) == N_USERS
        assert not lists_with_the_bought_item(environment, buyers)
        # Not for a moment either: the log has each list that was published meanwhile.
        published = [
            (user_of(record.key or b"").decode(), {item.id for item in decode_list(record.value).items})
            for record in environment.read(LISTS.name)
            if record not in known and record.value is not None
        ]
        assert published
        assert not {user_id for user_id, _ in published if user_id in erased}
        assert not [user_id for user_id, items in published if BOUGHT in items]
