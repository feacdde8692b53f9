"""docs/rewards.md says what the code does."""

import re

import pytest

from state.attribution import WEIGHTS, WINDOWS, Unattributed
from state.list_store import ListMemory
from state.retention import KEPT, ROOM, Retention
from stream_app.metrics import Metrics
from stream_app.settings import Settings
from tests.support import ROOT
from topics.records import RewardKind

PAGE = (ROOT / "docs" / "rewards.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|")
]
SECONDS = {"minutes": 60, "hours": 3600, "days": 86_400}


def test_every_reason_is_explained() -> None:
    names = {name.strip("`") for name, *_ in ROWS if name.strip("`") in set(Unattributed)}
    assert names == set(Unattributed)


@pytest.mark.parametrize("kind", [kind for kind in RewardKind if kind is not RewardKind.ERASURE])
def test_every_kind_has_the_window_and_the_worth_of_the_page(kind: RewardKind) -> None:
    [(_, window, worth)] = [row for row in ROWS if re.match(rf"`{kind}`", row[0]) and len(row) == 3]
    number, unit = window.split()
    assert int(number) * SECONDS[unit] == WINDOWS[kind]
    assert worth == (f"{WEIGHTS[kind]:g}" if kind in WEIGHTS else "")


def test_every_metric_and_setting_of_the_page_exists() -> None:
    told = set(re.findall(r"`(headrace_\w+)`", PAGE))
    known = {
        name for family in Metrics().registry.collect() for name in (family.name, f"{family.name}_total")
    }
    assert told <= known
    settings = {name.lower() for name in re.findall(r"HEADRACE_([A-Z_]+)", PAGE)}
    assert settings <= set(Settings.model_fields)
    assert {name for name in Settings.model_fields if name.startswith(("reward_", "remembered_"))} <= settings


def test_the_bounds_are_those_of_the_page() -> None:
    settings = Settings()
    assert f"{settings.remembered_lists_per_user} lists of a shopper" in PAGE
    assert f"{settings.remembered_lists:,} in all" in PAGE
    assert "last two searches" in PAGE
    assert KEPT == 2
    defaults = ListMemory.__init__.__defaults__
    assert defaults == (settings.remembered_lists, None)
    assert Retention() == settings.list_retention
    assert f"{ROOM * settings.remembered_lists_per_user} in all" in PAGE
