"""Commands whose options are the fields of a dataclass."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from stream_app.tools.cli import command
from stream_app.tools.cli.command import add_command
from stream_app.tools.demo.demo_options import DemoOptions
from stream_app.tools.simulator.log_split import Tenth
from stream_app.tools.simulator.simulation_options import SimulationOptions


def run_with(
    monkeypatch: pytest.MonkeyPatch, options: type, *arguments: str, expected_status: int = 0
) -> list[Any]:
    """The options that a command receives."""
    received: list[Any] = []
    monkeypatch.setattr(command, "run_command", lambda _target, value: received.append(value))
    cli = typer.Typer(pretty_exceptions_enable=False)
    add_command(cli, "run", "module:run", options, help="Run.")
    result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == expected_status, result.output
    return received


@pytest.mark.parametrize("options", [DemoOptions, SimulationOptions])
def test_without_arguments_a_command_receives_the_defaults_of_the_dataclass(
    monkeypatch: pytest.MonkeyPatch, options: type
) -> None:
    assert run_with(monkeypatch, options) == [options()]


@pytest.mark.parametrize("options", [DemoOptions, SimulationOptions])
def test_every_option_has_a_help_text(options: type) -> None:
    for field in dataclasses.fields(options):
        assert field.type.__metadata__[-1].help, field.name  # type: ignore[union-attr]


def test_values_are_parsed_and_named_as_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_with(
        monkeypatch, SimulationOptions, "-f", "trivago", "--tenth", "3/10", "--warm-up", "0.5", "--shifts", "1",
        "--own-servers", "--report", "r.json",
    )  # fmt: skip
    expected = SimulationOptions(
        format="trivago", tenth=Tenth(3), warm_up=0.5, shifts=(1.0,), own_servers=True, report=Path("r.json")
    )
    assert found == [expected]


@pytest.mark.parametrize(("text", "status"), [("64", 0), ("65", 2), ("0", 2)])
def test_a_value_out_of_bounds_is_rejected(monkeypatch: pytest.MonkeyPatch, text: str, status: int) -> None:
    found = run_with(monkeypatch, DemoOptions, "--workers", text, expected_status=status)
    assert found == ([] if status else [DemoOptions(workers=64)])
