"""The environment of an integration test: new topics, an empty Redis, worker processes, and reads of their output.

An `IntegrationEnvironment` is one run with its own application id. Workers are real ``headrace worker`` processes
(`worker_handle`). A `log_feeder` writes a `generated_log` to Kafka while a test kills and starts workers;
`run_outcome` reads and compares the lists, rows and interactions of a run. No test sleeps for a fixed time:
`wait_until` polls a condition with a deadline.
"""

import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import kafka
import msgspec
from kafka import TopicPartition
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from state.erased_rows import is_remainder
from state.positions import is_positions
from state.row import UserRow, decode_row
from stream_app.client.redis_clients import close_blocking, open_blocking
from stream_app.client.redis_contract import decode_list, is_erased, user_key
from stream_app.kafka.partition_fence import is_marker
from stream_app.redis_server import parse_redis
from stream_app.settings import Settings, child_environment, load_settings
from stream_app.tools.embedded import EmbeddedServers
from stream_app.tools.environment.worker_pool import WorkerProcess
from tests.support import faulty_worker
from tests.support.kafka_records import ConsumedRecord, KafkaRecord, producer_for, send_records, to_record
from tests.support.worker_handle import WorkerHandle
from topics import admin
from topics.catalog import INTERACTIONS, SHOP_TOPICS, catalog, changelog
from topics.events import Click
from topics.records import Interaction, RecommendationList

PARTITIONS: Final = 4

COMMAND_SECONDS: Final = 300.0
"""Deadline of a command; generous, as for workers."""

_RETRY: Final = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), 10)
"""Of reads by a test, during a failover."""

_SESSION_TIMEOUT: Final = 6.0
"""Seconds until the broker detects a killed worker: the minimum of the setting."""

FUSED_ORDER: Final = {"fixed": 1.0}
"""The policies of an environment by default.

A policy's lists depend on rewards, and these on the moment at which each list was published: two runs differ in them.
"""

_interaction: Final = msgspec.msgpack.Decoder(Interaction)


class IntegrationEnvironment(AbstractContextManager["IntegrationEnvironment"]):
    """One run on clean servers; its workers are stopped when it ends."""

    def __init__(self, settings: Settings, folder: Path, **overrides: object) -> None:
        self.settings: Final = settings
        self.folder: Final = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.overrides: Final = overrides
        self._workers: list[WorkerHandle] = []
        self._starts = 0
        redis_server = load_settings(**{"redis": settings.redis, **self._redis_overrides}).redis_server
        self.redis: Final[Any] = open_blocking(redis_server, COMMAND_SECONDS, retry=_RETRY)
        self._offsets: Any = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if worker.alive:
                worker.kill()
        close_blocking(self.redis)
        self.disconnect()

    @property
    def _redis_overrides(self) -> dict[str, Any]:
        return {name: value for name, value in self.overrides.items() if name.startswith("redis")}

    def disconnect(self) -> None:
        """Close the connection to Kafka, before an outage: kafka-python would leave failed ones to the collector."""
        if self._offsets is not None:
            self._offsets.close()
            self._offsets = None

    def start_worker(self, number: int = 1, *faults: str) -> WorkerHandle:
        """Start a worker in the folder of this number, with the files of an earlier worker if there are any.

        Parameters
        ----------
        *faults
            Faults of its process (`tests.support.faulty_worker`).
        """
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
            "policies": FUSED_ORDER,
            **self.overrides,
        }
        command = faulty_worker.command(*faults) if faults else None
        worker = WorkerHandle(WorkerProcess(number, self.folder, settings, command))
        self._workers.append(worker)
        return worker

    def log_text(self, number: int = 1) -> str:
        """The logs of all workers in the folder of this number, in the order of their starts."""
        paths = sorted(
            self.folder.glob(f"worker-{number}.before-*.log"),
            key=lambda path: int(path.name.split("-")[2][:-4]),
        )
        return "".join(
            path.read_text(errors="replace") for path in (*paths, self.folder / f"worker-{number}.log")
        )

    def data_dir(self, number: int = 1) -> Path:
        """The folder of a worker's table and snapshots."""
        return self.folder / f"worker-{number}"

    def run_command(self, *arguments: str) -> tuple[int, str]:
        """Run a ``headrace`` command; return its exit status and output."""
        return self.run_python("-m", "stream_app", *arguments)

    def run_python(self, *arguments: str) -> tuple[int, str]:
        """Run Python with the settings of this environment; return its exit status and output."""
        done = subprocess.run(
            [sys.executable, *arguments],
            env=child_environment(
                app_id=self.settings.app_id,
                broker=self.settings.broker,
                **{"redis": self.settings.redis, **self._redis_overrides},
                policies=self.overrides.get("policies", FUSED_ORDER),
            )
            | {"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    # Kafka

    def send(self, records: Iterable[KafkaRecord]) -> list[tuple[int, int]]:
        """Write records at full speed; return the partition and offset of each."""
        with closing(producer_for(self.settings.broker)) as producer:
            return [(done.partition, done.offset) for done in send_records(producer, records)]

    def read(self, topic: str) -> list[ConsumedRecord]:
        """All records of a topic but the markers of its owners, ordered by partition and offset."""
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=self.settings.broker, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        with closing(consumer):
            tps = [TopicPartition(topic, at) for at in consumer.partitions_for_topic(topic)]
            consumer.assign(tps)
            ends = consumer.end_offsets(tps)
            deadline = time.monotonic() + 120
            found = []
            while any(consumer.position(tp) < end for tp, end in ends.items()):
                assert time.monotonic() < deadline, f"{topic} could not be read within 120 s"
                for records in consumer.poll(timeout_ms=200, max_records=5_000).values():
                    found += [
                        ConsumedRecord(r.partition, r.offset, r.key, r.value, r.timestamp / 1000)
                        for r in records
                        if not is_marker(r)
                    ]
        return sorted(found, key=lambda record: record[:2])

    def uncommitted(self) -> int:
        """Number of records of the shop's topics without a committed offset of the workers."""
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
        ends = {tp: end for tp, end in self._offsets.end_offsets(tps).items() if end}
        # `committed` asks for one partition at a time, and tests ask all the time.
        committed = self._offsets._coordinator.fetch_committed_offsets(list(ends)) or {}
        return sum(end - (committed[tp].offset if tp in committed else 0) for tp, end in ends.items())

    def groups(self) -> list[str]:
        """The consumer groups on the broker."""
        with closing(kafka.KafkaAdminClient(bootstrap_servers=self.settings.broker)) as client:
            return sorted(group["group_id"] for group in client.list_groups())

    # The output of a run

    def read_list(self, key: str) -> RecommendationList | None:
        """The list at a Redis key."""
        raw = self.redis.get(key)
        return None if raw is None or is_erased(raw) else decode_list(raw)

    def has_list(self, key: str) -> bool:
        """Whether a list is at a Redis key, and not the mark of an erased user."""
        raw: Any = self.redis.get(key)
        return raw is not None and not is_erased(raw)

    def user_lists(self, users: Iterable[str]) -> dict[str, RecommendationList]:
        """The lists of these users, without users who have none."""
        wanted = sorted(users)
        found = self._read([user_key(user) for user in wanted])
        return {
            user: decode_list(raw)
            for user, raw in zip(wanted, found, strict=True)
            if raw is not None and not is_erased(raw)
        }

    def _read(self, keys: list[str]) -> list[bytes | None]:
        # In a cluster the keys are in many slots. redis-py's `mget_nonatomic` does not survive a failover.
        pipeline = self.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.get(key)
        found: list[bytes | None] = pipeline.execute()
        return found

    def item_lists(self) -> dict[str, RecommendationList]:
        """Item lists of the newest model version."""
        keys: Any = sorted(self.redis.scan_iter(match="recs:item:*", count=1000))
        values = self._read(keys)
        found = [decode_list(raw) for raw in values if raw is not None]
        newest_version = max((each.model_version for each in found), default=0)
        return {each.key: each for each in found if each.model_version == newest_version}

    def rows(self) -> dict[str, UserRow]:
        """The latest row of each user in the changelog."""
        return {key.decode(): row for key, row in self._changelog().items() if not is_remainder(key)}

    def remainders(self) -> dict[bytes, UserRow]:
        """What the changelog has of erased users, by the one-way hash of their ids."""
        return {key[1:]: row for key, row in self._changelog().items() if is_remainder(key)}

    def _changelog(self) -> dict[bytes, UserRow]:
        newest: dict[bytes, UserRow] = {}
        for record in self.read(changelog(self.settings.app_id).name):
            assert record.key is not None
            newest.pop(record.key, None)
            if record.value is not None and not is_positions(record.key):
                newest[record.key] = decode_row(record.value)
        return newest

    def interactions(self) -> list[tuple[Interaction, bytes]]:
        """All records of the interaction log, duplicates included."""
        return [
            (_interaction.decode(record.value), record.value)
            for record in self.read(INTERACTIONS.name)
            if record.value is not None
        ]


def clean_environment(servers: EmbeddedServers, folder: Path, **overrides: object) -> IntegrationEnvironment:
    """An environment with new topics and an empty Redis, like the fixture ``settings``."""
    broker, redis = servers.broker_address, servers.redis_address
    admin.delete([name for name in admin.list_names(broker) if not name.startswith("__")], broker)
    app_id = f"test-{uuid.uuid4().hex[:8]}"
    admin.create(catalog(app_id), broker, partitions=PARTITIONS, replication=1)
    with closing(open_blocking(parse_redis(redis), COMMAND_SECONDS)) as connection:
        connection.flushdb()
    settings = load_settings(app_id=app_id, broker=broker, redis=redis, partitions=PARTITIONS)
    return IntegrationEnvironment(settings, folder, **overrides)


def send_click(
    environment: IntegrationEnvironment, user: str, item: str, *, event_id: str | None = None
) -> None:
    """Send a click with the current time."""
    now = time.time_ns()
    event = Click(event_id=event_id or f"now-{now}", user_id=user, ts=now // 1_000_000, item_id=item)
    environment.send([to_record(event)])
