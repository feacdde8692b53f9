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
    Selection,
    parse,
    preview,
    printable,
    replay,
    select,
    unique,
    when,
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


class Sent:
    """Remembers what was sent back."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    def send(self, letter: DeadLetter) -> None:
        self.letters.append(letter)


def test_a_selection_holds_what_was_asked_for() -> None:
    assert letter() in select()
    assert letter() in select(reason="wrong_type", topic="events.click")
    assert letter() not in select(reason="unreadable")
    assert letter() not in select(topic="events.search")


@pytest.mark.parametrize("reason", RejectReason)
@pytest.mark.parametrize("topic", [spec.name for spec in SHOP_TOPICS])
def test_every_reason_and_topic_of_the_shop_can_be_selected(reason: RejectReason, topic: str) -> None:
    assert select(reason=str(reason), topic=topic) == Selection(reason=str(reason), topic=topic)


def test_a_misspelt_reason_or_topic_is_refused_with_the_right_ones() -> None:
    with pytest.raises(UserError, match=r"no reason 'wrong-type'; there are unreadable, wrong_type"):
        select(reason="wrong-type")
    with pytest.raises(UserError, match=r"come from events\.click, .*; not from 'click'"):
        select(topic="click")


@pytest.mark.parametrize("raw", [None, b"", b"\xff", b"null", b"{}", b"[" * 100_000, b'{"reason":"\xff"}'])
def test_what_is_no_dead_letter_is_passed_over(raw: bytes | None) -> None:
    assert parse(raw) is None


@given(st.binary() | st.none(), st.binary() | st.none())
def test_original_bytes_survive_the_journey(key: bytes | None, value: bytes | None) -> None:
    sent = letter(key=key, value=value)
    assert parse(msgspec.json.encode(sent)) == sent


def test_a_letter_written_twice_counts_once() -> None:
    first, second = letter(1), letter(2)
    elsewhere = [letter(1, partition=0), letter(1, topic="events.search")]
    again = letter(1, detail="written again after a crash")
    assert list(unique([first, second, again, *elsewhere])) == [first, second, *elsewhere]


def test_replay_sends_originals_in_their_order() -> None:
    sender = Sent()
    letters = [letter(offset) for offset in range(5)]
    assert replay(iter(letters), sender) == 5
    assert sender.letters == letters


@given(st.text())
def test_no_text_can_steer_the_terminal(text: str) -> None:
    assert printable(text).isprintable()


@given(st.binary(max_size=2_000) | st.none(), st.integers(1, 200))
def test_no_bytes_can_steer_the_terminal(raw: bytes | None, length: int) -> None:
    shown = preview(raw, length)
    assert shown.isprintable()
    assert len(shown) <= max(length, 6) + len("… 2000 bytes")


@pytest.mark.parametrize(
    ("raw", "shown"),
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
def test_the_beginning_of_a_value(raw: bytes | None, shown: str) -> None:
    assert preview(raw) == shown


@pytest.mark.parametrize("seconds", [float("nan"), 1e300, -1e300])
def test_a_time_that_is_none_is_shown_as_it_is(seconds: float) -> None:
    assert when(seconds) == str(seconds)


def test_the_table_shows_hostile_letters_whole_and_harmless() -> None:
    hostile = letter(
        7, detail="Invalid enum value '\x1b[2J[red]x[/red]'", key=b"\x1b[31m", value=b'{"a":"\xff\x07[bold]"}'
    )
    out = io.StringIO()
    Console(file=out, width=240).print(command.table([letter(6), hostile]))
    text = out.getvalue()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "2018-11-07T14:05:23.250Z" in text
    assert "events.click[1]@7" in text
    assert "Invalid enum value '\\x1b[2J[red]x[/red]'" in text
    assert '{"a":"\\xff\\x07[bold]"}' in text


class Log:
    """Stands where the topic would be."""

    foreign = 2
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
        return unique(self.letters)

    def follow(self) -> Iterator[DeadLetter]:
        return iter([letter(99), letter(100, reason="unreadable")])


class Originals(Sent):
    made: list["Originals"] = []  # noqa: RUF012  # the test looks into it

    def __init__(self, broker: str) -> None:
        super().__init__()
        self.broker = broker
        self.made.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    Originals.made.clear()
    monkeypatch.setattr(stream_app.tools.dead_letter_log, "DeadLetterLog", Log)
    monkeypatch.setattr(stream_app.tools.dead_letter_log, "OriginalTopics", Originals)
    cli = typer.Typer()
    command.register(cli)
    return cli


def run(cli: typer.Typer, *arguments: str, answer: str | None = None) -> str:
    result = CliRunner().invoke(cli, ["dead-letters", *arguments], input=answer)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_the_command_shows_the_newest_and_counts_all_by_reason(cli: typer.Typer) -> None:
    shown = run(cli, "--limit", "2")
    assert "@8" in shown
    assert "@7" in shown
    assert "@6" not in shown
    assert "9 dead letters, 2 shown" in shown
    assert "6  wrong_type" in shown
    assert "3  unreadable" in shown
    assert "2 records on the topic are no dead letters" in shown


def test_the_command_shows_a_selection(cli: typer.Typer) -> None:
    shown = run(cli, "--reason", "unreadable", "--limit", "0")
    assert "3 dead letters, 3 shown" in shown
    assert "wrong_type" not in shown


def test_the_command_says_when_there_are_none(cli: typer.Typer) -> None:
    assert "No dead letters." in run(cli, "--topic", "events.search")
    assert "No dead letters to send back." in run(cli, "replay", "--topic", "events.search")


def test_json_is_whole_one_document_a_line_in_ascii(cli: typer.Typer) -> None:
    lines = run(cli, "--json").splitlines()
    assert all(line.isascii() for line in lines)
    assert [msgspec.convert(json.loads(line), DeadLetter) for line in lines] == list(Log.letters)


def test_follow_goes_on_with_new_ones_of_the_selection(cli: typer.Typer) -> None:
    shown = run(cli, "--follow", "--reason", "unreadable")
    assert "@100" in shown
    assert "@99" not in shown


def test_replay_with_yes_sends_the_selection_and_says_how_many(cli: typer.Typer) -> None:
    assert "Sent back 3: 3 to events.click." in run(cli, "replay", "--yes", "--reason", "unreadable")
    assert [sent.offset for sent in Originals.made[0].letters] == [0, 3, 6]


def test_replay_without_a_terminal_asks_for_yes(cli: typer.Typer) -> None:
    with pytest.raises(UserError, match=r"9 to events\.click would be sent back; --yes"):
        run(cli, "replay")
    assert not Originals.made


def test_a_selection_in_the_wrong_place_sends_nothing(cli: typer.Typer) -> None:
    assert "come after it" in run(cli, "--reason", "unreadable", "replay", "--yes")
    assert not Originals.made


@pytest.mark.parametrize(("answer", "sent"), [("y\n", 1), ("n\n", 0)])
def test_replay_asks_first(cli: typer.Typer, monkeypatch: pytest.MonkeyPatch, answer: str, sent: int) -> None:
    monkeypatch.setattr(command, "at_a_terminal", lambda: True)
    assert "Send 9 to events.click back" in run(cli, "replay", answer=answer)
    assert len(Originals.made) == sent
