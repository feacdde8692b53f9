"""Lines of the log, as a collector of logs reads them."""

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging, sys
from stream_app.logs import configure_logging
configure_logging(sys.argv[1], sys.argv[2], "announced")
logging.getLogger("announced").info("ready after %d s", 3)
logging.getLogger("other").info("a detail")
try:
    raise ValueError("two\\nlines \\ud800")
except ValueError:
    logging.getLogger("other").exception("could not read %r", "\\ud800")
"""


def lines(level: str, log_format: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, level, log_format],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_each_line_of_json_is_one_record() -> None:
    records: list[dict[str, Any]] = [json.loads(line) for line in lines("WARNING", "json")]
    ready, failed = records
    assert {key: ready[key] for key in ("level", "logger", "message")} == {
        "level": "info",
        "logger": "announced",
        "message": "ready after 3 s",
    }
    assert ready["time"].endswith("Z")
    assert "ValueError: two\nlines" in failed["exception"]
    assert "exception" not in ready


@pytest.mark.parametrize(
    ("level", "n_lines"), [("DEBUG", 2), ("INFO", 2), ("WARNING", 1), ("ERROR", 0), ("CRITICAL", 0)]
)
def test_what_an_operator_waits_for_is_logged_up_to_warnings(level: str, n_lines: int) -> None:
    assert sum(" INFO " in line for line in lines(level, "text")) == n_lines
