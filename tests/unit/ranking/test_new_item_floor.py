"""What the catalogue describes and nobody has clicked on: a floor for new items brings it to those it suits."""

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


def shop(floor: str) -> Settings:
    return Settings(list_length=4, exposure_floor=floor, max_items=500, max_users=500)


def learned(settings: Settings) -> ModelSet:
    """A shop where people look at tents or at socks, for ten days; one of each has come in and nobody has seen it."""
    models = make_models(settings)
    for kind, title in KINDS.items():
        for number in range(20):
            name = f"{kind} {number}"
            models.learn_catalog(CatalogItem(item_id=name, ts=int(1_000 * START), title=f"{title} {number}"))
    place = 0
    for visit in range(200):
        kind = ("tent", "sock")[visit % 2]
        for step in range(4):
            item = Line(f"{kind} {(visit * 3 + step) % 20}")
            ts = START + visit * 10 * DAY / 200 + 60 * step
            models.learn(Interaction(Source.CLICK, 0, place, ts, f"u{visit}", Kind.VIEW, (item,)))
            place += 1
    for kind, title in KINDS.items():
        models.learn_catalog(CatalogItem(item_id=f"new {kind}", ts=int(1_000 * NOW), title=f"{title} 3000"))
    return models


def listed(floor: str, *seen: str) -> list[str]:
    settings = shop(floor)
    models = learned(settings)
    times = [NOW - 60.0 * back for back in range(len(seen), 0, -1)]
    found = make_ranker(models, settings).rank_user(RankRequest("ann", seen, times, 0, (), NOW, ()))
    assert found.policy == "learned"
    assert len(found.items) == 4
    return [item.id for item in found.items]


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_floor_for_new_items_one_that_nobody_has_clicked_is_listed_to_who_looks_at_similar_ones(
    kind: str,
) -> None:
    assert f"new {kind}" not in listed("", f"{kind} 3", f"{kind} 5")
    found = listed("new:1", f"{kind} 3", f"{kind} 5")
    assert found.count(f"new {kind}") == 1
    assert not any(item.startswith("new") and item != f"new {kind}" for item in found)
