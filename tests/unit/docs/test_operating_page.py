"""docs/operating.md quotes the log lines of the worker, with their levels."""

import ast
import re
from collections.abc import Sequence
from functools import cache

import pytest

from tests.support import ROOT

LEVELS = {"exception": "error"}
"""The level of a method of a logger that does not have its level's name."""


WORKER_PACKAGES = (
    "stream_app/kafka",
    "stream_app/publishing",
    "stream_app/trainer",
    "stream_app/worker",
    "state",
)
"""The packages of a worker that log."""


@cache
def logged_lines(packages: Sequence[str]) -> dict[str, str]:
    """The level of every text that the packages log."""
    return {
        call.args[0].value: LEVELS.get(call.func.attr, call.func.attr)
        for package in packages
        for path in (ROOT / package).rglob("*.py")
        if "_LOG" in (text := path.read_text())
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "_LOG"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


TABLE = (ROOT / "docs" / "operating.md").read_text().split("| log line |", 1)[1].split("\n\n", 1)[0]
QUOTED = re.findall(r"^\| (?:``(.*?)``|`(.*?)`) \| (\w+) \|", TABLE, re.MULTILINE)


@pytest.mark.parametrize(("with_code", "plain", "level"), QUOTED)
def test_a_quoted_line_is_logged_at_its_level(with_code: str, plain: str, level: str) -> None:
    logged = logged_lines(("stream_app", "state", "topics"))
    assert logged.get(with_code or plain) == level


def test_every_warning_of_a_worker_is_quoted() -> None:
    quoted = {with_code or plain for with_code, plain, _ in QUOTED}
    logged = logged_lines(WORKER_PACKAGES)
    assert {text for text, level in logged.items() if level != "info"} - quoted == set()


def test_every_row_is_read() -> None:
    assert len(QUOTED) == TABLE.count("\n|") - 1
