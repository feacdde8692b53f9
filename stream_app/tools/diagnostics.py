"""Checks of what a worker needs: broker, topics, Redis, disk, clocks.

Checks return results and do not raise. They create a topic on the broker, a key in Redis and a file in the data
folder and in the model store, and remove all of them.
"""

import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Final

from stream_app.errors import UserError
from stream_app.publishing.redis_inspection import RedisUnreachableError, inspect_redis
from stream_app.settings import Settings
from stream_app.tools.check_result import CheckResult, CheckStatus
from stream_app.tools.log_checks import check_logs
from stream_app.worker.model_stores import make_model_store
from topics import admin, broker_client, broker_clock, topic_checks
from topics.access import Program, rights_of
from topics.access_checks import missing_rights
from topics.kafka_connection import Broker

MAX_SKEW_SECONDS: Final = 1.0
EVICTION_POLICY: Final = "volatile-lru"
"""Evicts what was not used for longest: lists before the marks of erased users, which end after 15 minutes."""

EVICTION_FAULTS: Final = {
    "noeviction": "lists are refused once it is full",
    "volatile-ttl": "once it is full, the marks of erased users are evicted first: they end before any list",
    "volatile-lfu": "once it is full, the marks of erased users are evicted before lists: they are never read",
    "volatile-random": "once it is full, lists and the marks of erased users are evicted at random",
}
"""Of the other policies, allkeys-*, all evict keys without a time to live."""


def run_checks(settings: Settings, program: Program = Program.WORKER) -> Iterator[CheckResult]:
    """Run every check in order and yield each result at once.

    Parameters
    ----------
    program
        Whose rights on Kafka are checked; of another one than a worker nothing else is, but the topics.

    Examples
    --------
    >>> print(CheckResult(CheckStatus.FAIL, "topics", "lists is missing", "headrace topics create"))
    FAIL  topics: lists is missing -> headrace topics create
    """
    yield from check_kafka(settings, program)
    if program is not Program.WORKER:
        return
    yield from check_redis(settings)
    yield from check_data_dir(settings)
    yield from check_model_store(settings)
    yield from check_rocksdb()


def check_kafka(settings: Settings, program: Program = Program.WORKER) -> Iterator[CheckResult]:
    """Check that the broker answers, and that its topics match the catalog and are accessible."""
    try:
        states = admin.describe(settings.topics, settings.kafka)
    except broker_client.BrokerUnavailableError as error:
        sentence, _, remedy = str(error).rstrip(".").partition(". ")
        yield CheckResult(CheckStatus.FAIL, "broker", sentence, remedy or "see HEADRACE_BROKER")
        return
    except broker_client.TopicAdminError as error:
        yield CheckResult(CheckStatus.FAIL, "broker", str(error), "grant this client DESCRIBE on the topics")
        return
    yield CheckResult(CheckStatus.OK, "broker", f"Kafka answers at {settings.kafka}")
    yield from check_access(program, settings, states)
    if program is not Program.WORKER:
        return
    yield from check_topic_states(states)
    yield from check_logs(settings, states)
    yield check_broker_clock(settings.kafka)


def check_broker_clock(broker: Broker) -> CheckResult:
    """Compare the clocks of the brokers with this machine's; brokers timestamp the events."""
    try:
        return check_clock_skew("broker", broker_clock.clock_skew(broker))
    except (broker_client.BrokerUnavailableError, broker_client.TopicAdminError) as error:
        return CheckResult(
            CheckStatus.WARN,
            "broker clock",
            f"not checked: {error}",
            "allow this client to CREATE, WRITE and DELETE topics headrace-clock-*, or make sure that NTP runs there",
        )


def check_topic_states(states: Sequence[topic_checks.TopicState]) -> Iterator[CheckResult]:
    """Report the problems of the topics; `states` comes from `topics.admin.describe`."""
    # Those that are denied are missing rights.
    problems_found = [
        each for each in topic_checks.problems(states) if each.kind is not topic_checks.ProblemKind.DENIED
    ]
    for problem in problems_found:
        status = CheckStatus.FAIL if problem.is_blocking else CheckStatus.WARN
        yield CheckResult(status, "topics", str(problem), problem.remedy)
    present = [state for state in states if state.partitions is not None]
    if not problems_found:
        yield CheckResult(
            CheckStatus.OK, "topics", f"all {len(present)} exist and are configured as in the catalog"
        )
    if not any(problem.kind is topic_checks.ProblemKind.PARTITIONS for problem in problems_found):
        counts = {state.partitions for state in present if state.spec.copartitioned}
        if counts:
            count = ", ".join(map(str, sorted(counts, key=str)))
            yield CheckResult(CheckStatus.OK, "partitions", f"{count} in every topic that is keyed by user")


def check_access(
    program: Program, settings: Settings, states: Sequence[topic_checks.TopicState]
) -> Iterator[CheckResult]:
    """Report the rights of a program that the broker denies; a broker without an authorizer denies none."""
    rights = rights_of(program, settings.app_id)
    try:
        denied = missing_rights(rights, states, settings.kafka)
    except (broker_client.BrokerUnavailableError, broker_client.TopicAdminError) as error:
        yield CheckResult(CheckStatus.WARN, "permissions", f"not checked: {error}", "run this command again")
        return
    user = settings.kafka_sasl_username or "NAME"
    for right in denied:
        yield CheckResult(
            CheckStatus.FAIL,
            "permissions",
            f"no {right.operation} on {right.resource} {right.name}{'*' if right.is_prefix else ''}",
            f"kafka-acls --add --allow-principal User:{user} {right.argument}",
        )
    if not denied:
        yield CheckResult(
            CheckStatus.OK, "permissions", f"all {len(rights)} rights of a {program} are granted"
        )


def check_redis(settings: Settings) -> Iterator[CheckResult]:
    """Check that Redis answers, grants each right, accepts writes, evicts lists when full, and has the same time."""
    server = settings.redis_server
    try:
        report = inspect_redis(server)
    except RedisUnreachableError as error:
        yield CheckResult(CheckStatus.FAIL, "redis", str(error), error.remedy)
        return
    nodes = f", {report.n_nodes} primaries" if server.mode == "cluster" else ""
    yield CheckResult(CheckStatus.OK, "redis", f"Redis {report.version} answers at {server}{nodes}")
    if report.missing_rights:
        user, rights = server.username or "default", shlex.join(report.missing_rights)
        yield CheckResult(
            CheckStatus.FAIL,
            "redis rights",
            f"the user {user} lacks {rights}",
            f"ACL SETUSER {user} {rights}{', on each node' if server.mode == 'cluster' else ''}",
        )
    if report.write_error:
        yield CheckResult(
            CheckStatus.FAIL,
            "redis writes",
            report.write_error,
            "make sure that memory is free, and that the server is no replica",
        )
    if not (report.missing_rights or report.write_error):
        yield CheckResult(
            CheckStatus.OK,
            "redis writes",
            "all commands of a worker are allowed on keys under recs: and headrace:",
        )
    if report.maxmemory is not None:
        yield check_redis_memory(report.maxmemory, report.maxmemory_policy)
    if report.clock_skew is not None:
        yield check_clock_skew("redis", report.clock_skew)


def check_redis_memory(maxmemory: int, policy: str) -> CheckResult:
    """Check the behavior of Redis when lists fill its memory.

    Every list has a TTL and is published again with the next event: eviction costs little, while a refused write
    stops publishing. The marks of erased users refuse lists of former owners, and so do the counters of owners, which
    have no TTL: neither should be evicted.
    """
    if not maxmemory:
        return CheckResult(
            CheckStatus.WARN,
            "redis memory",
            "no limit is set",
            f"CONFIG SET maxmemory to the memory available for lists, maxmemory-policy to {EVICTION_POLICY}",
        )
    size = f"{maxmemory / 2**20:,.0f} MiB, {policy}"
    if policy != EVICTION_POLICY:
        fault = EVICTION_FAULTS.get(
            policy, "once it is full, the counters of the owners of partitions are evicted"
        )
        return CheckResult(
            CheckStatus.WARN,
            "redis memory",
            f"{size}: {fault}",
            f"CONFIG SET maxmemory-policy {EVICTION_POLICY}",
        )
    return CheckResult(CheckStatus.OK, "redis memory", size)


def check_clock_skew(server: str, clock_skew: float) -> CheckResult:
    """Judge the clock of a server, ``broker`` or ``redis``, by its seconds ahead of this machine's.

    Examples
    --------
    >>> print(check_clock_skew("broker", -0.0123))
    ok    broker clock: 12 ms behind this machine's
    """
    offset = f"{abs(clock_skew) * 1000:,.0f} ms {'ahead of' if clock_skew > 0 else 'behind'} this machine's"
    if abs(clock_skew) > MAX_SKEW_SECONDS:
        remedy = "synchronize both by NTP: freshness, ages and times to live depend on them"
        return CheckResult(CheckStatus.WARN, f"{server} clock", offset, remedy)
    return CheckResult(CheckStatus.OK, f"{server} clock", offset)


def check_data_dir(settings: Settings) -> Iterator[CheckResult]:
    """Check that the folder of the worker's table and snapshots is writable."""
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
            "set HEADRACE_DATA_DIR to a writable folder, one per worker",
        )
    else:
        yield CheckResult(CheckStatus.OK, "data folder", f"{folder} is writable")


def check_model_store(settings: Settings) -> Iterator[CheckResult]:
    """Check that the store of the snapshots can be read and written, if it is not in the data folder."""
    if not settings.model_store:
        return
    try:
        store = make_model_store(settings)
        store.check()
    except UserError as error:
        yield CheckResult(CheckStatus.FAIL, "model store", str(error), "see HEADRACE_MODEL_STORE")
    except OSError as error:
        yield CheckResult(
            CheckStatus.FAIL,
            "model store",
            str(error),
            "check the address and the credentials, and allow this client to list, read, write and delete objects",
        )
    else:
        yield CheckResult(CheckStatus.OK, "model store", f"{store.location} can be read and written")


def check_rocksdb() -> Iterator[CheckResult]:
    """Check that the disk store of the users table can be loaded."""
    # Faust has two bindings; the version of Python determines which one is installed.
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
