"""What the tests of whole workers share: a stage of servers and topics, worker processes, a shop's log, the outcome.

A `IntegrationEnvironment` is one run: topics without a past, an empty Redis, an application id of its own.
`WorkerHandle` is a real ``run_command worker`` in a process of its own, told apart from the next one in the same
folder only by its process id, as after a crash. `LogFeeder` writes a log to Kafka at a steady rate from a thread, so
that a test can kill and start workers meanwhile. `read_outcome` is what a run left behind for anybody to see: lists,
rows, interactions. Nothing here sleeps to wait for something: `wait_until` polls a condition with a deadline.
"""

import functools
import http.client
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import kafka
import msgspec
import numpy as np
from kafka import TopicPartition
from redis import Redis

from state.row import EMPTY_ROW, UserRow, decode_row
from stream_app.client.redis_contract import decode_list, popular_key, user_key
from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.settings import Settings, load_settings
from stream_app.tools.embedded import EmbeddedServers
from stream_app.tools.embedded.child_process import kill_process, log_tail, stop_process
from stream_app.tools.environment.worker_pool import WorkerProcess
from topics import admin
from topics.catalog import INTERACTIONS, SHOP_TOPICS, catalog, changelog
from topics.events import Action, Click, OrderLine, Purchase, Search
from topics.records import Interaction, RecommendationList

PARTITIONS: Final = 4
ADDITIVE: Final = '["popularity","item_to_item"]'
"""The models whose statistics add up, as the setting is written."""

EVENTS: Final = 9_000
"""Events of the log that runs are compared by."""

RATE: Final = 1_500.0
"""Events a second of a run that something happens to."""

_SESSION_TIMEOUT: Final = 6.0
"""Seconds until a killed worker is given up: the least that may be set."""

_POLL: Final = 0.05
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_interaction: Final = msgspec.msgpack.Decoder(Interaction)


def wait_until(condition: Callable[[], object], description: str, *, seconds: float) -> None:
    """Poll until `condition` holds; fail with `description` was waited for when `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain: {description}")
        time.sleep(_POLL)


class KafkaRecord(NamedTuple):
    """A record for Kafka; without a partition its key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


class ConsumedRecord(NamedTuple):
    """A record on Kafka."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class WorkerHandle:
    """A ``run_command worker`` process."""

    def __init__(self, process: WorkerProcess) -> None:
        self._worker: Final = process

    @property
    def pid(self) -> int:
        return int(self._worker.process.pid)

    @property
    def alive(self) -> bool:
        return self._worker.process.poll() is None

    @property
    def log(self) -> str:
        """The end of its log, for messages."""
        return log_tail(self._worker.log_path, 40)

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Every sample of /metrics; none while it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._worker.port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return []
        finally:
            connection.close()
        return [
            (name, dict(_LABEL.findall(labels)), float(value))
            for name, labels, value in _SAMPLE.findall(text)
        ]

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of one metric that carry these labels; fails if the worker has died."""
        self._check_alive()
        return sum(
            value
            for found, sample_labels, value in self.metrics()
            if found == name and all(sample_labels.get(label) == wanted for label, wanted in labels.items())
        )

    def events(self, outcome: str) -> float:
        """Events of all topics with an outcome."""
        return self.metric("headrace_events_total", outcome=outcome)

    def wait_until(self, condition: Callable[[], object], description: str, *, seconds: float = 30.0) -> None:
        """Poll until `condition` holds; fail at once, with the log, when the worker dies."""

        def check_then_condition() -> object:
            self._check_alive()
            return condition()

        try:
            wait_until(check_then_condition, description, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._metrics_summary()}\n{self.log}") from None

    def wait_until_ready(self) -> Self:
        """Wait until it owns its partitions and has caught up with the log."""
        self.wait_until(
            lambda: self.metric("headrace_ready") == 1, "the worker to be ready", seconds=_START_SECONDS
        )
        return self

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self.alive, f"the worker was to be killed alive\n{self.log}"
        kill_process(self._worker.process)

    def terminate(self) -> int:
        """SIGTERM, and its exit status; a worker that does not end in time is killed, which shows in the status."""
        return stop_process(self._worker.process, seconds=_STOP_SECONDS)

    def _metrics_summary(self) -> str:
        messages = [
            f"{name}{labels or ''}={value:g}"
            for name, labels, value in self.metrics()
            if value and name.startswith("headrace_") and not name.endswith(("_bucket", "_created", "_bytes"))
        ]
        return "It said: " + ", ".join(messages)

    def _check_alive(self) -> None:
        try:
            self._worker.check()
        except UserError as error:
            raise AssertionError(f"{error}\n{self.log}") from None


class IntegrationEnvironment(AbstractContextManager["IntegrationEnvironment"]):
    """One run on clean servers; its workers are stopped when it ends."""

    def __init__(self, settings: Settings, folder: Path, **overrides: object) -> None:
        self.settings: Final = settings
        self.folder: Final = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._overrides: Final = overrides
        self._workers: list[WorkerHandle] = []
        self._starts = 0
        self.redis: Final = Redis.from_url(str(overrides.get("redis", settings.redis)))
        self._offsets: Any = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if worker.alive:
                worker.kill()
        self.redis.close()
        if self._offsets is not None:
            self._offsets.close()

    def start_worker(self, number: int = 1) -> WorkerHandle:
        """Start a worker on the folder of that number, whatever an earlier one left there."""
        self._starts += 1
        log = self.folder / f"worker-{number}.log"
        if log.exists():
            log.rename(self.folder / f"worker-{number}.before-{self._starts}.log")
        settings = {
            "app_id": self.settings.app_id,
            "broker": self.settings.broker,
            "redis": self.settings.redis,
            "log_level": "INFO",
            "session_timeout": _SESSION_TIMEOUT,
            **self._overrides,
        }
        worker = WorkerHandle(WorkerProcess(number, self.folder, settings))
        self._workers.append(worker)
        return worker

    def data_dir(self, number: int = 1) -> Path:
        """Where a worker keeps its table and snapshots."""
        return self.folder / f"worker-{number}"

    def run_command(self, *arguments: str) -> tuple[int, str]:
        """Run a command; its exit status and what it said."""
        import subprocess
        import sys

        from stream_app.settings import child_environment

        done = subprocess.run(
            [sys.executable, "-m", "stream_app", *arguments],
            env=child_environment(
                app_id=self.settings.app_id, broker=self.settings.broker, redis=self.settings.redis
            )
            | {"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    # Kafka

    def send(self, records: Iterable[KafkaRecord]) -> list[tuple[int, int]]:
        """Write records as fast as the broker takes them; the partition and offset of each."""
        with closing(_producer(self.settings.broker)) as producer:
            return [(done.partition, done.offset) for done in _send(producer, records)]

    def read(self, topic: str) -> list[ConsumedRecord]:
        """Everything on a topic, in the order of its partitions."""
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=self.settings.broker, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        with closing(consumer):
            tps = [TopicPartition(topic, at) for at in consumer.partitions_for_topic(topic)]
            consumer.assign(tps)
            ends = consumer.end_offsets(tps)
            deadline = time.monotonic() + 30
            found = []
            while any(consumer.position(tp) < end for tp, end in ends.items()):
                assert time.monotonic() < deadline, f"{topic} could not be read within 30 s"
                for records in consumer.poll(timeout_ms=200, max_records=5_000).values():
                    found += [ConsumedRecord(r.partition, r.offset, r.key, r.value) for r in records]
        return sorted(found, key=lambda record: record[:2])

    def uncommitted(self) -> int:
        """Records of the shop's topics that the workers have not finished with and said so."""
        if self._offsets is None:
            self._offsets = kafka.KafkaConsumer(
                bootstrap_servers=self.settings.broker,
                group_id=self.settings.app_id,
                enable_auto_commit=False,
            )
        tps = [
            TopicPartition(spec.name, at)
            for spec in SHOP_TOPICS
            for at in self._offsets.partitions_for_topic(spec.name)
        ]
        ends = self._offsets.end_offsets(tps)
        return sum(end - (self._offsets.committed(tp) or 0) for tp, end in ends.items() if end)

    def groups(self) -> list[str]:
        """The consumer groups on the broker."""
        with closing(kafka.KafkaAdminClient(bootstrap_servers=self.settings.broker)) as client:
            return sorted(group["group_id"] for group in client.list_groups())

    # What a run leaves

    def read_list(self, key: str) -> RecommendationList | None:
        """The list at a Redis key."""
        raw = self.redis.get(key)
        return None if raw is None else decode_list(raw)  # type: ignore[arg-type]  # its types cover both clients

    def user_lists(self, users: Iterable[str]) -> dict[str, RecommendationList]:
        """The lists of shoppers who have one."""
        wanted = sorted(users)
        found: Any = self.redis.mget([user_key(user) for user in wanted]) if wanted else []
        return {user: decode_list(raw) for user, raw in zip(wanted, found, strict=True) if raw is not None}

    def item_lists(self) -> dict[str, RecommendationList]:
        """The lists of items, of those that the final models ranked."""
        keys: Any = sorted(self.redis.scan_iter(match="recs:item:*", count=1000))
        values: Any = self.redis.mget(keys) if keys else []
        found = [decode_list(raw) for raw in values if raw is not None]
        newest_version = max((each.model_version for each in found), default=0)
        return {each.key: each for each in found if each.model_version == newest_version}

    def rows(self) -> dict[str, UserRow]:
        """Every shopper's row, as the changelog has it."""
        newest: dict[str, UserRow] = {}
        for record in self.read(changelog(self.settings.app_id).name):
            assert record.key is not None
            newest[record.key.decode()] = decode_row(record.value)
        return newest

    def interactions(self) -> list[tuple[Interaction, bytes]]:
        """Every record of the log of interactions, repeats among them."""
        return [
            (_interaction.decode(record.value), record.value)
            for record in self.read(INTERACTIONS.name)
            if record.value is not None
        ]


def clean_environment(servers: EmbeddedServers, folder: Path, **overrides: object) -> IntegrationEnvironment:
    """A stage with fresh topics and an empty Redis, as the fixture ``settings`` makes one for each test."""
    broker, redis = servers.broker_address, servers.redis_address
    admin.delete([name for name in admin.list_names(broker) if not name.startswith("__")], broker)
    app_id = f"test-{uuid.uuid4().hex[:8]}"
    admin.create(catalog(app_id), broker, partitions=PARTITIONS, replication=1)
    with Redis.from_url(redis) as connection:
        connection.flushdb()
    settings = load_settings(app_id=app_id, broker=broker, redis=redis, partitions=PARTITIONS)
    return IntegrationEnvironment(settings, folder, **overrides)


def send_click(
    environment: IntegrationEnvironment, user: str, item: str, *, event_id: str | None = None
) -> None:
    """A click that happens now."""
    now = time.time_ns()
    event = Click(event_id=event_id or f"now-{now}", user_id=user, ts=now // 1_000_000, item_id=item)
    sent = event_record(event)
    environment.send([KafkaRecord(sent.topic, sent.key, sent.value)])


class LogFeeder(AbstractContextManager["LogFeeder"]):
    """Writes records to Kafka at a steady rate, from a thread, while the test does something else.

    A record beyond `until_fraction` is held back until the test moves it: so there is traffic while the test waits
    for something, and yet some of the log is left, however slow the machine is. Everything is sent in the end.
    """

    def __init__(
        self,
        environment: IntegrationEnvironment,
        records: Sequence[KafkaRecord],
        *,
        rate: float,
        until_fraction: float = 1.0,
    ) -> None:
        self._broker = environment.settings.broker
        self._records = records
        self._rate = rate
        self._n_allowed = round(until_fraction * len(records))
        self.record_ids: list[tuple[int, int]] = []
        self._error: BaseException | None = None
        self._condition = threading.Condition()
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._set_limit(len(self._records), cancelled=error is not None)
        self._thread.join(120)
        assert not self._thread.is_alive(), "the feed did not end"
        if self._error is not None and error is None:
            raise self._error

    def advance_to(self, until_fraction: float, *, rate: float | None = None) -> None:
        """Send up to this share of the log, at another rate if one is given."""
        self._rate = rate or self._rate
        self._set_limit(round(until_fraction * len(self._records)))

    def _set_limit(self, until_fraction: int, *, cancelled: bool = False) -> None:
        with self._condition:
            self._n_allowed = until_fraction
            self._cancelled = cancelled
            self._condition.notify_all()

    def _run(self) -> None:
        try:
            with closing(_producer(self._broker)) as producer:
                self.record_ids = [(d.partition, d.offset) for d in _send(producer, self._paced_records())]
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            self._error = error

    def _paced_records(self) -> Iterable[KafkaRecord]:
        due = time.monotonic()
        for place, record in enumerate(self._records):
            due = max(due + 1.0 / self._rate, time.monotonic() - 0.1)
            with self._condition:
                self._condition.wait_for(lambda at=place: self._cancelled or at < self._n_allowed)  # type: ignore[misc]
                while not self._cancelled and (delay_left := due - time.monotonic()) > 0:
                    self._condition.wait(delay_left)
                if self._cancelled:
                    return
            yield record


def _producer(broker: str) -> Any:
    return kafka.KafkaProducer(
        bootstrap_servers=broker,
        acks="all",
        linger_ms=2,
        batch_size=65_536,
        max_request_size=2_000_000,
        max_in_flight_requests_per_connection=1,  # nothing may overtake, so that offsets agree between runs
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )


def _send(producer: Any, records: Iterable[KafkaRecord]) -> list[Any]:
    futures = [
        producer.send(record.topic, value=record.value, key=record.key, partition=record.partition)
        for record in records
    ]
    producer.flush(timeout=30)
    return [future.get(timeout=10) for future in futures]


# The log of a shop


class GeneratedLog(NamedTuple):
    """A day of a shop, as it went to Kafka."""

    records: list[KafkaRecord]
    users: set[str]
    n_accepted: int
    """Events without those sent twice."""


@functools.cache
def generate_log(events: int, *, users: int = 500, items: int = 90, seed: int = 11) -> GeneratedLog:
    """Visits of shoppers over the last day: searches, clicks, purchases; some late, some sent twice.

    There are fewer items than an item has room for neighbors, so that nothing is pruned, and fewer events of a
    shopper than the ring of ids holds.
    """
    rng = np.random.default_rng(seed)
    start = time.time() - 20 * 3600
    popularity = 1.0 / np.arange(1, items + 1) ** 0.7
    popularity /= popularity.sum()
    timed: list[tuple[float, Click | Search | Purchase]] = []
    number = 0
    while number < events:
        user = int(rng.integers(users))
        ts = start + float(rng.uniform(0, 18 * 3600))
        item = int(rng.choice(items, p=popularity))
        for _ in range(min(events - number, int(rng.integers(4, 16)))):
            event = _make_event(f"e{number}", user, round(ts * 1000), item, rng.random())
            # One in twenty comes late, by up to ten minutes of the shop's time.
            delay = float(rng.uniform(0, 600)) if rng.random() < 0.05 else 0.0
            timed.append((ts + delay, event))
            number += 1
            ts += float(rng.exponential(60))
            item = (item + int(rng.integers(1, 6))) % items
    timed.sort(key=lambda entry: entry[0])
    records = []
    again: list[tuple[int, KafkaRecord]] = []
    for place, (_, event) in enumerate(timed):
        while again and again[0][0] <= place:
            records.append(again.pop(0)[1])
        sent = event_record(event)
        record = KafkaRecord(sent.topic, sent.key, sent.value)
        records.append(record)
        if rng.random() < 0.02:
            again = sorted([*again, (place + int(rng.integers(1, 400)), record)], key=lambda entry: entry[0])
    records += [record for _, record in again]
    return GeneratedLog(records, {event.user_id for _, event in timed}, len(timed))


def _make_event(event_id: str, user: int, ts: int, item: int, u: float) -> Click | Search | Purchase:
    common: dict[str, Any] = {
        "event_id": event_id,
        "user_id": f"user-{user}",
        "ts": ts,
        "channel": ("web", "app", "store")[user % 3],
        "context": {"country": ("FR", "DE", "JP", "BR")[user % 4]},
    }
    if u < 0.12:
        return Search(query=f"words {item % 7}", results=[f"item-{item}"], **common)
    if u < 0.22:
        lines = [
            OrderLine(item_id=f"item-{item}", quantity=1 + item % 3, price=9.5 + item),
            OrderLine(item_id=f"item-{(item * 7 + 3) % 90}", price=4.25),
        ]
        return Purchase(order_id=f"order-{event_id}", items=lines, currency="EUR", **common)
    action = (Action.VIEW, Action.VIEW, Action.DETAIL, Action.CART)[item % 4]
    return Click(item_id=f"item-{item}", action=action, **common)


# What a run left behind


class RunOutcome(NamedTuple):
    """What a run left behind for anybody to see."""

    lists: dict[str, RecommendationList]
    popular: dict[str, RecommendationList]
    items: dict[str, RecommendationList]
    rows: dict[str, UserRow]
    interactions: dict[tuple[int, int, int], bytes]
    """By source, partition and offset, without those at or below the watermark when they came."""


SEGMENTS: Final = ("all", *(f"country:{c}" for c in ("FR", "DE", "JP", "BR")),
                   *(f"channel:{c}" for c in ("web", "app", "store")))  # fmt: skip


def wait_until_settled(
    environment: IntegrationEnvironment,
    worker: WorkerHandle,
    log: GeneratedLog,
    *,
    number: int = 1,
    seconds: float = 60.0,
) -> WorkerHandle:
    """Wait until the log is through; start the worker anew so that it ranks everybody by the final models."""
    worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be handled", seconds=seconds)
    version = log.n_accepted
    found = len(deduplicate(environment.interactions()))
    assert found == version, (
        f"{version - found} of {version} events are committed, but no interaction tells of them"
    )

    def popular_is_final() -> bool:
        found = environment.read_list(popular_key())
        return found is not None and found.model_version >= version

    worker.wait_until(popular_is_final, f"popular items by {version} interactions", seconds=15)
    worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no list to wait", seconds=15)
    assert worker.terminate() == 0, worker.log
    again = environment.start_worker(number).wait_until_ready()
    again.wait_until(
        lambda: (
            # It is set once everybody is marked, in one go with the gauge of items: that one is of after the marking.
            again.metric("headrace_table_users") >= len(log.users)
            and again.metric("headrace_lists_published_total", kind="user") >= len(log.users)
            and again.metric("headrace_pending_users") == 0
            and again.metric("headrace_pending_items") == 0
        ),
        f"the lists of {len(log.users)} shoppers and of their items to be published again",
    )
    return again


def read_outcome(environment: IntegrationEnvironment, log: GeneratedLog) -> RunOutcome:
    """Read what a settled run left behind."""
    popular = {name: environment.read_list(popular_key(name)) for name in SEGMENTS}
    return RunOutcome(
        environment.user_lists(log.users),
        {name: found for name, found in popular.items() if found is not None},
        environment.item_lists(),
        environment.rows(),
        deduplicate(environment.interactions()),
    )


def deduplicate(interactions: Iterable[tuple[Interaction, bytes]]) -> dict[tuple[int, int, int], bytes]:
    """The interactions that a replica folds: those at or below its watermark are dropped.

    Also holds every repeat against what it repeats: it must be the same bytes.
    """
    watermarks: dict[tuple[int, int], int] = {}
    kept: dict[tuple[int, int, int], bytes] = {}
    for interaction, raw in interactions:
        source = (int(interaction.source), interaction.partition)
        place = (*source, interaction.offset)
        if interaction.offset <= watermarks.get(source, -1):
            assert place in kept, f"{interaction} came after a later one of its partition, for the first time"
            assert raw == kept[place], f"{interaction} was sent again, but not the same"
            continue
        watermarks[source] = interaction.offset
        kept[place] = raw
    return kept


def assert_same_outcome(found: RunOutcome, wanted: RunOutcome) -> None:
    """Hold a run against an undisturbed one of the same log; everything that differs is told at once."""
    messages = _differences("interactions", found.interactions, wanted.interactions)
    for field_name in _comparable_row(EMPTY_ROW):
        messages += _differences(
            f"rows, {field_name}",
            {user: _comparable_row(row)[field_name] for user, row in found.rows.items()},
            {user: _comparable_row(row)[field_name] for user, row in wanted.rows.items()},
        )
    messages += _differences(
        "interactions behind the lists",
        {user: each.model_version for user, each in found.lists.items()},
        {user: each.model_version for user, each in wanted.lists.items()},
    )
    messages += _list_differences("lists", found.lists, wanted.lists)
    messages += _list_differences("popular lists", found.popular, wanted.popular)
    messages += _list_differences("lists of items", found.items, wanted.items)
    assert not messages, "\n".join(messages)


def _list_differences(
    description: str, found: Mapping[str, RecommendationList], wanted: Mapping[str, RecommendationList]
) -> list[str]:
    messages = _differences(
        f"{description}, items in order and why",
        {key: _items_and_reasons(each) for key, each in found.items()},
        {key: _items_and_reasons(each) for key, each in wanted.items()},
    )
    score_mismatches = [
        key
        for key in found.keys() & wanted.keys()
        if [item.id for item in found[key].items] == [item.id for item in wanted[key].items]
        and not np.allclose(_scores(found[key]), _scores(wanted[key]), rtol=0, atol=1e-6)
    ]
    return messages + (
        [f"{description}, scores: {len(score_mismatches)} differ, {sorted(score_mismatches)[:5]} among them"]
        if score_mismatches
        else []
    )


def _comparable_row(row: UserRow) -> dict[str, object]:
    return {
        "counts": row.counts,
        "recent": row.recent,
        "bought": dict(sorted(row.bought.items())),
        "session": row.session,
        "queries": row.queries,
        "first and last": (row.first_ts, row.last_ts),
        "watermarks": row.watermarks,
    }


def _items_and_reasons(found: RecommendationList) -> list[tuple[str, object]]:
    return [(item.id, item.why) for item in found.items]


def _scores(found: RecommendationList) -> list[float]:
    return [item.score for item in found.items]


def _differences(description: str, found: Mapping[Any, object], wanted: Mapping[Any, object]) -> list[str]:
    missing, extra = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    messages = [
        f"{description}: {len(keys)} {difference_kind}, {sorted(keys)[:5]} among them"
        for difference_kind, keys in (("missing", missing), ("too many", extra))
        if keys
    ]
    differ = sorted(key for key in wanted.keys() & found.keys() if found[key] != wanted[key])
    if differ:
        key = differ[0]
        messages.append(
            f"{description}: {len(differ)} of {len(wanted)} differ, {differ[:5]} among them; {key}:\n"
            f"      is {found[key]}\n     not {wanted[key]}"
        )
    return messages


_REFERENCE_OUTCOMES: dict[int, RunOutcome] = {}


def kill_mid_run(
    environment: IntegrationEnvironment,
    worker: WorkerHandle,
    feed: LogFeeder,
    until_fraction: float,
    *,
    folder_survives: bool,
) -> WorkerHandle:
    """Kill a worker that has something on the way, feed on, and start another in its place.

    Parameters
    ----------
    environment, worker, feed
        What runs.
    until_fraction
        Share of the log that is fed from then on.
    folder_survives
        Whether the other finds the data folder of the one that died.
    """
    worker.kill()
    assert environment.uncommitted() > 0, "something was on the way"
    feed.advance_to(until_fraction)
    if not folder_survives:
        shutil.rmtree(environment.data_dir())
    return environment.start_worker()


def reference_outcome(servers: EmbeddedServers, folder: Path, log: GeneratedLog) -> RunOutcome:
    """The outcome of a run of one worker that nothing happens to; run once for all tests of a session."""
    if id(log) not in _REFERENCE_OUTCOMES:
        with clean_environment(servers, folder, models=ADDITIVE) as environment:
            worker = environment.start_worker().wait_until_ready()
            with LogFeeder(environment, log.records, rate=2 * RATE):
                pass
            wait_until_settled(environment, worker, log)
            _REFERENCE_OUTCOMES[id(log)] = read_outcome(environment, log)
    return _REFERENCE_OUTCOMES[id(log)]
