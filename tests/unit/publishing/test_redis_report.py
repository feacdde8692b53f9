"""What `headrace doctor` reports of a Redis: by a connection that answers as the test says."""

from typing import Any, Self

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from stream_app.publishing import redis_inspection
from stream_app.publishing.redis_inspection import RedisReport, RedisUnreachableError, inspect_redis


class FakeRedis:
    """Replies to each command as Redis would, unless the test says otherwise."""

    def __init__(self) -> None:
        self.info_fields: dict[str, Any] = {
            "redis_version": "7.2.4",
            "maxmemory": 1_000,
            "maxmemory_policy": "noeviction",
        }
        self.time_reply: tuple[int, int] = (1_000, 250_000)
        self.replies: dict[str, Any] = {"GET": "2"}
        self.executed: list[tuple[Any, ...]] = []
        self.timeout = 0.0
        self.n_open = 0

    def open(self, url: str, timeout: float) -> "FakeRedis":
        if not url.startswith("redis://"):
            raise ValueError(f"Redis URL must specify a scheme, not {url}")
        self.timeout = timeout
        return self

    def __enter__(self) -> Self:
        self.n_open += 1
        return self

    def __exit__(self, *_: object) -> None:
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
    redis.replies["GET"] = "1"
    assert inspect().write_error == "the value read differs from the value written"


def test_a_reply_of_another_command_than_the_reading_may_be_anything(redis: FakeRedis) -> None:
    redis.replies |= {"MGET": ["1"], "SET": None, "SCAN": (0, [])}
    assert inspect().write_error == ""


def test_each_refusal_is_reported_once_and_hides_what_follows_from_it(redis: FakeRedis) -> None:
    redis.replies |= {
        "INCRBY": ResponseError("no increments"),
        "SCAN": ResponseError("no scans"),
        "HSET": ResponseError("no scans"),
        "GET": "1",
    }
    assert inspect().write_error == "no increments; no scans"


def test_all_that_was_written_is_removed_again(redis: FakeRedis) -> None:
    inspect()
    key = redis.executed[0][1]
    assert key.startswith("recs:doctor:{")
    assert redis.executed[-1] == ("UNLINK", key)
    assert ("HDEL", "headrace:doctor", "epoch", "checks", "0") in redis.executed
    assert {command[1] for command in redis.executed if command[0] in {"SET", "INCRBY"}} == {key}
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
    with pytest.raises(RedisUnreachableError, match="must specify a scheme"):
        inspect_redis("shop")

    def fail() -> None:
        raise RedisConnectionError("connection refused")

    monkeypatch.setattr(redis, "time", fail)
    with pytest.raises(RedisUnreachableError, match="connection refused"):
        inspect()
