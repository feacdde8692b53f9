"""Files that a command writes at its end."""

from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.tools.report_file import check_writable


def test_an_unwritable_report_path_is_rejected_before_the_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "r.json"):
        with pytest.raises(UserError, match=r"--report|cannot be written"):
            check_writable(path)


def test_the_error_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--outcomes .* is a folder"):
        check_writable(tmp_path, "--outcomes")


def test_the_check_leaves_no_file_and_changes_none(tmp_path: Path) -> None:
    check_writable(tmp_path / "new.json")
    assert not (tmp_path / "new.json").exists()
    (tmp_path / "old.json").write_text("{}")
    check_writable(tmp_path / "old.json")
    assert (tmp_path / "old.json").read_text() == "{}"
