"""Every declared command names a function that accepts its options."""

import inspect
import re
from pathlib import Path
from typing import Final

import pytest

from stream_app.tools import cli
from stream_app.tools.cli.command import find_target

_DECLARATION: Final = re.compile(r'add_command\(\s*\w+, "[\w-]+", "([\w:]+)"(?:, ([A-Z]\w+))?')

TARGETS: Final = {
    target: options
    for path in sorted(Path(cli.__file__).parent.glob("*.py"))
    for target, options in _DECLARATION.findall(path.read_text(encoding="utf-8"))
}


def test_declarations_are_found() -> None:
    assert len(TARGETS) >= 13


@pytest.mark.parametrize(("target", "options"), TARGETS.items())
def test_target_accepts_the_declared_options(target: str, options: str) -> None:
    parameters = inspect.signature(find_target(target)).parameters.values()
    assert [parameter.annotation.__name__ for parameter in parameters] == ([options] if options else [])
