"""Promise: after an erasure and Kafka's compaction, no byte of Redis, table, logs and snapshots has the user's id.

Nor has one the words that only this user searched for.
"""

import time
import uuid
from base64 import b64encode
from collections.abc import Iterable
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Final

import kafka
import msgspec
import pytest
from kafka.admin import ConfigResource

from stream_app.client.redis_contract import search_key, user_key
from stream_app.kafka.partitioning import partition_of_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import PARTITIONS, IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, to_record
from tests.support.worker_handle import WorkerHandle
from topics.catalog import (
    CLICKS,
    DEAD_LETTERS,
    ERASURE_RECEIPTS,
    INTERACTIONS,
    LISTS,
    REWARDS,
    USER_EVENTS,
    changelog,
)
from topics.events import Click, Erasure, Event, Feedback, Impression, OrderLine, Purchase, Search
from topics.log_keys import one_way_hash
from topics.records import ErasureReceipt

SETTINGS: Final = {
    "models": '["popularity","item_to_item","session_knn","repeats","user_knn","search"]',
    "policies": '{"fixed": 0.5, "thompson": 0.5}',
    "erasure_sweep_interval": 3,
    "snapshot_interval": 2,
    "max_snapshots": 1,
}
IMMEDIATE_COMPACTION: Final = {
    "segment.ms": "1000",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "1000",
    "delete.retention.ms": "0",
    "min.cleanable.dirty.ratio": "0.001",
    "file.delete.delay.ms": "100",
}
N_USERS: Final = 6
N_STARTS: Final = 12
SECONDS_PER_START: Final = 20
_numbers: Final = count()


def users(name: str) -> list[str]:
    """Ids of users that no other text contains, in all partitions."""
    found: dict[int, list[str]] = {}
    while any(len(found.get(each, ())) < 2 for each in range(PARTITIONS)):
        user = f"{name}-{uuid.uuid4().hex}"
        found.setdefault(partition_of_key(user.encode(), PARTITIONS), []).append(user)
    return [user for each in range(PARTITIONS) for user in found[each][:2]]


def event(event_type: type[Event], user_id: str, **fields: Any) -> KafkaRecord:
    event_id = f"e{next(_numbers)}"
    ts = int(time.time() * 1000)
    return to_record(event_type(**{"event_id": event_id, "user_id": user_id, "ts": ts, **fields}))


def invalid(user_id: str) -> list[KafkaRecord]:
    """Events that become dead letters: by their time, by their form, and under another key."""
    late = {"event_id": f"e{next(_numbers)}", "user_id": user_id, "ts": 1, "item_id": "i1"}
    return [
        KafkaRecord(CLICKS.name, user_id.encode(), msgspec.json.encode(late)),
        KafkaRecord(CLICKS.name, user_id.encode(), b"no JSON of " + user_id.encode()),
        KafkaRecord(CLICKS.name, b"another key", msgspec.json.encode(late)),
    ]


def word_of(user_id: str) -> str:
    """A word that only this user searches for; it does not contain the id."""
    return "w" + sha256(user_id.encode()).hexdigest()[:24]


def activity(user_id: str, list_id: str | None) -> list[KafkaRecord]:
    named = {} if list_id is None else {"list_id": list_id}
    return [
        event(Click, user_id, item_id="i1", **named),
        event(Search, user_id, query="shoes", results=["i1", "i2", "i3"]),
        event(Search, user_id, query=word_of(user_id), results=["i1", "i2", "i3"]),
        event(Click, user_id, item_id="i2", action="cart", **named),
        event(Purchase, user_id, order_id="o", items=[OrderLine(item_id="i2", price=9.0, quantity=1)]),
        event(Feedback, user_id, item_id="i3", kind="dislike"),
        *([event(Impression, user_id, list_id=list_id, items=["i1", "i2"])] if list_id else []),
        *invalid(user_id),
    ]


def compact_at_once(environment: IntegrationEnvironment) -> None:
    """Let the broker compact the logs within seconds instead of days."""
    names = (INTERACTIONS, REWARDS, LISTS, DEAD_LETTERS, changelog(environment.settings.app_id))
    with closing(kafka.KafkaAdminClient(bootstrap_servers=environment.settings.broker)) as client:
        client.alter_configs([ConfigResource("topic", each.name, IMMEDIATE_COMPACTION) for each in names])
        client.alter_configs([ConfigResource("broker", "1", {"log.cleaner.backoff.ms": "200"})])


def forms(text: str) -> list[bytes]:
    """An id or a word as it is, and in base64 behind 0, 1 or 2 other bytes, as a dead letter has it."""
    raw = text.encode()
    # The first and last characters depend on the bytes around it.
    return [raw, *(b64encode(bytes(shift) + raw)[4 * (shift > 0) : -4] for shift in range(3))]


class StoredBytes:
    """What Redis and the files of worker and broker hold."""

    def __init__(self, environment: IntegrationEnvironment, servers: EmbeddedServers) -> None:
        assert servers.broker is not None
        self._environment = environment
        self._logs: Final = servers.broker.folder / "data"
        self._data: Final = environment.data_dir()
        self._shops: Final = tuple(f"{spec.name}-" for spec in USER_EVENTS)

    def _files(self) -> Iterable[tuple[str, Path]]:
        for folder in self._logs.iterdir():
            # The shop's own topics end by their retention.
            if folder.is_dir() and not folder.name.startswith(self._shops):
                yield from ((f"topic {folder.name.rpartition('-')[0]}", path) for path in folder.rglob("*"))
        yield from (("table", path) for path in (self._data / "table").rglob("*"))
        yield from (("snapshots", path) for path in (self._data / "models").rglob("*"))

    def _redis(self) -> bytes:
        redis: Any = self._environment.redis
        parts = []
        for key in redis.scan_iter(count=1_000):
            value = redis.get(key) if redis.type(key) == b"string" else repr(redis.hgetall(key)).encode()
            parts.append(key + b" " + (value or b""))
        return b"\n".join(parts)

    def holding(self, wanted: Iterable[str]) -> dict[str, set[str]]:
        """Where one of these ids and words is found, with what is found."""
        texts = {text: forms(text) for text in wanted}
        found: dict[str, set[str]] = {}

        def search(location: str, content: bytes) -> None:
            held = {text for text, known in texts.items() if any(form in content for form in known)}
            if held:
                found.setdefault(location, set()).update(held)

        search("redis", self._redis())
        for location, path in self._files():
            try:
                if path.is_file():
                    search(location, path.read_bytes())
            except FileNotFoundError:
                continue  # superseded meanwhile
        return found


def act(environment: IntegrationEnvironment, worker: WorkerHandle, everybody: list[str]) -> None:
    """Events, lists, reactions to the lists, dead letters."""
    environment.send([record for user in everybody for record in activity(user, None)])
    worker.wait_until(
        lambda: environment.user_lists(everybody).keys() == set(everybody), "lists", seconds=240
    )
    lists = environment.user_lists(everybody)
    environment.send([record for user in everybody for record in activity(user, lists[user].list_id)])
    n_invalid = 2 * len(everybody) * len(invalid("u"))
    worker.wait_until(
        lambda: (
            worker.metric("headrace_dead_letters_total", reason="unreadable") == n_invalid / 3
            and environment.uncommitted() == 0
            and worker.metric("headrace_pending_users") == 0
        ),
        "all events to be processed",
        seconds=240,
    )


@pytest.mark.faults
def test_no_byte_has_the_id_of_an_erased_user(servers: EmbeddedServers, tmp_path: Path) -> None:
    """Promise: the id of an erased user is in no byte of Redis, table, changelog, logs, receipts and snapshots."""
    if servers.broker is None:
        pytest.skip("it reads the files of the embedded broker")
    erased, kept = users("erased"), users("kept")
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        compact_at_once(environment)
        stored = StoredBytes(environment, servers)
        worker = environment.start_worker().wait_until_ready()
        act(environment, worker, [*erased, *kept])
        own = f"topic {changelog(environment.settings.app_id).name}"
        topics = (INTERACTIONS, REWARDS, LISTS, DEAD_LETTERS)
        expected = {"redis", "table", "snapshots", own, *(f"topic {each.name}" for each in topics)}
        worker.wait_until(lambda: expected <= stored.holding(erased).keys(), "a snapshot", seconds=60)
        words = [word_of(user) for user in erased]
        of_words = {"redis", "table", "snapshots", own, f"topic {INTERACTIONS.name}", f"topic {LISTS.name}"}
        worker.wait_until(lambda: of_words <= stored.holding(words).keys(), "words in a snapshot", seconds=60)

        # Half of the requests come while no worker runs.
        requests = [event(Erasure, user, event_id=f"forget {user}") for user in erased]
        environment.send(requests[::2])
        worker.wait_until(lambda: environment.uncommitted() == 0, "the first requests", seconds=240)
        assert worker.terminate() == 0, worker.log
        environment.send(requests[1::2])
        worker = environment.start_worker().wait_until_ready()
        worker.wait_until(
            lambda: (
                worker.metric("headrace_erasures_swept_total") > 0
                and worker.metric("headrace_unswept_erasures") == 0
                and len(receipts(environment)) == len(erased)
            ),
            "all receipts",
            seconds=240,
        )
        assert not any(environment.has_list(key(user)) for user in erased for key in (user_key, search_key))
        found = {each.user_hash: each for each in receipts(environment)}
        assert found.keys() == {one_way_hash(user).hex() for user in erased}
        for receipt in found.values():
            assert receipt.event_id == "", "it has the id"
            assert receipt.removed.keys() >= {INTERACTIONS.name, REWARDS.name, LISTS.name, DEAD_LETTERS.name}
            # both rounds of activity, and the erasure
            assert receipt.removed[INTERACTIONS.name] >= 11
        erase_again(environment, worker, erased[0])
        # As if the 15 minutes were over in which the keys hold an empty list.
        for user in erased:
            for key in (user_key(user), search_key(user)):
                assert environment.redis.ttl(key) <= 900
                environment.redis.expire(key, 0)
        worker = wait_until_compacted(environment, worker, stored, [*erased, *words], kept)
        # The control: the same search finds the users who were not erased.
        held = stored.holding(kept)
        assert held.keys() >= expected
        assert all(held[each] == set(kept) for each in ("redis", own, f"topic {INTERACTIONS.name}"))
        assert worker.terminate() == 0, worker.log
        assert not stored.holding([*erased, *words])


@pytest.mark.faults
def test_a_worker_whose_files_are_older_than_the_tombstones_brings_no_one_back(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Promise: an erased user does not come back from the files of a worker that was down."""
    if servers.broker is None:
        pytest.skip("it reads the files of the embedded broker")
    erased, kept = users("erased"), users("kept")
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        compact_at_once(environment)
        own = f"topic {changelog(environment.settings.app_id).name}"
        stored = StoredBytes(environment, servers)
        first = environment.start_worker(1).wait_until_ready()
        environment.send([event(Click, user, item_id=f"i{n}") for user in (*erased, *kept) for n in range(4)])
        first.wait_until(
            lambda: len(environment.user_lists([*erased, *kept])) == len([*erased, *kept]),
            "lists",
            seconds=240,
        )
        assert first.terminate() == 0, first.log
        second = environment.start_worker(2).wait_until_ready()
        environment.send([event(Erasure, user) for user in erased])
        second.wait_until(lambda: len(receipts(environment)) == len(erased), "receipts", seconds=240)
        for _ in range(N_STARTS):
            # a segment of the changelog is closed by the next record
            environment.send([event(Click, user, item_id="i1") for user in kept])
            try:
                second.wait_until(
                    lambda: own not in stored.holding(erased), "tombstones", seconds=SECONDS_PER_START
                )
            except AssertionError:
                assert second.terminate() == 0, second.log
                second = environment.start_worker(2).wait_until_ready()
            else:
                break
        assert second.terminate() == 0, second.log
        assert own not in stored.holding(erased)

        first = environment.start_worker(1).wait_until_ready()
        environment.send([event(Click, erased[0], item_id="new")])
        first.wait_until(
            lambda: environment.uncommitted() == 0 and environment.user_lists(erased[:1]),
            "a list",
            seconds=240,
        )
        assert not environment.user_lists(erased[1:])
        rows = environment.rows()
        assert [item.item_id for item in rows[erased[0]].recent] == ["new"]
        assert not rows.keys() & set(erased[1:])
        assert {item.item_id for item in rows[kept[0]].recent} == {"i0", "i1", "i2", "i3"}
        assert first.terminate() == 0, first.log


def erase_again(environment: IntegrationEnvironment, worker: WorkerHandle, user: str) -> None:
    """Let an erased user return, and erase them a second time."""
    [first] = [each for each in receipts(environment) if each.user_hash == one_way_hash(user).hex()]
    environment.send(activity(user, None))
    worker.wait_until(lambda: environment.user_lists([user]), "a list of the returned user", seconds=240)
    environment.send([event(Erasure, user, event_id=f"forget {user} again")])
    worker.wait_until(
        lambda: (
            any(
                each.user_hash == first.user_hash and each != first and each.removed[INTERACTIONS.name]
                for each in receipts(environment)
            )
            and worker.metric("headrace_unswept_erasures") == 0
        ),
        "a second receipt",
        seconds=240,
    )
    assert not any(environment.has_list(key(user)) for key in (user_key, search_key))


def receipts(environment: IntegrationEnvironment) -> list[ErasureReceipt]:
    """The newest receipt of each user."""
    newest = {record.key: record.value for record in environment.read(ERASURE_RECEIPTS.name)}
    return [msgspec.json.decode(value, type=ErasureReceipt) for value in newest.values() if value]


def wait_until_compacted(
    environment: IntegrationEnvironment,
    worker: WorkerHandle,
    stored: StoredBytes,
    private: list[str],
    kept: list[str],
) -> WorkerHandle:
    """Let other users act, without a dead letter, until nothing has an erased user; return the running worker.

    A segment of a log is closed by the next record. A worker appends one to each log at its start, and twice a day.
    """
    left: dict[str, set[str]] = {}

    def is_gone() -> bool:
        lists = environment.user_lists(kept)
        environment.send([event(Click, user, item_id="i1", list_id=lists[user].list_id) for user in kept])
        left.clear()
        left.update(stored.holding(private))
        return not left

    for _ in range(N_STARTS):
        try:
            worker.wait_until(is_gone, "all bytes to be gone", seconds=SECONDS_PER_START)
        except AssertionError:
            assert worker.terminate() == 0, worker.log
            worker = environment.start_worker().wait_until_ready()
        else:
            return worker
    raise AssertionError(f"left: { {location: len(ids) for location, ids in left.items()} }")
