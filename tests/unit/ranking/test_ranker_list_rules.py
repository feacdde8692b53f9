"""The rules of the shop on the ranker's lists."""

from collections import Counter

import pytest

from stream_app.models.kernels.jit import compiled_signatures
from stream_app.models.model_set import ModelSet
from stream_app.ranking.exposure import Exposure
from stream_app.ranking.kernels.exposure import add_list
from stream_app.ranking.kernels.list_selection import select_list
from stream_app.ranking.list_rules import ListRules, parse_floors
from stream_app.ranking.ranker import RankedList, Ranker
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
    """Forty items, viewed one after the other by many; three in four are of one brand; the last is the newest."""
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


def rank_for_user(models: ModelSet, rules: ListRules, length: int = 8) -> RankedList:
    ranker = Ranker(models, per_source=50, length=length, rules=rules)
    return ranker.rank_user(RankRequest("u1", ("i5", "i6"), (START, START), 0, (), START + 2 * DAY, ("i7",)))


def brands(models: ModelSet, ranked: RankedList) -> Counter[str]:
    return Counter(models.index.brand(models.index.find(item.id)) for item in ranked.items)


def test_without_rules_the_fused_list_is_unchanged(models: ModelSet) -> None:
    assert rank_for_user(models, ListRules()) == Ranker(models, per_source=50, length=8).rank_user(
        RankRequest("u1", ("i5", "i6"), (START, START), 0, (), START + 2 * DAY, ("i7",))
    )


def test_capped_list_keeps_length_order_reasons_and_exclusions(models: ModelSet) -> None:
    free, capped = rank_for_user(models, ListRules(), 40), rank_for_user(models, ListRules(max_per_brand=3))
    assert brands(models, rank_for_user(models, ListRules()))["acme"] > 3
    assert (
        brands(models, capped) == {"acme": 3, "knit": 3, "oak": 2}
        or max(brands(models, capped).values()) == 3
    )
    assert len(capped.items) == 8
    ranks = {item.id: rank for rank, item in enumerate(free.items)}
    assert [ranks[item.id] for item in capped.items] == sorted(ranks[item.id] for item in capped.items)
    assert {item.id: item for item in free.items} | {item.id: item for item in capped.items} == {
        item.id: item for item in free.items
    }
    assert "i7" not in ranks


def test_diversity_promotes_other_brands(models: ModelSet) -> None:
    plain, diverse = rank_for_user(models, ListRules()), rank_for_user(models, ListRules(diversity=0.5))
    assert len(diverse.items) == 8
    assert diverse.items[0] == plain.items[0]
    first_three = [RankedList(ranked.items[:3], "", 0) for ranked in (plain, diverse)]
    assert [len(brands(models, ranked)) for ranked in first_three] == [2, 3]


def test_new_item_floor_is_met(models: ModelSet) -> None:
    assert "i39" not in {item.id for item in rank_for_user(models, ListRules()).items}
    assert "i39" in {item.id for item in rank_for_user(models, ListRules(floors=parse_floors("new:1"))).items}


def test_rules_apply_to_item_lists_but_not_to_segment_lists(models: ModelSet) -> None:
    ranker = Ranker(models, per_source=50, length=8, rules=ListRules(max_per_brand=1))
    assert max(brands(models, ranker.rank_item("i5")).values()) == 1
    global_list = ranker.rank_segment("all")
    assert global_list == Ranker(models, per_source=50, length=8).rank_segment("all")
    assert max(brands(models, global_list).values()) > 1


def test_warm_up_compiles_all_rule_and_exposure_kernels(models: ModelSet) -> None:
    settings = Settings(
        models=["popularity", "item_to_item"], diversity=0.2, max_per_brand=2, exposure_floor="new:1"
    )
    warm_up(settings)
    before = compiled_signatures(select_list), compiled_signatures(add_list)
    assert min(before) > 0
    ranked = rank_for_user(models, settings.list_rules)
    Exposure(models).add([item.id for item in ranked.items], START)
    assert (compiled_signatures(select_list), compiled_signatures(add_list)) == before
