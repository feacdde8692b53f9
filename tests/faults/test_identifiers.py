"""Promise: no id, whatever its characters, reaches the row or the list of another user."""

import shutil
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from stream_app.client.redis_contract import search_key, user_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE
from tests.support.hostile_records import VALID_ODD_IDS
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import sent
from tests.support.worker_handle import WorkerHandle
from topics.events import Click, Erasure, Search

SIMILAR: Final = tuple(
    f"{first}{second}"
    for first, second in product(
        ("ann", "Ann", "\u00e5nn", "a\u030ann"), ("", " ", "\t", "\n", "\0", "\u200b")
    )
)
"""Ids that differ in a letter case, an accent, a composition or an invisible character."""

MEANINGFUL: Final = (
    "{ann}",
    "}{",
    "ann}:Q",
    "{ann}:Q",
    "ann:Q",
    "recs:user:{ann}",
    "recs:search:{ann}:Q",
    "headrace:epoch",
    "headrace:owner:0",
    "all",
    "a%20b",
    "a b",
    "a+b",
    "a%2520b",
    "*",
    "?nn",
    "[a]nn",
    "../ann",
    "$(ann)",
    "__faust\0offset__",
    "__faust\0offset__0",
    "null",
    "None",
    "0",
    "-1",
    "1e5",
)
"""Ids that mean something to Redis, a URL, a shell or the local store."""

SCRIPTS: Final = (
    "\u0634\u0627\u0631\u064a",
    "\u202eann",
    "ann\u202c",
    "\u5b89\u5a1c",
    "\u0410\u043d\u043d",
    "\u0905\u0928\u094d\u0928\u093e",
    "\U0001f9d1\u200d\U0001f692",
    "\U0001f6b0" * 64,
    "x" * 256,
    "x" * 255 + "y",
    "\u00e9" * 128,
)

IDS: Final = sorted({*SIMILAR, *MEANINGFUL, *SCRIPTS, *VALID_ODD_IDS})


def wait_for_lists(environment: IntegrationEnvironment, worker: WorkerHandle, users: set[str]) -> None:
    worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
    worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no pending user")
    worker.wait_until(lambda: environment.user_lists(IDS).keys() == users, "the lists of these users")


@pytest.mark.faults
def test_no_id_reaches_the_row_or_list_of_another_user(servers: EmbeddedServers, tmp_path: Path) -> None:
    """Promise: rows, lists, search lists, erasures and a recovery keep users apart, whatever their ids."""
    with clean_environment(servers, tmp_path, models=ADDITIVE, fusion="rrf") as environment:
        worker = environment.start_worker().wait_until_ready()
        environment.send(
            record
            for number, user in enumerate(IDS)
            for record in (
                *(sent(Click, user, item_id=f"own item {number}") for _ in range(1 + number % 7)),
                sent(Click, user, item_id="item of all"),
                sent(Search, user, query=f"words {number}", results=[f"own item {number}", "item of all"]),
            )
        )
        wait_for_lists(environment, worker, set(IDS))
        assert worker.events("dead_lettered") == 0
        check_rows(environment, set())
        for number, user in enumerate(IDS):
            found = environment.read_list(user_key(user))
            assert found is not None
            assert found.key == user_key(user)
            searched = environment.read_list(search_key(user))
            assert searched is not None
            assert {item.id for item in searched.items} == {f"own item {number}", "item of all"}
        erased = set(IDS[::2])
        environment.send(sent(Erasure, user) for user in sorted(erased))
        wait_for_lists(environment, worker, set(IDS) - erased)
        for user in IDS:
            assert (environment.read_list(search_key(user)) is None) == (user in erased), repr(user)
        worker.kill()
        shutil.rmtree(environment.data_dir())
        worker = environment.start_worker().wait_until_ready()
        environment.send(sent(Click, user, item_id="last item") for user in IDS)
        wait_for_lists(environment, worker, set(IDS))
        check_rows(environment, erased, further=1)


def check_rows(environment: IntegrationEnvironment, erased: set[str], further: int = 0) -> None:
    """Each row has the events of its user alone, since the erasure."""
    rows = environment.rows()
    assert sorted(rows) == IDS
    for number, user in enumerate(IDS):
        own = {each.item_id for each in rows[user].recent} - {"item of all", "last item"}
        n_clicks = further + (0 if user in erased else 2 + number % 7)
        assert rows[user].counts.clicks == n_clicks, repr(user)
        assert own == (set() if user in erased else {f"own item {number}"}), repr(user)
