"""From a log file to lists in Redis and on the terminal, then a clean stop, a restart and an erasure."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stream_app.client.redis_contract import user_key
from stream_app.settings import load_settings
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import IntegrationEnvironment, clean_environment, send_click
from tests.support.kafka_records import to_record
from tests.support.worker_handle import WorkerHandle
from topics.events import Erasure
from topics.log_keys import one_way_hash

USERS = [f"user-{n}" for n in range(6)]
CLICKS_EACH = 12


@pytest.fixture
def environment(servers: EmbeddedServers, tmp_path: Path) -> Iterator[IntegrationEnvironment]:
    with clean_environment(servers, tmp_path, policies=load_settings().policies) as created:
        yield created


def write_log(target: Path) -> int:
    start = round(time.time() * 1000) - 3_600_000
    rows = [
        {
            "type": "click",
            "event_id": f"{user}-{step}",
            "user_id": user,
            "ts": start + step * 10_000 + n,
            "item_id": f"item-{(n + step) % 9}",
            "channel": "web",
            "context": {"country": "FR"},
        }
        for step in range(CLICKS_EACH)
        for n, user in enumerate(USERS)
    ]
    target.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return len(rows)


def wait_for_accepted(environment: IntegrationEnvironment, worker: WorkerHandle, n_expected: int) -> None:
    worker.wait_until(
        lambda: worker.events("accepted") >= n_expected and environment.uncommitted() == 0,
        f"{n_expected} events to be accepted",
    )


def test_a_replayed_log_becomes_lists_that_survive_a_restart_and_are_erased(
    environment: IntegrationEnvironment, tmp_path: Path
) -> None:
    worker = environment.start_worker().wait_until_ready()
    log = tmp_path / "log.jsonl"
    events = write_log(log)

    status, output = environment.run_command("replay", str(log))
    assert status == 0, output
    assert f"{events} records of {len(USERS)} users sent and acknowledged" in output
    worker.wait_until(lambda: len(environment.user_lists(USERS)) == len(USERS), "a list for every user")
    wait_for_accepted(environment, worker, events)
    check_metrics(worker)
    check_show_commands(environment, worker)
    stop_cleanly(environment, worker)
    worker = restart_and_compare_lists(environment)
    erase_user(environment, worker, events)
    check_erasure_after_restart(environment)


def check_metrics(worker: WorkerHandle) -> None:
    worker.wait_until(
        lambda: (
            worker.metric("headrace_table_users") == len(USERS)
            and worker.metric("headrace_memory_bytes", part="popularity") > 0
            and worker.metric("headrace_replica_lag_seconds") == 0
        ),
        "the gauges, which are updated once per second",
    )
    worker.wait_until(
        lambda: worker.metric("headrace_lists_published_total", kind="user") >= len(USERS),
        "the lists to be counted, after Redis has acknowledged them",
    )
    lists = worker.metric("headrace_lists_published_total", kind="user")
    samples = worker.metrics()
    by_part = {labels["part"]: value for name, labels, value in samples if name == "headrace_memory_bytes"}
    [resident] = [value for name, _, value in samples if name == "process_resident_memory_bytes"]
    assert 0.9 < sum(by_part.values()) / resident < 1.1, (by_part, resident)
    assert worker.metric("headrace_ranking_seconds_count") >= lists
    assert worker.metric("headrace_ranking_seconds_sum") > 0
    assert worker.metric("headrace_flush_seconds_count") > 0
    assert worker.metric("headrace_flush_seconds_sum") > 0


def check_show_commands(environment: IntegrationEnvironment, worker: WorkerHandle) -> None:
    worker.wait_until(
        lambda: "because you viewed item-" in environment.run_command("show", "user", USERS[0])[1],
        "a list that reflects the last clicks",
    )
    status, output = environment.run_command("show", "user", USERS[0])
    assert status == 0, output
    assert user_key(USERS[0]) in output
    assert "item-" in output
    assert "because you viewed item-" in output
    worker.wait_until(
        lambda: all(
            environment.run_command(*arguments)[0] == 0
            for arguments in (
                ("show", "popular"),
                ("show", "popular", "country:FR"),
                ("show", "item", "item-1"),
            )
        ),
        "an item list and the popular lists",
    )
    status, output = environment.run_command("show", "popular", "country:FR")
    assert status == 0, output
    assert "popular in country FR" in output
    status, output = environment.run_command("show", "user", "nobody")
    assert status != 0
    assert "Redis holds no list at recs:user:{nobody}" in output
    assert "Traceback" not in output


def stop_cleanly(environment: IntegrationEnvironment, worker: WorkerHandle) -> None:
    stop_requested = time.monotonic()
    status = worker.terminate()
    assert status == 0, worker.log
    assert time.monotonic() - stop_requested < 120
    snapshots = sorted(environment.data_dir().glob("models/*.snapshot"))
    assert snapshots, "a clean stop writes a snapshot"


def restart_and_compare_lists(environment: IntegrationEnvironment) -> WorkerHandle:
    """Start from the snapshot, not from the log; lists that Redis lost are published again."""
    lists_before = environment.user_lists(USERS)
    environment.redis.flushdb()
    worker = environment.start_worker().wait_until_ready()
    worker.wait_until(
        lambda: len(environment.user_lists(USERS)) == len(USERS), "the lists to be published again"
    )
    assert worker.metric("headrace_interactions_folded_total") == 0
    assert worker.events("accepted") == worker.events("replayed") == 0
    lists_after = environment.user_lists(USERS)
    # The other lists were ranked before the models had learned the end of the log.
    newest_version = max(found.model_version for found in lists_before.values())
    unchanged = {user for user, found in lists_before.items() if found.model_version == newest_version}
    assert unchanged
    assert {user: lists_after[user].items for user in unchanged} == {
        user: lists_before[user].items for user in unchanged
    }
    assert {found.model_version for found in lists_after.values()} == {newest_version}
    return worker


def erase_user(environment: IntegrationEnvironment, worker: WorkerHandle, n_events: int) -> None:
    erased_user, *others = USERS
    erasure = Erasure(event_id="forget-me", user_id=erased_user, ts=round(time.time() * 1000))
    environment.send([to_record(erasure)])
    worker.wait_until(
        lambda: not environment.has_list(user_key(erased_user)), "the erased list to be deleted"
    )
    for number, user in enumerate(others):
        send_click(environment, user, "item-1", event_id=f"more-{number}")
    wait_for_accepted(environment, worker, 1 + len(others))
    worker.wait_until(
        lambda: (
            # The click that is processed last may be any of them: they are on several partitions.
            max(f.model_version for f in environment.user_lists(others).values())
            == n_events + 1 + len(others)
            and worker.metric("headrace_pending_users") == 0
        ),
        "the other users' lists to be updated",
    )
    assert not environment.has_list(user_key(erased_user))
    worker.wait_until(lambda: erased_user not in environment.rows(), "no row under the id of the erased user")
    remainder = environment.remainders()[one_way_hash(erased_user)]
    assert (remainder.counts.total, remainder.recent) == (0, ())
    assert worker.terminate() == 0, worker.log


def check_erasure_after_restart(environment: IntegrationEnvironment) -> None:
    erased_user, *others = USERS
    # As if the worker had crashed between the erasure and the deletion in Redis.
    environment.redis.set(user_key(erased_user), b"{}")
    worker = environment.start_worker().wait_until_ready()
    worker.wait_until(
        lambda: not environment.has_list(user_key(erased_user)),
        "the erased list to be deleted after the restart",
    )
    worker.wait_until(
        lambda: worker.metric("headrace_lists_published_total", kind="user") >= len(others),
        "the lists of the other users",
    )
    assert not environment.has_list(user_key(erased_user)), (
        "the list of an erased user was published after the restart"
    )
    assert environment.user_lists(USERS).keys() == set(others)
