"""docs/extending.md: each diff applies to a copy of the tree, and its check runs there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text()
PACKAGES = ("topics", "state", "stream_app", "tests")
TITLES = (
    "An event type",
    "A model",
    "A policy",
    "A feature of the learned fusion",
    "A sink",
)
SHARED_CHECKS = {
    "An event type": ("tests/unit/topics/test_event_types.py", "event_types"),
    "A model": ("tests/checks/test_models.py", "latest"),
    "A policy": ("tests/unit/bandit/test_bandit_policies.py", "promote"),
    "A sink": ("tests/checks/test_publishers.py", "file"),
}
"""The tests that the page names for an example, and the expression that selects them."""


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.*)\n", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def code_block(section: str, language: str) -> str:
    [block] = re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return str(block)


def run(tree: Path, *command: str, stdin: str | None = None) -> None:
    """Run a command in the copy; compiled kernels of this tree are found there too."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    finished = subprocess.run(
        command, cwd=tree, env=environment, input=stdin, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def apply_diff(tree: Path, diff: str) -> None:
    """Apply a diff as git does, for machines without git: each hunk must match exactly one part of its file."""
    for file_diff in diff.split("diff --git ")[1:]:
        header, *hunks = re.split(r"^@@ .*\n", file_diff, flags=re.MULTILINE)
        path = tree / re.findall(r"^\+\+\+ b/(.*)$", header, re.MULTILINE)[0]
        text = path.read_text() if path.exists() else ""
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            old, new = ("".join(line[1:] for line in lines if line[0] in f" {sign}") for sign in "-+")
            assert old == text or text.count(old) == 1
            text = text.replace(old, new, 1)
        path.write_text(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("title", TITLES)
def test_the_diff_applies_and_its_check_runs(title: str, tree: Path) -> None:
    section = sections()[title]
    if shutil.which("git") is not None:
        run(tree, "git", "apply", "--check", "-", stdin=code_block(section, "diff"))
    apply_diff(tree, code_block(section, "diff"))
    run(tree, sys.executable, "-W", "error", "-", stdin=code_block(section, "python"))
    if title in SHARED_CHECKS:
        path, expression = SHARED_CHECKS[title]
        assert f"pytest -q {path} -k {expression}" in section
        run(tree, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path, "-k", expression)
    run(tree, sys.executable, "-m", "ruff", "check", "--no-cache", *changed_files(section))
    run(tree, sys.executable, "-m", "ruff", "format", "--check", "--no-cache", *changed_files(section))


def changed_files(section: str) -> list[str]:
    return re.findall(r"^\+\+\+ b/(.*)$", code_block(section, "diff"), re.MULTILINE)


def test_every_section_is_tested() -> None:
    assert tuple(sections()) == TITLES


def test_an_event_type_takes_four_files() -> None:
    assert len(changed_files(sections()["An event type"])) == 4
