"""Dead letters are selected, deduplicated, escaped and replayed."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import UserError
from stream_app.tools.dead_letter_selection import (
    DeadLetterFilter,
    deduplicate,
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
    """Records the replayed letters."""

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
    # of a topic that was deleted and created anew
    other_origins.append(letter(1, timestamp=first.timestamp + 60.0))
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
