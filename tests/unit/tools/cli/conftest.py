"""The runner of ``headrace policies``."""

import pytest

from tests.support.policies_command_runner import CommandRunner


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandRunner:
    return CommandRunner(monkeypatch, capsys)
