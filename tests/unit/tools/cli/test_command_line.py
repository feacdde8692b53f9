"""The command line as somebody at a terminal meets it: each test starts the real command."""

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

ABSENT: Final = {"HEADRACE_BROKER": "127.0.0.1:1", "HEADRACE_REDIS": "redis://127.0.0.1:1/0"}
SLOW_IMPORTS: Final = ("numpy", "numba", "faust", "river", "kafka", "aiokafka", "redis", "prometheus_client")


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **ABSENT, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", **variables}
    return subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )


@cache
def help_of(words: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    return run(*words, "--help")


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and group, by the words that call it."""

    def below(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
        yield words
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, *words, name)

    return below(get_command(build_cli()))


COMMANDS: Final = tuple(commands())


def one_sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """What was said of an error: one line, no traceback, exit status 1."""
    assert done.returncode == 1, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("headrace: ")
    assert lines[0].endswith(".")
    return lines[0]


def test_every_command_is_found() -> None:
    assert {words[0] for words in COMMANDS if words} == {name.replace("_", "-") for name in COMMAND_MODULES}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_says_what_a_command_does_and_each_option(words: tuple[str, ...]) -> None:
    done = help_of(words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage:" in done.stdout
    for option in re.findall(r"^│\s+(--[a-z-]+)", done.stdout, re.MULTILINE):
        [line] = [line for line in done.stdout.splitlines() if re.search(rf"│\s+{option}\s", line)]
        assert re.search(r"[A-Za-z]{2,}.* [A-Za-z]", line.split(option)[1]), f"{option} goes unexplained"


@pytest.mark.parametrize(
    "words",
    [pytest.param(words) for words in COMMANDS],
    ids=" ".join,
)
def test_help_names_a_setting_or_shows_a_call(words: tuple[str, ...]) -> None:
    after_usage = re.sub(r"Usage:.*", "", help_of(words).stdout)
    assert re.search(r"HEADRACE_[A-Z]+|`headrace |^\s+headrace |[Ss]etting", after_usage, re.MULTILINE)


def test_the_help_of_topics_create_says_where_its_defaults_come_from() -> None:
    text = help_of(("topics", "create")).stdout
    assert "HEADRACE_PARTITIONS" in text
    assert "HEADRACE_REPLICATION" in text


def test_help_does_not_wait_for_what_it_does_not_need() -> None:
    code = (
        "import sys\n"
        "from stream_app.__main__ import main\n"
        "for words in (['--help'], ['worker', '--help'], ['demo', '--help'], ['replay', '--help']):\n"
        "    sys.argv = ['headrace', *words]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit:\n"
        "        pass\n"
        f"print(sorted(set({SLOW_IMPORTS!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "[]"


def test_alone_it_shows_its_help() -> None:
    done = run()
    text = done.stdout + done.stderr
    assert "headrace demo" in text
    assert "HEADRACE_*" in text
    assert all(name.replace("_", "-") in text for name in COMMAND_MODULES)


def test_the_version_is_that_of_the_distribution() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"headrace {version('headrace')}")


@pytest.mark.parametrize(
    "words", [("worker",), ("settings",), ("doctor",), ("show", "popular"), ("topics", "check")]
)
def test_a_wrong_setting_is_one_sentence(words: tuple[str, ...]) -> None:
    said = one_sentence(run(*words, HEADRACE_LIST_LENGTH="many"))
    assert "HEADRACE_LIST_LENGTH" in said
    assert "'many'" in said
    assert "`headrace settings`" in said


@pytest.mark.parametrize(
    ("variable", "value"), [("HEADRACE_APP_ID", "a b"), ("HEADRACE_BROKER", ""), ("HEADRACE_BROKER", "foo")]
)
@pytest.mark.parametrize("command", ["worker", "demo", "doctor", "dead-letters"])
def test_a_name_or_an_address_that_is_none_is_one_sentence(
    command: str, variable: str, value: str, tmp_path: Path
) -> None:
    said = one_sentence(run(command, **{variable: value}, TMPDIR=str(tmp_path)))
    assert f"{variable}: " in said
    assert f"(got {value!r})" in said
    assert list(tmp_path.iterdir()) == []


def test_an_absent_broker_is_one_sentence(tmp_path: Path) -> None:
    said = one_sentence(run("worker", "--data-dir", str(tmp_path)))
    assert "127.0.0.1:1" in said
    assert "HEADRACE_BROKER" in said


def test_an_absent_redis_is_one_sentence() -> None:
    said = one_sentence(run("show", "user", "ann"))
    assert "127.0.0.1:1" in said
    assert "HEADRACE_REDIS" in said


def test_a_redis_url_that_is_none_is_one_sentence() -> None:
    assert "HEADRACE_REDIS" in one_sentence(run("show", "user", "ann", HEADRACE_REDIS="localhost:6379"))


def test_a_mistyped_command_is_said_and_is_no_success() -> None:
    done = run("worcker")
    assert done.returncode == 2
    assert "worcker" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_settings_are_listed_each_with_its_value() -> None:
    done = run("settings", COLUMNS="200", HEADRACE_LIST_LENGTH="7")
    assert done.returncode == 0
    for name in Settings.model_fields:
        assert f"HEADRACE_{name.upper()} " in done.stdout
    assert re.search(r"HEADRACE_LIST_LENGTH +7 ", done.stdout)


def test_a_value_in_square_brackets_is_listed_as_it_is() -> None:
    done = run("settings", COLUMNS="200", HEADRACE_METRICS_HOST="[/x]")
    assert done.returncode == 0
    assert "[/x]" in done.stdout


def test_settings_in_a_pipe_are_not_cut() -> None:
    broker = ",".join(f"kafka-{number}.example.org:9092" for number in range(5))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "settings"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**environment, "HEADRACE_BROKER": broker},
    )
    assert broker in done.stdout


@pytest.mark.parametrize("words", [("settings",), ("show", "popular")])
def test_a_password_is_not_printed(words: tuple[str, ...]) -> None:
    done = run(*words, COLUMNS="200", HEADRACE_REDIS="redis://:sesame@127.0.0.1:1/0")
    assert "127.0.0.1:1" in done.stdout + done.stderr
    assert "sesame" not in done.stdout + done.stderr


def test_a_schema_is_printed_as_json() -> None:
    done = run("topics", "schema", "click")
    assert json.loads(done.stdout)["title"] == "Click"
