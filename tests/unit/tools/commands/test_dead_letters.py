"""`headrace dead-letters` shows and replays the selected letters."""

import io
import json
from collections.abc import Iterator
from typing import Self

import msgspec
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from stream_app.errors import UserError
from stream_app.tools.cli import dead_letters as declaration
from stream_app.tools.commands import dead_letters as command
from stream_app.tools.dead_letter_selection import deduplicate
from tests.unit.tools.test_dead_letter_selection import RecordingSender, letter
from topics.log_keys import one_way_hash
from topics.records import DeadLetter


def test_table_escapes_hostile_letters() -> None:
    hostile = letter(
        7, detail="Invalid enum value '\x1b[2J[red]x[/red]'", key=b"\x1b[31m", value=b'{"a":"\xff\x07[bold]"}'
    )
    out = io.StringIO()
    Console(file=out, width=240).print(command.letters_table([letter(6), hostile]))
    text = out.getvalue()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "2018-11-07T14:05:23.250Z" in text
    assert "events.click[1]@7" in text
    assert "Invalid enum value '\\x1b[2J[red]x[/red]'" in text
    assert '{"a":"\\xff\\x07[bold]"}' in text


class FakeDeadLetterLog:
    """An in-memory dead-letter topic."""

    n_invalid = 2
    letters = tuple(
        letter(offset, reason="unreadable" if offset % 3 == 0 else "wrong_type") for offset in range(9)
    )

    def __init__(self, broker: str) -> None:
        self.broker = broker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self) -> Iterator[DeadLetter]:
        return deduplicate(self.letters)

    def follow(self) -> Iterator[DeadLetter]:
        return iter([letter(99), letter(100, reason="unreadable")])


class FakeReplayer(RecordingSender):
    instances: list["FakeReplayer"] = []  # noqa: RUF012  # tests read it

    def __init__(self, broker: str) -> None:
        super().__init__()
        self.broker = broker
        self.instances.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    FakeReplayer.instances.clear()
    monkeypatch.setattr(command, "DeadLetterLog", FakeDeadLetterLog)
    monkeypatch.setattr(command, "DeadLetterReplayer", FakeReplayer)
    monkeypatch.setattr(command, "read_erasures", lambda _broker: {})
    cli = typer.Typer()
    declaration.register(cli)
    return cli


def run(cli: typer.Typer, *arguments: str, answer: str | None = None) -> str:
    result = CliRunner().invoke(cli, ["dead-letters", *arguments], input=answer)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_the_command_shows_the_newest_and_counts_all_by_reason(cli: typer.Typer) -> None:
    output = run(cli, "--limit", "2")
    assert "@8" in output
    assert "@7" in output
    assert "@6" not in output
    assert "9 dead letters, 2 shown" in output
    assert "6  wrong_type" in output
    assert "3  unreadable" in output
    assert "2 records on the topic are not dead letters" in output


def test_the_command_shows_a_selection(cli: typer.Typer) -> None:
    output = run(cli, "--reason", "unreadable", "--limit", "0")
    assert "3 dead letters, 3 shown" in output
    assert "wrong_type" not in output


def test_command_reports_an_empty_selection(cli: typer.Typer) -> None:
    assert "No dead letters." in run(cli, "--topic", "events.search")
    assert "No dead letters to replay." in run(cli, "replay", "--topic", "events.search")


def test_json_output_is_one_ascii_document_per_line(cli: typer.Typer) -> None:
    lines = run(cli, "--json").splitlines()
    assert all(line.isascii() for line in lines)
    assert [msgspec.convert(json.loads(line), DeadLetter) for line in lines] == list(
        FakeDeadLetterLog.letters
    )


def test_follow_prints_new_letters_of_the_selection(cli: typer.Typer) -> None:
    output = run(cli, "--follow", "--reason", "unreadable")
    assert "@100" in output
    assert "@99" not in output


def test_replay_with_yes_sends_the_selection_and_prints_the_count(cli: typer.Typer) -> None:
    assert "Replayed 3: 3 to events.click." in run(cli, "replay", "--yes", "--reason", "unreadable")
    assert [sent.offset for sent in FakeReplayer.instances[0].letters] == [0, 3, 6]


def test_replay_skips_the_letters_of_users_who_were_erased_since(
    cli: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = 1_000.0, 3_000.0
    letters = (
        letter(0, timestamp=early, key=b"ann", value=b"no JSON"),
        letter(1, timestamp=early, key=b"another key", value=b'{"user_id":"ann"}'),
        letter(2, timestamp=late, key=b"ann"),
        letter(3, timestamp=early, key=b"bob"),
        letter(4, timestamp=early, key=b"ann", topic="events.erasure"),
    )
    monkeypatch.setattr(FakeDeadLetterLog, "letters", letters)
    monkeypatch.setattr(command, "read_erasures", lambda _broker: {one_way_hash("ann"): 2_000.0})
    output = run(cli, "replay", "--yes")
    assert "Skipping 2 of users who were erased since." in output
    assert "Replayed 3: 2 to events.click, 1 to events.erasure." in output
    assert [sent.offset for sent in FakeReplayer.instances[0].letters] == [2, 3, 4]


def test_replay_without_a_terminal_asks_for_yes(cli: typer.Typer) -> None:
    with pytest.raises(UserError, match=r"9 to events\.click would be replayed; give --yes"):
        run(cli, "replay")
    assert not FakeReplayer.instances


def test_options_before_the_replay_command_are_rejected(cli: typer.Typer) -> None:
    assert "come after it" in run(cli, "--reason", "unreadable", "replay", "--yes")
    assert not FakeReplayer.instances


@pytest.mark.parametrize(("answer", "sent"), [("y\n", 1), ("n\n", 0)])
def test_replay_asks_for_confirmation(
    cli: typer.Typer, monkeypatch: pytest.MonkeyPatch, answer: str, sent: int
) -> None:
    monkeypatch.setattr(command, "is_interactive", lambda: True)
    assert "Replay 9 to events.click on" in run(cli, "replay", answer=answer)
    assert len(FakeReplayer.instances) == sent
