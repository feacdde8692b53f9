"""Servers that the environment names: said in words, tried before anything is ticked."""

import re

import pytest

from stream_app.errors import UserError
from stream_app.settings import load_settings
from stream_app.tools.embedded import EmbeddedServers
from stream_app.tools.environment.external_servers import (
    introduction,
    lodger_id,
    make_topics,
    move_in,
    move_out,
    try_own,
)

NOBODY = {"BROKER": "127.0.0.1:1", "REDIS": "redis://127.0.0.1:1/0"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NOBODY:
        monkeypatch.delenv(f"HEADRACE_{name}", raising=False)


def test_servers_of_its_own_are_not_tried() -> None:
    servers = EmbeddedServers()
    try_own(servers)
    assert introduction(servers) == "Kafka broker and Redis, on free ports of this machine"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (["BROKER"], "as HEADRACE_BROKER says, the other on a free port of this machine"),
        (["REDIS"], "as HEADRACE_REDIS says, the other on a free port of this machine"),
        (["BROKER", "REDIS"], "as HEADRACE_BROKER and HEADRACE_REDIS say"),
    ],
)
def test_a_server_that_is_named_and_absent_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, named: list[str], said: str
) -> None:
    for name in named:
        monkeypatch.setenv(f"HEADRACE_{name}", NOBODY[name])
    servers = EmbeddedServers()
    assert introduction(servers) == f"Kafka broker and Redis, {said}"
    with pytest.raises(UserError) as raised:
        try_own(servers)
    assert NOBODY[named[0]] in str(raised.value)
    assert f"set HEADRACE_{named[0]}." in str(raised.value)
    assert ".." not in str(raised.value)


def test_what_a_broker_refuses_is_one_sentence_too() -> None:
    for ask in (lambda: make_topics("shop", NOBODY["BROKER"], 4), lambda: move_in("shop", NOBODY["BROKER"])):
        with pytest.raises(UserError, match=r"set HEADRACE_BROKER\. `headrace doctor` says more\.$"):
            ask()
    move_out("shop", NOBODY["BROKER"])  # at the end of a run nobody is told


def test_the_application_id_of_a_run_is_a_new_one_that_settings_take() -> None:
    for app_id in ("shop", "x" * 200):
        first, second = lodger_id(app_id), lodger_id(app_id)
        assert first != second
        assert re.match(rf"{app_id[:4]}.*-demo-", first)
        assert load_settings(app_id=first).app_id == first
