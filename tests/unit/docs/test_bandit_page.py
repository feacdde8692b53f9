"""docs/bandit.md lists the features of the policies."""

import re

from stream_app.experiment.policy_features import FEATURES
from tests.support import ROOT


def test_every_feature_is_in_the_table() -> None:
    page = (ROOT / "docs" / "bandit.md").read_text()
    table = page.split("| feature | meaning |", 1)[1].split("\n\n", 1)[0]
    named = [
        name
        for row in table.splitlines()
        for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    ]
    assert sorted(named) == sorted(FEATURES)
