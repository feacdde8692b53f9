"""The command line, tested as a process."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest
from typer.main import get_command

from stream_app.__main__ import COMMAND_MODULES, build_cli
from stream_app.settings import Settings

UNAVAILABLE_SERVERS: Final = {"HEADRACE_BROKER": "127.0.0.1:1", "HEADRACE_REDIS": "redis://127.0.0.1:1/0"}
SLOW_IMPORTS: Final = (
    "numpy",
    "numba",
    "faust",
    "river",
    "kafka",
    "aiokafka",
    "redis",
    "prometheus_client",
)


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        **UNAVAILABLE_SERVERS,
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )


@cache
def help_output(words: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    return run(*words, "--help")


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and group, as the arguments that call it."""

    def subcommands(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
        yield words
        for name, child in getattr(command, "commands", {}).items():
            yield from subcommands(child, *words, name)

    return subcommands(get_command(build_cli()))


COMMANDS: Final = tuple(commands())


def single_line_error(result: "subprocess.CompletedProcess[str]") -> str:
    """The message of an error: one line, no traceback, exit status 1."""
    assert result.returncode == 1, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("headrace: ")
    assert lines[0].endswith(".")
    return lines[0]


def test_every_command_is_registered() -> None:
    assert {words[0] for words in COMMANDS if words} == {name.replace("_", "-") for name in COMMAND_MODULES}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_describes_the_command_and_each_option(words: tuple[str, ...]) -> None:
    result = help_output(words)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage:" in result.stdout
    for option in re.findall(r"^│\s+(--[a-z-]+)", result.stdout, re.MULTILINE):
        [line] = [line for line in result.stdout.splitlines() if re.search(rf"│\s+{option}\s", line)]
        assert re.search(r"[A-Za-z]{2,}.* [A-Za-z]", line.split(option)[1]), f"{option} has no help text"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_names_the_extra_of_what_is_to_be_installed(words: tuple[str, ...]) -> None:
    """In help, brackets that are not escaped are markup, and not printed."""
    text = " ".join(help_output(words).stdout.replace("│", " ").split())
    installed = re.findall(r"(?:pip install '|needs |extra `)headrace(.)", text)
    assert set(installed) <= {"["}, text


@pytest.mark.parametrize(
    "words",
    [pytest.param(words) for words in COMMANDS],
    ids=" ".join,
)
def test_help_names_a_setting_or_shows_an_example(words: tuple[str, ...]) -> None:
    after_usage = re.sub(r"Usage:.*", "", help_output(words).stdout)
    assert re.search(r"HEADRACE_[A-Z]+|`headrace |^\s+headrace |[Ss]etting", after_usage, re.MULTILINE)


def test_topics_create_help_names_the_settings_of_its_defaults() -> None:
    text = help_output(("topics", "create")).stdout
    assert "HEADRACE_PARTITIONS" in text
    assert "HEADRACE_REPLICATION" in text


def test_help_does_not_import_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "from stream_app.__main__ import main\n"
        f"for words in {COMMANDS!r}:\n"
        "    sys.argv = ['headrace', *words, '--help']\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit:\n"
        "        pass\n"
        f"print(sorted(set({SLOW_IMPORTS!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stderr.strip() == "[]"


def test_no_arguments_prints_help() -> None:
    result = run()
    text = result.stdout + result.stderr
    assert "headrace demo" in text
    assert "HEADRACE_*" in text
    assert all(name.replace("_", "-") in text for name in COMMAND_MODULES)


def test_the_version_is_that_of_the_distribution() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout.strip()) == (0, f"headrace {version('headrace')}")


@pytest.mark.parametrize(
    "words", [("worker",), ("settings",), ("doctor",), ("show", "popular"), ("topics", "check")]
)
def test_invalid_setting_is_one_sentence(words: tuple[str, ...]) -> None:
    message = single_line_error(run(*words, HEADRACE_LIST_LENGTH="many"))
    assert "HEADRACE_LIST_LENGTH" in message
    assert "'many'" in message
    assert "`headrace settings`" in message


@pytest.mark.parametrize(
    ("variable", "value"), [("HEADRACE_APP_ID", "a b"), ("HEADRACE_BROKER", ""), ("HEADRACE_BROKER", "foo")]
)
@pytest.mark.parametrize("command", ["worker", "demo", "doctor", "dead-letters"])
def test_invalid_name_or_address_is_one_sentence(
    command: str, variable: str, value: str, tmp_path: Path
) -> None:
    message = single_line_error(run(command, **{variable: value}, TMPDIR=str(tmp_path)))
    assert f"{variable}: " in message
    assert f"(got {value!r})" in message
    assert list(tmp_path.iterdir()) == []


def test_unavailable_broker_is_one_sentence(tmp_path: Path) -> None:
    message = single_line_error(run("worker", "--data-dir", str(tmp_path)))
    assert "127.0.0.1:1" in message
    assert "HEADRACE_BROKER" in message


def test_unavailable_redis_is_one_sentence() -> None:
    message = single_line_error(run("show", "user", "ann"))
    assert "127.0.0.1:1" in message
    assert "HEADRACE_REDIS" in message


def test_invalid_redis_url_is_one_sentence() -> None:
    assert "HEADRACE_REDIS" in single_line_error(run("show", "user", "ann", HEADRACE_REDIS="localhost:6379"))


def test_unknown_command_fails_with_its_name() -> None:
    result = run("worcker")
    assert result.returncode == 2
    assert "worcker" in result.stderr
    assert "Traceback" not in result.stderr


def test_settings_are_listed_with_their_values() -> None:
    result = run("settings", COLUMNS="200", HEADRACE_LIST_LENGTH="7")
    assert result.returncode == 0
    for name in Settings.model_fields:
        assert f"HEADRACE_{name.upper()} " in result.stdout
    assert re.search(r"HEADRACE_LIST_LENGTH +7 ", result.stdout)


def test_printed_settings_can_be_copied_into_variables() -> None:
    policies = '{"thompson": 0.9, "fixed": 0.1}'
    result = run(
        "settings", COLUMNS="2000", HEADRACE_POLICIES=policies, HEADRACE_REWARD_WEIGHTS='{"click": 2}'
    )
    header, *rows = result.stdout.splitlines()
    start, end = header.index("value"), header.index("meaning")
    printed = {row[:start].strip(): row[start:end].strip() for row in rows}
    assert json.loads(printed["HEADRACE_POLICIES"]) == json.loads(policies)
    again = run("settings", COLUMNS="2000", **printed)
    assert again.returncode == 0
    assert again.stdout == result.stdout


def test_value_in_square_brackets_is_printed_unchanged() -> None:
    result = run("settings", COLUMNS="200", HEADRACE_METRICS_HOST="[/x]")
    assert result.returncode == 0
    assert "[/x]" in result.stdout


def test_piped_settings_are_not_truncated() -> None:
    broker = ",".join(f"kafka-{number}.example.org:9092" for number in range(5))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    result = subprocess.run(
        [sys.executable, "-m", "stream_app", "settings"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**environment, "HEADRACE_BROKER": broker},
    )
    assert broker in result.stdout


@pytest.mark.parametrize("words", [("settings",), ("show", "popular")])
def test_a_password_is_not_printed(words: tuple[str, ...]) -> None:
    result = run(*words, COLUMNS="200", HEADRACE_REDIS="redis://:sesame@127.0.0.1:1/0")
    assert "127.0.0.1:1" in result.stdout + result.stderr
    assert "sesame" not in result.stdout + result.stderr


def test_a_schema_is_printed_as_json() -> None:
    result = run("topics", "schema", "click")
    assert json.loads(result.stdout)["title"] == "Click"
