"""Dead letters are chosen, told apart, shown without harm and sent back."""

import io
import json
from collections.abc import Iterator
from typing import Self

import msgspec
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

import stream_app.tools.dead_letter_log
from stream_app.errors import UserError
from stream_app.tools.cli import dead_letters as command
from stream_app.tools.dead_letter_log import (
    DeadLetterFilter,
    deduplicate,
    format_time,
    parse_dead_letter,
    preview,
    printable,
    replay,
    select,
)
from topics.catalog import SHOP_TOPICS
from topics.codec import RejectReason
from topics.records import DeadLetter


def letter(offset: int = 0, **fields: object) -> DeadLetter:
    base = DeadLetter(
        reason="wrong_type",
        detail="Expected `str`, got `int` - at `$.user_id`",
        topic="events.click",
        partition=1,
        offset=offset,
        timestamp=1_541_599_523.25,
        key=b"u1",
        value=b'{"user_id":5}',
    )
    return msgspec.structs.replace(base, **fields)


class RecordingSender:
    """Remembers what was sent back."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    def send(self, letter: DeadLetter) -> None:
        self.letters.append(letter)


def test_selection_matches_reason_and_topic() -> None:
    assert letter() in select()
    assert letter() in select(reason="wrong_type", topic="events.click")
    assert letter() not in select(reason="unreadable")
    assert letter() not in select(topic="events.search")


@pytest.mark.parametrize("reason", RejectReason)
@pytest.mark.parametrize("topic", [spec.name for spec in SHOP_TOPICS])
def test_every_reason_and_topic_can_be_selected(reason: RejectReason, topic: str) -> None:
    assert select(reason=str(reason), topic=topic) == DeadLetterFilter(reason=str(reason), topic=topic)


def test_unknown_reason_or_topic_error_lists_known_ones() -> None:
    with pytest.raises(UserError, match=r"no reason 'wrong-type'; there are unreadable, wrong_type"):
        select(reason="wrong-type")
    with pytest.raises(UserError, match=r"come from events\.click, .*; not from 'click'"):
        select(topic="click")


@pytest.mark.parametrize("raw", [None, b"", b"\xff", b"null", b"{}", b"[" * 100_000, b'{"reason":"\xff"}'])
def test_invalid_records_are_skipped(raw: bytes | None) -> None:
    assert parse_dead_letter(raw) is None


@given(st.binary() | st.none(), st.binary() | st.none())
def test_original_bytes_survive_a_round_trip(key: bytes | None, value: bytes | None) -> None:
    sent = letter(key=key, value=value)
    assert parse_dead_letter(msgspec.json.encode(sent)) == sent


def test_duplicate_letters_count_once() -> None:
    first, second = letter(1), letter(2)
    other_origins = [letter(1, partition=0), letter(1, topic="events.search")]
    rewritten = letter(1, detail="written again after a crash")
    assert list(deduplicate([first, second, rewritten, *other_origins])) == [first, second, *other_origins]


def test_replay_sends_originals_in_their_order() -> None:
    sender = RecordingSender()
    letters = [letter(offset) for offset in range(5)]
    assert replay(iter(letters), sender) == 5
    assert sender.letters == letters


@given(st.text())
def test_text_is_escaped_for_the_terminal(text: str) -> None:
    assert printable(text).isprintable()


@given(st.binary(max_size=2_000) | st.none(), st.integers(1, 200))
def test_bytes_are_escaped_for_the_terminal(raw: bytes | None, length: int) -> None:
    output = preview(raw, length)
    assert output.isprintable()
    assert len(output) <= max(length, 6) + len("… 2000 bytes")


@pytest.mark.parametrize(
    ("raw", "output"),
    [
        (None, "(null)"),
        (b"", ""),
        (b'{"a":1}', '{"a":1}'),
        ("é🛒".encode(), "é🛒"),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\u202egpj".encode(), "\\u202egpj"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"a" * 121, "a" * 120 + "… 121 bytes"),
    ],
)
def test_preview_shows_the_start_of_a_value(raw: bytes | None, output: str) -> None:
    assert preview(raw) == output


@pytest.mark.parametrize("seconds", [float("nan"), 1e300, -1e300])
def test_invalid_time_is_printed_unchanged(seconds: float) -> None:
    assert format_time(seconds) == str(seconds)


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
    """Stands where the topic would be."""

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
    instances: list["FakeReplayer"] = []  # noqa: RUF012  # the test looks into it

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
    monkeypatch.setattr(stream_app.tools.dead_letter_log, "DeadLetterLog", FakeDeadLetterLog)
    monkeypatch.setattr(stream_app.tools.dead_letter_log, "DeadLetterReplayer", FakeReplayer)
    cli = typer.Typer()
    command.register(cli)
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
    assert "2 records on the topic are no dead letters" in output


def test_the_command_shows_a_selection(cli: typer.Typer) -> None:
    output = run(cli, "--reason", "unreadable", "--limit", "0")
    assert "3 dead letters, 3 shown" in output
    assert "wrong_type" not in output


def test_command_reports_an_empty_selection(cli: typer.Typer) -> None:
    assert "No dead letters." in run(cli, "--topic", "events.search")
    assert "No dead letters to send back." in run(cli, "replay", "--topic", "events.search")


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
    assert "Sent back 3: 3 to events.click." in run(cli, "replay", "--yes", "--reason", "unreadable")
    assert [sent.offset for sent in FakeReplayer.instances[0].letters] == [0, 3, 6]


def test_replay_without_a_terminal_asks_for_yes(cli: typer.Typer) -> None:
    with pytest.raises(UserError, match=r"9 to events\.click would be sent back; --yes"):
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
    assert "Send 9 to events.click back" in run(cli, "replay", answer=answer)
    assert len(FakeReplayer.instances) == sent
