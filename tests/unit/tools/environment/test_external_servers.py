"""Servers that environment variables name: described, and checked before a run."""

import re

import pytest

from stream_app.errors import UserError
from stream_app.settings import load_settings
from stream_app.tools.embedded import EmbeddedServers
from stream_app.tools.environment.external_servers import (
    check_external_servers,
    clean_up,
    create_missing_topics,
    describe_servers,
    start_at_latest,
    temporary_app_id,
)

UNREACHABLE = {"BROKER": "127.0.0.1:1", "REDIS": "redis://127.0.0.1:1/0"}


@pytest.fixture(autouse=True)
def without_external_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in UNREACHABLE:
        monkeypatch.delenv(f"HEADRACE_{name}", raising=False)


def test_embedded_servers_are_not_checked() -> None:
    servers = EmbeddedServers()
    check_external_servers(servers)
    assert describe_servers(servers) == "Kafka broker and Redis, on free ports of this machine"


@pytest.mark.parametrize(
    ("env_names", "expected"),
    [
        (["BROKER"], "as set by HEADRACE_BROKER, the other on a free port of this machine"),
        (["REDIS"], "as set by HEADRACE_REDIS, the other on a free port of this machine"),
        (["BROKER", "REDIS"], "as set by HEADRACE_BROKER and HEADRACE_REDIS"),
    ],
)
def test_an_unreachable_external_server_is_one_error_sentence(
    monkeypatch: pytest.MonkeyPatch, env_names: list[str], expected: str
) -> None:
    for name in env_names:
        monkeypatch.setenv(f"HEADRACE_{name}", UNREACHABLE[name])
    servers = EmbeddedServers()
    assert describe_servers(servers) == f"Kafka broker and Redis, {expected}"
    with pytest.raises(UserError) as raised:
        check_external_servers(servers)
    assert UNREACHABLE[env_names[0]] in str(raised.value)
    assert f"set HEADRACE_{env_names[0]}." in str(raised.value)
    assert ".." not in str(raised.value)


def test_a_broker_error_is_one_error_sentence() -> None:
    for create_or_seek in (
        lambda: create_missing_topics("shop", UNREACHABLE["BROKER"], 4),
        lambda: start_at_latest("shop", UNREACHABLE["BROKER"]),
    ):
        with pytest.raises(UserError, match=r"set HEADRACE_BROKER\. Run `headrace doctor` for details\.$"):
            create_or_seek()
    clean_up("shop", UNREACHABLE["BROKER"])  # raises nothing at the end of a run


def test_a_temporary_app_id_is_unique_and_valid() -> None:
    for app_id in ("shop", "x" * 200):
        first, second = temporary_app_id(app_id), temporary_app_id(app_id)
        assert first != second
        assert re.match(rf"{app_id[:4]}.*-demo-", first)
        assert load_settings(app_id=first).app_id == first
