"""docs/glossary.md: at most 40 terms, each with a class that exists."""

import ast
import re

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs" / "glossary.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \| [^|]+ \| \[`(\w+)`\]\(\.\./([^)]+)\) \|$", PAGE, re.MULTILINE)


def test_every_row_has_a_term_and_a_class() -> None:
    assert len(ROWS) == len(re.findall(r"^\| ", PAGE, re.MULTILINE)) - 2


def test_there_are_at_most_forty_different_terms() -> None:
    terms = [term for term, _, _ in ROWS]
    assert len(terms) == len(set(terms)) <= 40


@pytest.mark.parametrize(("term", "name", "path"), ROWS)
def test_the_class_of_a_term_exists(term: str, name: str, path: str) -> None:
    classes = {
        node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.ClassDef)
    }
    assert name in classes, term
