"""The rules of the shop on the ranker's lists."""

from collections import Counter

import pytest

from stream_app.models.kernels.jit import compiled_signatures
from stream_app.models.model_set import ModelSet
from stream_app.ranking import diversity, exposure
from stream_app.ranking.list_rules import ListRules, parse_floors
from stream_app.ranking.ranker import Ranked, Ranker
from stream_app.ranking.request import RankRequest
from stream_app.settings import Settings
from stream_app.worker.warm_up import warm_up
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Source

START = 1_700_000_000.0
DAY = 86_400.0
BRANDS = ("acme", "knit", "oak")


@pytest.fixture(scope="module")
def models() -> ModelSet:
    """Forty items, viewed one after the other by many; three in four are of one brand; the last came late."""
    models = ModelSet(["popularity", "item_to_item"], max_items=1000, max_users=1000)
    offset = 0
    for number in range(40):
        models.learn_catalog(
            CatalogItem(
                item_id=f"i{number}", ts=0, brand="acme" if number % 4 else BRANDS[1 + number % 8 // 4]
            )
        )
    for user in range(30):
        for step in range(12):
            item = f"i{(user + step) % 39}"
            ts = START + 60.0 * offset
            models.learn(Interaction(Source.CLICK, 0, offset, ts, f"u{user}", Kind.VIEW, (Line(item),)))
            offset += 1
    for user in range(2):
        models.learn(
            Interaction(Source.CLICK, 0, offset, START + 2 * DAY, f"u{user}", Kind.VIEW, (Line("i39"),))
        )
        offset += 1
    return models


def asked(models: ModelSet, rules: ListRules, length: int = 8) -> Ranked:
    ranker = Ranker(models, per_source=50, length=length, rules=rules)
    return ranker.rank_user(RankRequest("u1", ("i5", "i6"), (START, START), 0, (), START + 2 * DAY, ("i7",)))


def brands(models: ModelSet, ranked: Ranked) -> Counter[str]:
    return Counter(models.index.brand(models.index.find(item.id)) for item in ranked.items)


def test_without_rules_the_list_is_the_fused_one(models: ModelSet) -> None:
    assert asked(models, ListRules()) == Ranker(models, per_source=50, length=8).rank_user(
        RankRequest("u1", ("i5", "i6"), (START, START), 0, (), START + 2 * DAY, ("i7",))
    )


def test_a_capped_list_is_as_long_and_keeps_the_order_reasons_and_exclusions(models: ModelSet) -> None:
    free, capped = asked(models, ListRules(), 40), asked(models, ListRules(max_per_brand=3))
    assert brands(models, asked(models, ListRules()))["acme"] > 3
    assert (
        brands(models, capped) == {"acme": 3, "knit": 3, "oak": 2}
        or max(brands(models, capped).values()) == 3
    )
    assert len(capped.items) == 8
    places = {item.id: place for place, item in enumerate(free.items)}
    assert [places[item.id] for item in capped.items] == sorted(places[item.id] for item in capped.items)
    assert {item.id: item for item in free.items} | {item.id: item for item in capped.items} == {
        item.id: item for item in free.items
    }
    assert "i7" not in places


def test_diversity_brings_other_brands_up(models: ModelSet) -> None:
    plain, diverse = asked(models, ListRules()), asked(models, ListRules(diversity=0.5))
    assert len(diverse.items) == 8
    assert diverse.items[0] == plain.items[0]
    first_three = [Ranked(ranked.items[:3], "", 0) for ranked in (plain, diverse)]
    assert [len(brands(models, ranked)) for ranked in first_three] == [2, 3]


def test_a_new_item_gets_its_place(models: ModelSet) -> None:
    assert "i39" not in {item.id for item in asked(models, ListRules()).items}
    assert "i39" in {item.id for item in asked(models, ListRules(floors=parse_floors("new:1"))).items}


def test_the_rules_hold_on_an_items_page_and_not_on_what_is_popular(models: ModelSet) -> None:
    ranker = Ranker(models, per_source=50, length=8, rules=ListRules(max_per_brand=1))
    assert max(brands(models, ranker.rank_item("i5")).values()) == 1
    everywhere = ranker.rank_segment("all")
    assert everywhere == Ranker(models, per_source=50, length=8).rank_segment("all")
    assert max(brands(models, everywhere).values()) > 1


def test_after_the_warm_up_the_rules_and_the_exposure_have_nothing_left_to_compile(models: ModelSet) -> None:
    settings = Settings(
        models=["popularity", "item_to_item"], diversity=0.2, max_per_brand=2, exposure_floor="new:1"
    )
    warm_up(settings)
    before = compiled_signatures(diversity._arrange), compiled_signatures(exposure._add)
    assert min(before) > 0
    ranked = asked(models, settings.list_rules)
    exposure.Exposure(models).add([item.id for item in ranked.items], START)
    assert (compiled_signatures(diversity._arrange), compiled_signatures(exposure._add)) == before
