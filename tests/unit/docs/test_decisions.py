"""docs/decisions: one file per decision, numbered without gaps, listed in the index."""

import re
from pathlib import Path

import pytest

from tests.support import ROOT

FOLDER = ROOT / "docs" / "decisions"
FILES = sorted(file for file in FOLDER.glob("*.md") if file.name != "README.md")
STATUS = re.compile(r"(Accepted|(Superseded|Amended) by \[\d{4}\]\([^)]+\)( and \[\d{4}\]\([^)]+\))*)")


def head(file: Path) -> tuple[str, str, str]:
    """Title, status and date of a decision."""
    lines = file.read_text().splitlines()
    status, date = (
        re.fullmatch(rf"- {name}: (.*)", line)
        for name, line in zip(("Status", "Date"), lines[2:4], strict=True)
    )
    assert status is not None
    assert date is not None
    return lines[0], status.group(1), date.group(1)


def test_numbers_have_no_gaps() -> None:
    assert [int(file.name[:4]) for file in FILES] == [*range(1, len(FILES) + 1)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_decision_has_number_status_date_and_three_sections(file: Path) -> None:
    title, status, date = head(file)
    assert title.startswith(f"# {int(file.name[:4])}. ")
    assert STATUS.fullmatch(status)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", date)
    assert re.findall(r"^## (.*)$", file.read_text(), re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_index_lists_every_decision_with_its_title_status_and_date() -> None:
    rows = re.findall(
        r"^\| (\d{4}) \| \[(.*?)\]\(([^)]+)\) \| (.*) \| (.*) \|$",
        (FOLDER / "README.md").read_text(),
        re.MULTILINE,
    )
    expected = []
    for file in FILES:
        title, status, date = head(file)
        expected.append((file.name[:4], title.split(". ", 1)[1], file.name, status, date))
    assert rows == expected


def test_a_superseding_decision_exists_and_names_the_other() -> None:
    for file in FILES:
        _, status, _ = head(file)
        for target in re.findall(r"Superseded by \[\d{4}\]\(([^)]+)\)", status):
            assert file.name in (FOLDER / target).read_text()
