import re
import time
from pathlib import Path

import pytest
from redis import Redis
from typer.testing import CliRunner

from stream_app.__main__ import build_cli
from stream_app.settings import Settings, load_settings
from stream_app.tools.diagnostics import Finding, Verdict, examine
from topics import admin
from topics.catalog import catalogue


def verdicts(settings: Settings) -> dict[str, Verdict]:
    return {finding.subject: finding.verdict for finding in examine(settings)}


def finding(settings: Settings, subject: str) -> Finding:
    return next(one for one in examine(settings) if one.subject == subject)


def test_a_place_where_a_worker_can_run_has_nothing_to_complain_of(settings: Settings) -> None:
    with Redis.from_url(settings.redis) as redis:
        before = redis.config_get("maxmemory*")
        redis.config_set("maxmemory", "64mb")
        redis.config_set("maxmemory-policy", "volatile-ttl")
        try:
            found = verdicts(settings)
            assert set(found.values()) == {Verdict.OK}
            assert {"broker clock", "redis clock"} <= set(found)
        finally:
            for name in ("maxmemory", "maxmemory-policy"):
                redis.config_set(name, before[name])
        assert redis.dbsize() == 0
    assert list(settings.data_dir.iterdir()) == []
    left = {name for name in admin.list_names(settings.broker) if not name.startswith("__")}
    assert left == {spec.name for spec in catalogue(settings.app_id)}


def test_a_broker_whose_clock_is_off_is_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    skew = admin.clock_skew
    monkeypatch.setattr(admin, "clock_skew", lambda broker: skew(broker, clock=lambda: time.time() + 90.0))
    found = finding(settings, "broker clock")
    assert found.verdict is Verdict.WARN
    assert re.match(r"(89,[5-9]|90,[0-4])\d\d ms behind this machine's", found.detail)
    assert "NTP" in found.remedy


def test_a_broker_that_lets_us_make_no_topic_is_said_to_be_unchecked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise admin.TopicAdminError("Could not create the topic: not authorized")

    monkeypatch.setattr(admin, "create", refused)
    found = finding(settings, "broker clock")
    assert found.verdict is Verdict.WARN
    assert found.detail == "was not checked: Could not create the topic: not authorized"


def test_a_missing_topic_fails_with_what_to_do(settings: Settings) -> None:
    admin.delete(["rewards"], settings.broker)
    assert finding(settings, "topics") == Finding(
        Verdict.FAIL, "topics", "rewards is missing", "headrace topics create"
    )


def test_an_unlimited_redis_is_a_warning(settings: Settings) -> None:
    assert finding(settings, "redis memory").verdict is Verdict.WARN


def test_a_redis_that_takes_no_writes_fails(settings: Settings) -> None:
    with Redis.from_url(settings.redis) as redis:
        redis.config_set("maxmemory", "1")
        try:
            assert "maxmemory" in finding(settings, "redis writes").detail
            assert finding(settings, "redis memory").verdict is Verdict.WARN
        finally:
            redis.config_set("maxmemory", "0")


def test_absent_servers_fail_and_the_other_checks_go_on(tmp_path: Path) -> None:
    found = verdicts(
        load_settings(broker="127.0.0.1:1", redis="redis://127.0.0.1:1/0", data_dir=tmp_path / "worker")
    )
    assert found == {
        "broker": Verdict.FAIL,
        "redis": Verdict.FAIL,
        "data folder": Verdict.OK,
        "rocksdb": Verdict.OK,
    }


def test_the_command_prints_a_line_a_check_and_its_status_tells(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("app_id", "broker", "redis", "data_dir"):
        monkeypatch.setenv(f"HEADRACE_{name.upper()}", str(getattr(settings, name)))
    healthy = CliRunner().invoke(build_cli(), ["doctor"])
    assert healthy.exit_code == 0
    assert healthy.output.startswith(f"ok    broker: Kafka answers at {settings.broker}\n")
    monkeypatch.setenv("HEADRACE_REDIS", "redis://127.0.0.1:1/0")
    ill = CliRunner().invoke(build_cli(), ["doctor"])
    assert ill.exit_code == 1
    assert "FAIL  redis: no answer from redis://127.0.0.1:1/0" in ill.output


def test_a_data_folder_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load_settings(
        broker="127.0.0.1:1", redis="redis://127.0.0.1:1/0", data_dir=tmp_path / "file" / "worker"
    )
    assert finding(settings, "data folder").verdict is Verdict.FAIL
