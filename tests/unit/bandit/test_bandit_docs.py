"""docs/bandit.md names every policy and every setting."""

import pytest

from stream_app.bandit.policy_registry import POLICIES, create_policy
from tests.support import ROOT

PAGE = (ROOT / "docs" / "bandit.md").read_text()
OWN = {"features", "seed", "column"}


@pytest.mark.parametrize("name", POLICIES)
def test_docs_name_the_policy_and_its_parameters(name: str) -> None:
    assert f"| `{name}` |" in PAGE
    for setting in set(create_policy(name, 3).parameters) - OWN:
        assert f"`{setting}`" in PAGE, f"{setting} of {name} is not in docs/bandit.md"


def test_docs_have_the_defaults() -> None:
    thompson = create_policy("thompson", 3).parameters
    for text, setting in (
        ("0.05 (`thompson`", "exploration"),
        ("| 64,", "draws"),
        ("0.1, 0, 100", "prior_weight"),
    ):
        assert text in PAGE
        assert str(thompson[setting]) in text
    assert thompson["half_life"] == 14 * 86_400
    assert thompson["prior_strength"] == 100
