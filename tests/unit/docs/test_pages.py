"""Every page of docs/: links lead somewhere, and paths, settings and metrics that a page names exist."""

import re
from pathlib import Path

import pytest

from stream_app.metrics import Metrics
from stream_app.settings import Settings, variable_of
from stream_app.settings.base import is_confidential
from stream_app.trainer.metrics import TrainerMetrics
from tests.support import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
PATH = re.compile(r"`((?:stream_app|state|topics|tests|deploy|docs)/[\w/.\-]*)`")
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
FOLDER_VARIABLES = {"HEADRACE_CACHE", "HEADRACE_DATA"}
"""Folders of tests and tools (`stream_app/settings/folders.py`), not settings of a worker."""


@pytest.fixture(scope="module")
def metric_names() -> set[str]:
    families = [*Metrics().registry.collect(), *TrainerMetrics().registry.collect()]
    return {name for family in families for name in (family.name, f"{family.name}_total")}


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page_id(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page_id(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_paths_exist(page: Path) -> None:
    for path in PATH.findall(page.read_text()):
        assert (ROOT / path).exists(), f"{page_id(page)} names {path}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_named_tests_exist(page: Path) -> None:
    for path, name in NAMED_TEST.findall(page.read_text()):
        assert (ROOT / path).is_file(), f"{page_id(page)} names {path}"
        source = (ROOT / path).read_text()
        assert re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), f"{page_id(page)} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_settings_exist(page: Path) -> None:
    named = set(re.findall(r"HEADRACE_[A-Z_]*[A-Z]", page.read_text())) - FOLDER_VARIABLES
    files = {
        f"{variable_of(name)}_FILE" for name, field in Settings.model_fields.items() if is_confidential(field)
    }
    assert named <= {variable_of(name) for name in Settings.model_fields} | files


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_metrics_exist(page: Path, metric_names: set[str]) -> None:
    assert set(re.findall(r"(?<!dist/)\bheadrace_[a-z_]*[a-z]\b", page.read_text())) <= metric_names


def test_every_named_target_of_make_has_a_rule() -> None:
    makefile = (ROOT / "Makefile").read_text()
    texts = [makefile, *(page.read_text() for page in [*PAGES, ROOT / "CHANGELOG.md"])]
    named = {name for text in texts for name in re.findall(r"(?:`|\$ |@echo ' +)make ([a-z][a-z-]*)", text)}
    rules = set(re.findall(r"^([a-z][a-z-]*):(?: \S|\n\t)", makefile, re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    assert {"wheels", "demo", "test", "faults"} <= named
    assert named <= rules
    assert phony == rules


def test_the_page_of_the_two_tower_model_is_one_page() -> None:
    page = (ROOT / "docs" / "neural.md").read_text()
    headings = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert headings == [
        "To switch it on",
        "The model",
        "What is trained when",
        "What travels",
        "When it fails",
        "Sources",
    ]
    assert page.count("\n") <= 80
    assert len(page.split()) <= 900
