"""The README says what is promised and what proves it; docs/operating.md, what to do at each alarm and fault."""

import re

import pytest

from tests.support import ROOT

README = (ROOT / "README.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
FAULTS = OPERATING.split("\n## Faults\n", 1)[1].split("\n## ", 1)[0]
ALERTS = re.findall(r"- alert: (\w+)", (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
FAULT_TESTS = sorted(path.name for path in (ROOT / "tests" / "faults").glob("test_*.py"))


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of all tables, without their heads."""
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"
    ]
    heads = {at - 1 for at, row in enumerate(cells) if set("".join(row)) <= set("- ")}
    return [row for at, row in enumerate(cells) if at not in heads and at - 1 not in heads]


PROMISES = rows(README.split("\n## What is promised\n", 1)[1].split("\n## ", 1)[0])


@pytest.mark.parametrize("promise", PROMISES, ids=lambda row: row[0][:40])
def test_each_promise_names_the_test_that_proves_it(promise: list[str]) -> None:
    sentence, proof = promise
    assert sentence.endswith(".")
    assert re.search(r"`tests/[\w/]+\.py::test_\w+`", proof)


@pytest.mark.parametrize("row", rows(FAULTS), ids=lambda row: row[0][:40])
def test_each_fault_names_what_happens_and_a_test(row: list[str]) -> None:
    seen, itself, _, to_do, test = row
    assert all((seen, itself, to_do))
    assert re.search(r"`tests/[\w/]+\.py`", test)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alarm_is_in_the_section_of_faults(alert: str) -> None:
    assert f"`{alert}`" in FAULTS


@pytest.mark.parametrize("name", FAULT_TESTS)
def test_each_test_of_a_fault_is_named_by_a_promise_or_a_fault(name: str) -> None:
    assert f"tests/faults/{name}" in README + FAULTS
