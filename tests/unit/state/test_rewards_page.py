"""docs/rewards.md agrees with the code."""

import re

import pytest

from state.attribution import DEFAULT_ATTRIBUTION_WINDOWS, DEFAULT_REWARD_WEIGHTS, Unattributed
from state.list_store import PublishedListStore
from state.retention import MAX_RETAINED_FACTOR, MIN_RETAINED, Retention
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
def test_every_kind_has_the_documented_window_and_weight(kind: RewardKind) -> None:
    [(_, window, weight)] = [row for row in ROWS if re.match(rf"`{kind}`", row[0]) and len(row) == 3]
    number, unit = window.split()
    assert int(number) * SECONDS[unit] == DEFAULT_ATTRIBUTION_WINDOWS[kind]
    assert weight == (f"{DEFAULT_REWARD_WEIGHTS[kind]:g}" if kind in DEFAULT_REWARD_WEIGHTS else "")


def test_every_metric_and_setting_of_the_page_exists() -> None:
    documented = set(re.findall(r"`(headrace_\w+)`", PAGE))
    exposed = {
        name for family in Metrics().registry.collect() for name in (family.name, f"{family.name}_total")
    }
    assert documented <= exposed
    settings = {name.lower() for name in re.findall(r"HEADRACE_([A-Z_]+)", PAGE)}
    assert settings <= set(Settings.model_fields)
    assert {name for name in Settings.model_fields if name.startswith(("reward_", "retained_"))} <= settings


def test_the_limits_are_the_documented_ones() -> None:
    settings = Settings()
    assert f"{settings.retained_lists_per_user} lists of a user" in PAGE
    assert f"{settings.retained_lists:,} in all" in PAGE
    assert "last two searches" in PAGE
    assert MIN_RETAINED == 2
    defaults = PublishedListStore.__init__.__defaults__
    assert defaults == (settings.retained_lists, None)
    assert Retention() == settings.list_retention
    assert f"{MAX_RETAINED_FACTOR * settings.retained_lists_per_user} in all" in PAGE
