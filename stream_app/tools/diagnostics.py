"""Whether a worker could run here: the broker, the topics, Redis, the disk, the clocks.

Each check yields findings; none raises. Nothing is left behind: a topic is made on the broker, a key written to
Redis, a file to the data folder, and all three are removed.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from enum import StrEnum
from importlib import import_module
from typing import Final

import msgspec

from stream_app.publishing.redis_inspection import RedisUnreachableError, inspect_redis
from stream_app.settings import Settings, without_password
from topics import admin, broker_client, broker_clock, topic_checks
from topics.catalog import catalog

MAX_SKEW_SECONDS: Final = 1.0
EVICTING_POLICIES: Final = ("volatile-ttl", "volatile-lru", "volatile-lfu", "allkeys-lru", "allkeys-lfu")


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class CheckResult(msgspec.Struct, frozen=True):
    """One line of the report.

    Attributes
    ----------
    status
        A FAIL keeps a worker from working; a warning does not.
    subject
        What was looked at.
    detail
        What was found.
    remedy
        What to do about it; empty if nothing.
    """

    status: CheckStatus
    subject: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" -> {self.remedy}" if self.remedy else ""
        return f"{self.status:<4}  {self.subject}: {self.detail}{remedy}"


def run_checks(settings: Settings) -> Iterator[CheckResult]:
    """Carry out every check, in order, each finding as soon as it is known.

    Examples
    --------
    >>> print(CheckResult(CheckStatus.FAIL, "topics", "lists is missing", "headrace topics create"))
    FAIL  topics: lists is missing -> headrace topics create
    """
    yield from check_kafka(settings)
    yield from check_redis(settings)
    yield from check_data_dir(settings)
    yield from check_rocksdb()


def check_kafka(settings: Settings) -> Iterator[CheckResult]:
    """The broker answers, and the topics on it are as the catalog says and ours to use."""
    try:
        states = admin.describe(catalog(settings.app_id), settings.broker)
    except broker_client.BrokerUnavailableError:
        yield CheckResult(
            CheckStatus.FAIL,
            "broker",
            f"no Kafka broker answers at {settings.broker}",
            "start one, or set HEADRACE_BROKER",
        )
        return
    except broker_client.TopicAdminError as error:
        yield CheckResult(CheckStatus.FAIL, "broker", str(error), "grant this client DESCRIBE on the topics")
        return
    yield CheckResult(CheckStatus.OK, "broker", f"Kafka answers at {settings.broker}")
    yield from check_topic_states(states)
    yield check_broker_clock(settings.broker)


def check_broker_clock(broker: str) -> CheckResult:
    """How far the brokers' clocks are from ours; they date the shop's events."""
    try:
        return check_clock_skew("broker", broker_clock.clock_skew(broker))
    except (broker_client.BrokerUnavailableError, broker_client.TopicAdminError) as error:
        return CheckResult(
            CheckStatus.WARN,
            "broker clock",
            f"was not checked: {error}",
            "let this client CREATE, WRITE and DELETE topics headrace-clock-*, or see to it that NTP runs there",
        )


def check_topic_states(states: Sequence[topic_checks.TopicState]) -> Iterator[CheckResult]:
    """What the topics' states amount to.

    Parameters
    ----------
    states
        From `topics.admin.describe`.
    """
    problems_found = topic_checks.problems(states)
    for problem in problems_found:
        yield CheckResult(CheckStatus.FAIL, "topics", str(problem), problem.remedy)
    present = [state for state in states if state.partitions is not None]
    if not problems_found:
        yield CheckResult(
            CheckStatus.OK, "topics", f"all {len(present)} are there and configured as they should be"
        )
    if not any(problem.kind is topic_checks.ProblemKind.PARTITIONS for problem in problems_found):
        counts = {state.partitions for state in present if state.spec.copartitioned}
        if counts:
            count = ", ".join(map(str, sorted(counts, key=str)))
            yield CheckResult(
                CheckStatus.OK, "partitions", f"{count} in every topic that is keyed by shopper"
            )
    # A broker without an authorizer reports every operation; one too old to tell reports none at all.
    missing_by_topic = {
        state.spec.name: topic_checks.WORKER_OPERATIONS - state.operations
        for state in present
        if state.operations
    }
    missing_permissions = {name: operations for name, operations in missing_by_topic.items() if operations}
    for name, operations in missing_permissions.items():
        listed = ", ".join(sorted(operations))
        yield CheckResult(
            CheckStatus.FAIL, "permissions", f"no {listed} on {name}", "grant it in the broker's ACLs"
        )
    if missing_by_topic and not missing_permissions:
        yield CheckResult(CheckStatus.OK, "permissions", "every topic can be read, written and described")


def check_redis(settings: Settings) -> Iterator[CheckResult]:
    """Redis answers, takes our keys, evicts rather than refuses, and tells our time."""
    redis_url = without_password(settings.redis)
    try:
        report = inspect_redis(settings.redis)
    except RedisUnreachableError as error:
        yield CheckResult(
            CheckStatus.FAIL,
            "redis",
            f"no answer from {redis_url} ({error})",
            "start one, or set HEADRACE_REDIS",
        )
        return
    yield CheckResult(CheckStatus.OK, "redis", f"Redis {report.version} answers at {redis_url}")
    if report.write_error:
        yield CheckResult(
            CheckStatus.FAIL,
            "redis writes",
            report.write_error,
            "give this user SET, GET, MGET and DEL on the keys recs:*, and memory to write to",
        )
    else:
        yield CheckResult(CheckStatus.OK, "redis writes", "a key under recs: was written, read and deleted")
    yield check_redis_memory(report.maxmemory, report.maxmemory_policy)
    yield check_clock_skew("redis", report.clock_skew)


def check_redis_memory(maxmemory: int, policy: str) -> CheckResult:
    """What becomes of Redis when the lists fill it.

    Every list has a TTL and can be made again: evicting one costs nothing but its freshness, while a refused
    write stops publishing.
    """
    if not maxmemory:
        return CheckResult(
            CheckStatus.WARN,
            "redis memory",
            "no limit is set",
            "CONFIG SET maxmemory to what the machine can spare, maxmemory-policy to volatile-ttl",
        )
    size = f"{maxmemory / 2**20:,.0f} MiB, {policy}"
    if policy not in EVICTING_POLICIES:
        return CheckResult(
            CheckStatus.WARN,
            "redis memory",
            f"{size}: lists are refused or evicted at random once it is full",
            "CONFIG SET maxmemory-policy volatile-ttl",
        )
    return CheckResult(CheckStatus.OK, "redis memory", size)


def check_clock_skew(server: str, clock_skew: float) -> CheckResult:
    """How far the clock of the ``broker`` or of ``redis`` is from ours, in seconds ahead.

    Examples
    --------
    >>> print(check_clock_skew("broker", -0.0123))
    ok    broker clock: 12 ms behind this machine's
    """
    offset = f"{abs(clock_skew) * 1000:,.0f} ms {'ahead of' if clock_skew > 0 else 'behind'} this machine's"
    if abs(clock_skew) > MAX_SKEW_SECONDS:
        remedy = "let NTP set both: freshness, ages and time to live are computed from them"
        return CheckResult(CheckStatus.WARN, f"{server} clock", offset, remedy)
    return CheckResult(CheckStatus.OK, f"{server} clock", offset)


def check_data_dir(settings: Settings) -> Iterator[CheckResult]:
    """The folder of the worker's table and snapshots can be written to."""
    folder = settings.data_dir.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"headrace")
    except OSError as error:
        yield CheckResult(
            CheckStatus.FAIL,
            "data folder",
            f"cannot write to {folder}: {error.strerror}",
            "set HEADRACE_DATA_DIR to a folder of this worker's own",
        )
    else:
        yield CheckResult(CheckStatus.OK, "data folder", f"{folder} can be written to")


def check_rocksdb() -> Iterator[CheckResult]:
    """The disk store of the users table can be loaded."""
    # Faust has two bindings; which one is installed goes by the version of Python.
    binding = "rocksdb" if sys.version_info < (3, 13) else "rocksdict"
    try:
        import_module(binding)
    except ImportError as error:
        yield CheckResult(
            CheckStatus.FAIL,
            "rocksdb",
            f"cannot be loaded: {error}",
            f"pip install 'faust-streaming[{binding}]'",
        )
    else:
        yield CheckResult(CheckStatus.OK, "rocksdb", "can be loaded")
