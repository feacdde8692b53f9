"""Items of the catalog without interactions: a floor for new items lists them for users with matching interests."""

import pytest

from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.ranking.request import RankRequest
from stream_app.settings import Settings
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Source

DAY = 86_400.0
START = 1_700_000_000.0
NOW = START + 10 * DAY
KINDS = {"tent": "dome tent for two", "sock": "warm woollen sock"}


def make_settings(floor: str) -> Settings:
    return Settings(
        list_length=4, exposure_floor=floor, max_items=500, max_users=500, policies={"fixed": 1.0}
    )


def build_models(settings: Settings) -> ModelSet:
    """A shop where users view tents or socks for ten days; one new tent and one new sock have no interactions."""
    models = make_models(settings.ranking_config)
    for kind, title in KINDS.items():
        for number in range(20):
            name = f"{kind} {number}"
            models.learn_catalog(CatalogItem(item_id=name, ts=int(1_000 * START), title=f"{title} {number}"))
    offset = 0
    for session in range(200):
        kind = ("tent", "sock")[session % 2]
        for step in range(4):
            item = Line(f"{kind} {(session * 3 + step) % 20}")
            ts = START + session * 10 * DAY / 200 + 60 * step
            models.learn(Interaction(Source.CLICK, 0, offset, ts, f"u{session}", Kind.VIEW, (item,)))
            offset += 1
    for kind, title in KINDS.items():
        models.learn_catalog(CatalogItem(item_id=f"new {kind}", ts=int(1_000 * NOW), title=f"{title} 3000"))
    return models


def recommended(floor: str, *recent_items: str) -> list[str]:
    settings = make_settings(floor)
    models = build_models(settings)
    times = [NOW - 60.0 * back for back in range(len(recent_items), 0, -1)]
    found = make_ranker(models, settings.ranking_config).rank_user(
        RankRequest("ann", recent_items, times, 0, (), NOW, ())
    )
    assert found.policy == "learned"
    assert len(found.items) == 4
    return [item.id for item in found.items]


@pytest.mark.parametrize("kind", KINDS)
def test_new_item_floor_lists_unclicked_items_to_matching_users(
    kind: str,
) -> None:
    assert f"new {kind}" not in recommended("", f"{kind} 3", f"{kind} 5")
    found = recommended("new:1", f"{kind} 3", f"{kind} 5")
    assert found.count(f"new {kind}") == 1
    assert not any(item.startswith("new") and item != f"new {kind}" for item in found)
