"""What `headrace doctor` reports of a Redis: by a connection that answers as the test says."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from stream_app.publishing import redis_inspection
from stream_app.publishing.redis_inspection import RedisReport, RedisUnreachableError, inspect_redis
from stream_app.redis_server import RedisServer


class FakeRedis:
    """Replies to each command as Redis would, unless the test says otherwise."""

    def __init__(self) -> None:
        self.info_fields: dict[str, Any] = {
            "redis_version": "7.2.4",
            "maxmemory": 1_000,
            "maxmemory_policy": "noeviction",
        }
        self.time_reply: tuple[int, int] = (1_000, 250_000)
        self.replies: dict[str, Any] = {"GET": "1"}
        self.executed: list[tuple[Any, ...]] = []
        self.timeout = 0.0
        self.n_open = 0

    def open(self, server: RedisServer, timeout: float) -> "FakeRedis":
        assert server.addresses == (("shop", 6379),)
        self.timeout = timeout
        self.n_open += 1
        return self

    def close(self) -> None:
        self.n_open -= 1

    def time(self) -> tuple[int, int]:
        return self.time_reply

    def info(self) -> dict[str, Any]:
        return self.info_fields

    def execute_command(self, *command: Any) -> Any:
        self.executed.append(command)
        reply = self.replies.get(command[0], "OK")
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> FakeRedis:
    made = FakeRedis()
    monkeypatch.setattr(redis_inspection, "open_connection", made.open)
    return made


def inspect(*clock: float) -> RedisReport:
    times = iter(clock or (1_000.0, 1_000.0))
    return inspect_redis("redis://shop/0", clock=lambda: next(times))


def test_the_clock_of_redis_is_compared_with_the_middle_of_the_request(redis: FakeRedis) -> None:
    redis.time_reply = (1_005, 250_000)
    assert inspect(1_000.0, 1_000.5).clock_skew == pytest.approx(5.0)
    redis.time_reply = (990, 0)
    assert inspect(1_000.0, 1_004.0).clock_skew == pytest.approx(-12.0)


def test_version_and_limits_are_reported_and_a_redis_without_them_is_unlimited(redis: FakeRedis) -> None:
    report = inspect()
    assert (report.version, report.maxmemory, report.maxmemory_policy) == ("7.2.4", 1_000, "noeviction")
    redis.info_fields = {}
    report = inspect()
    assert (report.version, report.maxmemory, report.maxmemory_policy) == ("unknown", 0, "unknown")
    assert report.write_error == ""
    assert redis.n_open == 0


def test_a_value_that_differs_from_the_written_one_is_reported(redis: FakeRedis) -> None:
    redis.replies["GET"] = "3"
    assert inspect().write_error == "the value read differs from the value written"


def test_a_reply_of_another_command_than_the_reading_may_be_anything(redis: FakeRedis) -> None:
    redis.replies |= {"MGET": ["1"], "SET": None, "SCAN": (0, [])}
    assert inspect().write_error == ""


def test_each_refusal_is_reported_once_and_hides_what_follows_from_it(redis: FakeRedis) -> None:
    redis.replies |= {
        "INCRBY": ResponseError("no increments"),
        "SCAN": ResponseError("no scans"),
        "HSET": ResponseError("no scans"),
        "GET": "3",
    }
    assert inspect().write_error == "the value read differs from the value written; no increments; no scans"


def test_what_a_refused_write_leaves_is_not_reported(redis: FakeRedis) -> None:
    redis.replies |= {"SET": ResponseError("no writes"), "GET": None}
    assert inspect().write_error == "no writes"


@pytest.mark.parametrize(
    ("command", "text", "right"),
    [
        ("GETRANGE", "this user has no permissions to run the 'getrange' command", "+getrange"),
        ("SCRIPT LOAD", "User ann has no permissions to run the 'script|load' command", "+script|load"),
        ("MGET", "this user has no permissions to access one of the keys used as arguments", "~recs:*"),
        ("HSETNX", "No permissions to access a key", "~headrace:*"),
    ],
)
def test_a_missing_right_is_named_as_an_argument_of_acl_setuser(
    redis: FakeRedis, command: str, text: str, right: str
) -> None:
    redis.replies[command] = NoPermissionError(text)
    report = inspect()
    assert (report.missing_rights, report.write_error) == ((right,), "")


def test_a_script_that_could_not_be_loaded_is_no_fault_of_its_own(redis: FakeRedis) -> None:
    redis.replies |= {"SCRIPT LOAD": NoPermissionError("command"), "EVALSHA": NoScriptError("no script")}
    report = inspect()
    assert (report.missing_rights, report.write_error) == (("+script|load",), "")


def test_limits_and_the_clock_are_unknown_without_their_rights(
    redis: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise NoPermissionError("command")

    monkeypatch.setattr(redis, "time", refuse)
    monkeypatch.setattr(redis, "info", refuse)
    report = inspect()
    assert report.missing_rights == ("+time", "+info")
    assert (report.maxmemory, report.clock_skew, report.version) == (None, None, "unknown")


def test_all_that_was_written_is_removed_again(redis: FakeRedis) -> None:
    inspect()
    assert redis.executed.pop(0) == ("MGET", "recs:doctor:{a}", "recs:doctor:{b}")
    key = redis.executed[0][1]
    assert key.startswith("recs:doctor:{")
    state = key.replace("recs:", "headrace:", 1)
    assert redis.executed[-1] == ("UNLINK", key)
    assert ("HDEL", state, "epoch", "checks", "0") in redis.executed
    assert {command[1] for command in redis.executed if command[0] in {"SET", "INCRBY"}} == {
        key,
        f"{state}:n",
    }
    assert ("UNLINK", f"{state}:n") in redis.executed
    # If the process is killed meanwhile, Redis removes it.
    assert redis.executed[0] == ("SET", key, "1", "EX", 10)


def test_doctor_waits_for_two_seconds(redis: FakeRedis) -> None:
    inspect()
    assert redis.timeout == 2.0
    inspect_redis("redis://shop/0", timeout=0.5)
    assert redis.timeout == 0.5


def test_a_redis_that_does_not_answer_is_unreachable(
    redis: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RedisUnreachableError, match="HEADRACE_REDIS: this is no URL"):
        inspect_redis("shop")

    def fail() -> None:
        raise RedisConnectionError("connection refused")

    monkeypatch.setattr(redis, "time", fail)
    with pytest.raises(RedisUnreachableError, match="connection refused"):
        inspect()


def test_the_nodes_of_a_cluster_make_one_report() -> None:
    def report(version: str, n_nodes: int, *rights: str, **fields: Any) -> RedisReport:
        return RedisReport(version=version, n_nodes=n_nodes, missing_rights=rights, **fields)

    first = report(
        "7.0", 1, "+get", "+set", write_error="", maxmemory=500, maxmemory_policy="a", clock_skew=0.5
    )
    second = report("7.2", 1, "+set", write_error="full", maxmemory=0, maxmemory_policy="b", clock_skew=-2.0)
    assert redis_inspection._combined([first]) is first
    assert redis_inspection._combined([first, second]) == report(
        "7.0, 7.2",
        2,
        "+get",
        "+set",
        write_error="full",
        maxmemory=0,
        maxmemory_policy="a, b",
        clock_skew=-2.0,
    )
