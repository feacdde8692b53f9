"""`headrace doctor` against real servers."""

import re
import time
from pathlib import Path

import pytest
from redis import Redis
from typer.testing import CliRunner

from stream_app.__main__ import build_cli
from stream_app.settings import Settings, load_settings
from stream_app.tools.check_result import CheckResult, CheckStatus
from stream_app.tools.diagnostics import run_checks
from topics import admin, broker_client, broker_clock
from topics.catalog import catalog


def statuses(settings: Settings) -> dict[str, CheckStatus]:
    return {check_result.subject: check_result.status for check_result in run_checks(settings)}


def check_result(settings: Settings, subject: str) -> CheckResult:
    return next(result for result in run_checks(settings) if result.subject == subject)


def test_healthy_environment_passes_every_check(settings: Settings) -> None:
    with Redis.from_url(settings.redis) as redis:
        before = redis.config_get("maxmemory*")
        redis.config_set("maxmemory", "64mb")
        redis.config_set("maxmemory-policy", "volatile-lru")
        try:
            result = statuses(settings)
            assert set(result.values()) == {CheckStatus.OK}
            assert {"broker clock", "redis clock"} <= set(result)
        finally:
            for name in ("maxmemory", "maxmemory-policy"):
                redis.config_set(name, before[name])
        assert redis.dbsize() == 0
    assert list(settings.data_dir.iterdir()) == []
    remaining = {name for name in admin.list_names(settings.broker) if not name.startswith("__")}
    assert remaining == {spec.name for spec in catalog(settings.app_id)}


def test_broker_clock_skew_is_a_warning(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    skew = broker_clock.clock_skew
    monkeypatch.setattr(
        broker_clock, "clock_skew", lambda broker: skew(broker, clock=lambda: time.time() + 90.0)
    )
    result = check_result(settings, "broker clock")
    assert result.status is CheckStatus.WARN
    assert re.match(r"(89,[5-9]|90,[0-4])\d\d ms behind this machine's", result.detail)
    assert "NTP" in result.remedy


def test_broker_clock_is_unchecked_without_create_permission(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise broker_client.TopicAdminError("Could not create the topic: not authorized")

    monkeypatch.setattr(admin, "create", refused)
    result = check_result(settings, "broker clock")
    assert result.status is CheckStatus.WARN
    assert result.detail == "not checked: Could not create the topic: not authorized"


def test_missing_topic_fails_with_a_remedy(settings: Settings) -> None:
    admin.delete(["rewards"], settings.broker)
    assert check_result(settings, "topics") == CheckResult(
        CheckStatus.FAIL, "topics", "rewards is missing", "headrace topics create"
    )


def test_redis_without_maxmemory_is_a_warning(settings: Settings) -> None:
    assert check_result(settings, "redis memory").status is CheckStatus.WARN


def test_redis_that_refuses_writes_fails(settings: Settings) -> None:
    with Redis.from_url(settings.redis) as redis:
        redis.config_set("maxmemory", "1")
        try:
            assert "maxmemory" in check_result(settings, "redis writes").detail
            assert check_result(settings, "redis memory").status is CheckStatus.WARN
        finally:
            redis.config_set("maxmemory", "0")


def test_unavailable_servers_fail_and_other_checks_run(tmp_path: Path) -> None:
    result = statuses(
        load_settings(broker="127.0.0.1:1", redis="redis://127.0.0.1:1/0", data_dir=tmp_path / "worker")
    )
    assert result == {
        "broker": CheckStatus.FAIL,
        "redis": CheckStatus.FAIL,
        "data folder": CheckStatus.OK,
        "rocksdb": CheckStatus.OK,
    }


def test_command_prints_one_line_per_check_and_sets_exit_status(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("app_id", "broker", "redis", "data_dir"):
        monkeypatch.setenv(f"HEADRACE_{name.upper()}", str(getattr(settings, name)))
    healthy = CliRunner().invoke(build_cli(), ["doctor"])
    assert healthy.exit_code == 0
    assert healthy.output.startswith(f"ok    broker: Kafka answers at {settings.broker}\n")
    monkeypatch.setenv("HEADRACE_REDIS", "redis://127.0.0.1:1/0")
    unhealthy = CliRunner().invoke(build_cli(), ["doctor"])
    assert unhealthy.exit_code == 1
    assert "FAIL  redis: no answer from redis://127.0.0.1:1/0" in unhealthy.output


def test_data_folder_that_cannot_be_created_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load_settings(
        broker="127.0.0.1:1", redis="redis://127.0.0.1:1/0", data_dir=tmp_path / "file" / "worker"
    )
    assert check_result(settings, "data folder").status is CheckStatus.FAIL
