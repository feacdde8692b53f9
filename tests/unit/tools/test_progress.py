"""Progress bars appear on terminals only, and leave the counted rows unchanged."""

import io

import pytest
from rich.console import Console

from stream_app.tools import progress
from stream_app.tools.progress import (
    iterate_with_progress,
    no_progress,
    progress_bar,
    progress_bars,
    row_counter,
)


def make_console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def output(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("total", [None, 0, 3])
def test_nothing_is_printed_without_a_terminal(total: int | None) -> None:
    console = make_console(terminal=False)
    with progress_bar(console, "reading", total) as update:
        update(1)
        update(2, "still reading")
    assert output(console) == ""


def test_bar_shows_title_and_count_on_a_terminal() -> None:
    console = make_console(terminal=True)
    with progress_bars(console)("predicting", 7) as update:
        update(3)
    assert "predicting" in output(console)
    assert "/7" in output(console)


def test_bar_of_no_steps_is_not_shown() -> None:
    console = make_console(terminal=True)
    with progress_bar(console, "warming up", 0):
        pass
    assert output(console) == ""


def test_short_read_shows_no_count() -> None:
    console = make_console(terminal=True)
    with row_counter(console, "reading events.csv") as update:
        update(1_000)
    assert output(console) == ""


def test_long_read_shows_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    console = make_console(terminal=True)
    monkeypatch.setattr(progress, "PROGRESS_DELAY_SECONDS", 0.0)
    with row_counter(console, "reading events.csv") as update:
        update(1_000)
    assert "1,000 rows" in output(console)


@pytest.mark.parametrize("terminal", [False, True])
def test_counted_rows_are_unchanged(terminal: bool) -> None:
    assert list(iterate_with_progress("abc", 3, make_console(terminal=terminal), "feeding")) == [
        "a",
        "b",
        "c",
    ]


def test_bar_is_closed_after_an_error() -> None:
    console = make_console(terminal=True)
    with pytest.raises(KeyboardInterrupt), progress_bar(console, "predicting", 3):
        raise KeyboardInterrupt
    with progress_bar(console, "again", 3):
        pass
    assert "again" in output(console)


def test_no_progress_accepts_updates() -> None:
    with no_progress("predicting", 3) as update:
        update(1)
