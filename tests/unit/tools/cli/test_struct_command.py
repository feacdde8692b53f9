"""Commands whose options are the fields of a struct."""

from pathlib import Path
from typing import Annotated, get_args, get_type_hints

import msgspec
import pytest
import typer
from msgspec import Meta
from typer.testing import CliRunner

from stream_app.tools.cli.struct_command import add_struct_command
from stream_app.tools.demo.demo_options import DemoOptions
from stream_app.tools.simulator.log_split import Tenth
from stream_app.tools.simulator.simulation_options import SimulationOptions


def run_with(options: type[msgspec.Struct], *arguments: str, status: int = 0) -> msgspec.Struct:
    """The options that a command receives."""
    received: list[msgspec.Struct] = []

    def run(value: msgspec.Struct) -> int:
        received.append(value)
        return status

    cli = typer.Typer(pretty_exceptions_enable=False)
    add_struct_command(cli, "run", options, run, help_text="Run.")
    result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == status, result.output
    return received[0]


@pytest.mark.parametrize("options", [DemoOptions, SimulationOptions])
def test_without_arguments_a_command_receives_the_defaults_of_the_struct(
    options: type[msgspec.Struct],
) -> None:
    assert run_with(options) == options()


@pytest.mark.parametrize("options", [DemoOptions, SimulationOptions])
def test_every_option_has_a_help_text(options: type[msgspec.Struct]) -> None:
    for name, annotation in get_type_hints(options, include_extras=True).items():
        _, meta = get_args(annotation)
        assert meta.description, name


def test_values_are_parsed_and_named_as_declared() -> None:
    found = run_with(
        SimulationOptions, "-f", "trivago", "--tenth", "3/10", "--warm-up", "0.5", "--shifts", "1", "--own-servers",
        "--report", "r.json",
    )  # fmt: skip
    expected = SimulationOptions(
        format="trivago", tenth=Tenth(3), warm_up=0.5, shifts=(1.0,), own_servers=True, report=Path("r.json")
    )
    assert found == expected


def test_the_exit_status_is_the_result_of_the_run() -> None:
    assert run_with(DemoOptions, status=130) == DemoOptions()


class Bounded(msgspec.Struct):
    """One option with bounds."""

    count: Annotated[int, Meta(ge=1, le=3, description="A number.")] = 2


def test_a_value_out_of_bounds_is_rejected() -> None:
    cli = typer.Typer()
    add_struct_command(cli, "run", Bounded, lambda _: 0, help_text="Run.")
    for text, status in (("3", 0), ("4", 2), ("0", 2)):
        assert CliRunner().invoke(cli, ["--count", text]).exit_code == status
