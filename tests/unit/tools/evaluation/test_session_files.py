"""Reading of session files, and the times added to them."""

import gzip
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import UserError
from stream_app.tools.evaluation.session_files import SessionClock, read_sessions, validation_split
from topics.records import Kind, Source


def test_plain_and_gzip_files_read_alike(tmp_path: Path) -> None:
    text = b'[1, 2]\n\n["a", 3, "a"]\n[]'
    plain, compressed = tmp_path / "plain.jsonl", tmp_path / "packed.jsonl.gz"
    plain.write_bytes(text)
    compressed.write_bytes(gzip.compress(text))
    assert read_sessions(plain) == read_sessions(compressed) == [["1", "2"], ["a", "3", "a"], []]
    assert read_sessions(plain, limit=1) == [["1", "2"]]


@pytest.mark.parametrize("line", ['{"a": 1}', "[1, 2", "[[1]]", "[1.5]", "1\t2", "[null]"])
def test_invalid_line_error_names_the_line_and_the_remedy(tmp_path: Path, line: str) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_text(f"[1, 2]\n{line}\n")
    with pytest.raises(UserError, match=r"sessions\.jsonl:2: .*JSON list of item ids.*remove that line\.$"):
        read_sessions(path)


def test_empty_file_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_text("[]\n\n")
    with pytest.raises(UserError, match="holds no session"):
        read_sessions(path)


def test_missing_file_error_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file .*absent"):
        read_sessions(tmp_path / "absent.jsonl")


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=9), max_size=20), st.floats(1, 1e6))
def test_sessions_never_overlap_and_offsets_rise(sessions: list[list[str]], sessions_per_day: float) -> None:
    clock = SessionClock(sessions_per_day)
    log = [event for session in sessions for event in clock.timed_session(session).interactions()]
    assert [event.offset for event in log] == list(range(sum(map(len, sessions))))
    assert all(before.ts < after.ts for before, after in pairwise(log))
    assert {(event.source, event.partition, event.kind) for event in log} <= {(Source.CLICK, 0, Kind.VIEW)}


def test_times_do_not_depend_on_session_length() -> None:
    short, long = (SessionClock(50_000).timed_session(list(items)) for items in ("ab", "abcdef"))
    assert short.times == long.times[:2]


def test_sessions_per_day_sets_the_pace() -> None:
    clock = SessionClock(1000)
    first, *_, last = [clock.timed_session(["a", "b"]) for _ in range(1001)]
    assert last.times[0] - first.times[0] == pytest.approx(86_400)


def test_validation_split_takes_the_newest_sessions() -> None:
    sessions = [[str(n)] for n in range(10)]
    assert validation_split(sessions, 3) == (sessions[:7], sessions[7:])
    assert validation_split(sessions, 3, train_limit=100) == (sessions[:7], sessions[7:])
    with pytest.raises(UserError, match="--validation-tail 10 leaves nothing to learn from"):
        validation_split(sessions, 10)
