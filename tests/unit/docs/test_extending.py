"""docs/extending.md: each diff applies to a copy of the tree, and its check runs there."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.installed_package import install

PAGE = (ROOT / "docs" / "extending.md").read_text()
PACKAGES = ("topics", "state", "stream_app", "tests")
OUTSIDE = ("Models of River", "A package of your own")
"""Sections without a change of the tree."""

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
    assert tuple(sections()) == (*OUTSIDE, *TITLES)


def test_models_run_in_the_tools_of_river() -> None:
    run(ROOT, sys.executable, "-W", "error", "-", stdin=code_block(sections()["Models of River"], "python"))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The package of the page, installed in a folder."""
    section = sections()["A package of your own"]
    project = tomllib.loads(code_block(section, "toml"))["project"]
    modules = {"shop_recommenders": code_block(section, "python")}
    return install(tmp_path, project["name"], modules, project["entry-points"])


def run_with(shop: Path, *arguments: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(shop), str(ROOT))), **variables}
    finished = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.mark.parametrize("name", ["last_followed", "taste"])
def test_the_models_of_the_package_pass_all_checks(name: str, shop: Path) -> None:
    printed = run_with(shop, "-m", "stream_app", "check-model", name)
    assert "FAIL" not in printed
    assert "24 of 24 checks passed" in printed


def test_the_settings_take_the_names_of_the_package(shop: Path) -> None:
    names = re.findall(r"export (.*)", code_block(sections()["A package of your own"], "console"))
    variables = dict(
        part.split("=", 1) for line in names for part in re.findall(r"\w+=(?:'[^']*'|\S+)", line)
    )
    code = (
        "from stream_app.ranking.assembly import make_models\n"
        "from stream_app.ranking.fusion.choice_fusion import ChoiceFusion\n"
        "from stream_app.experiment.live_policies import LivePolicies\n"
        "from stream_app.settings import load_settings\n"
        "models = make_models(load_settings().ranking_config)\n"
        "print(*[model.name for model in models.models], models.learner(ChoiceFusion).policy,"
        " *models.learner(LivePolicies).policies)\n"
    )
    printed = run_with(shop, "-c", code, **{name: value.strip("'") for name, value in variables.items()})
    assert printed.split() == [
        "popularity",
        "session_knn",
        "last_followed",
        "taste",
        "eager",
        "best_arm",
        "fixed",
    ]


def test_the_package_is_formatted_like_the_tree(shop: Path) -> None:
    config = ("--no-cache", "--config", str(ROOT / "pyproject.toml"))
    # a package of one module; methods have the arguments of their base
    run_with(shop, "-m", "ruff", "check", *config, "--ignore", "INP001,ARG002", str(shop))
    run_with(shop, "-m", "ruff", "format", "--check", *config, str(shop))


def test_an_event_type_takes_four_files() -> None:
    assert len(changed_files(sections()["An event type"])) == 4
