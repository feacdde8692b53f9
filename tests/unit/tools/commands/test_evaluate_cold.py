"""`headrace evaluate cold` refuses wrong options before it makes a shop."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream_app.__main__ import build_cli
from stream_app.errors import UserError


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--shops", "toys", "no shop 'toys'; there are words, books"),
        ("--seeds", "one", "numbers between commas"),
    ],
)
def test_a_wrong_option_is_one_sentence(option: str, value: str, message: str, tmp_path: Path) -> None:
    report = tmp_path / "cold.json"
    result = CliRunner().invoke(build_cli(), ["evaluate", "cold", "--report", str(report), option, value])
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert not report.exists()
