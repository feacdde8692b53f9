"""Distribution of exposure over items."""

import math

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.ranking.exposure import HALF_LIFE, Exposure, gini
from stream_app.ranking.list_rules import NEW_ITEM_SECONDS
from topics.records import Interaction, Kind, Line, Source

START = 1_700_000_000.0


def make_models(counts: dict[str, int], max_items: int = 100) -> ModelSet:
    models = ModelSet(["popularity"], max_items=max_items, max_users=10)
    learn(models, counts, START)
    return models


def learn(models: ModelSet, counts: dict[str, int], ts: float) -> None:
    for name, count in counts.items():
        for _ in range(count):
            offset = models.version
            models.learn(Interaction(Source.CLICK, 0, offset, ts, f"u{offset}", Kind.VIEW, (Line(name),)))


@pytest.mark.parametrize(
    ("holdings", "population", "expected"),
    [
        ([1, 1, 1, 1], 4, 0.0),
        ([7], 1, 0.0),
        ([1], 10, 0.9),
        ([1, 3], 2, 0.25),
        # 1, 2, 3, 4: the mean difference of all pairs is 1.25, twice the mean is 5
        ([1, 2, 3, 4], 4, 0.25),
        ([], 5, 0.0),
    ],
)
def test_gini_matches_hand_computed_values(holdings: list[int], population: int, expected: float) -> None:
    assert gini(np.array(holdings, np.float64), population) == pytest.approx(expected)


def test_no_published_lists_report_zero_exposure() -> None:
    assert Exposure(make_models({"a": 1})).report(START) == (0.0, 0.0, 0.0, 0.0)
    assert Exposure(ModelSet(["popularity"], max_items=10, max_users=10)).report(START).gini == 0.0


def test_gini_is_zero_for_even_exposure_and_high_for_one_item() -> None:
    models = make_models({"a": 1, "b": 1, "c": 1, "d": 1})
    even_exposure, skewed_exposure = Exposure(models), Exposure(models)
    for _ in range(3):
        even_exposure.add(["a", "b", "c", "d"], START)
        skewed_exposure.add(["a"], START)
    assert even_exposure.report(START)[:2] == pytest.approx((1.0, 0.0))
    assert skewed_exposure.report(START)[:2] == pytest.approx((0.25, 0.75))


def test_shares_of_new_items_and_of_the_long_tail() -> None:
    models = make_models({"old": 90, "rare": 1})
    later = START + 2 * NEW_ITEM_SECONDS
    learn(models, {"old": 90, "fresh": 1}, later)
    models.index.index("unseen", later)
    exposure = Exposure(models)
    exposure.add(["old", "rare", "fresh", "unseen"], later)
    report = exposure.report(later)
    assert report.new_share == 0.5
    assert report.long_tail_share == 0.75


def test_old_exposure_decays() -> None:
    models = make_models({"a": 1, "b": 1})
    exposure = Exposure(models)
    exposure.add(["a"], START)
    exposure.add(["b"], START + 2 * HALF_LIFE)
    # a holds a quarter of what b holds
    assert exposure.report(START + 2 * HALF_LIFE).gini == pytest.approx(0.3)
    assert exposure.report(START + 8 * HALF_LIFE).coverage == 1.0
    exposure.add(["b"], START + 20 * HALF_LIFE)
    assert exposure.report(START + 20 * HALF_LIFE).coverage == 0.5


def test_years_of_lists_stay_finite() -> None:
    models = make_models({"a": 1, "b": 1})
    exposure = Exposure(models)
    for hour in range(0, 20_000, 100):
        exposure.add(["a", "b"], START + hour * 3600.0)
    report = exposure.report(START + 20_000 * 3600.0 - 360_000.0)
    assert report.gini == pytest.approx(0.0)
    assert report.new_share == pytest.approx(0.0)


@pytest.mark.parametrize("years", [0.1, 1.0, 10.0])
def test_lists_of_years_ago_count_for_nothing(years: float) -> None:
    models = make_models({"old": 90, "rare": 1})
    later = START + years * 365 * 86_400.0
    exposure = Exposure(models)
    exposure.add(["rare"], START)
    assert exposure.report(START)[2:] == (1.0, 1.0)
    exposure.add(["old"], later)
    report = exposure.report(later)
    assert (report.coverage, report.long_tail_share, report.new_share) == pytest.approx((0.5, 0.0, 0.0))


def test_infinite_half_life_weighs_all_lists_equally() -> None:
    exposure = Exposure(make_models({"a": 1, "b": 1}), half_life=math.inf)
    exposure.add(["a"], START)
    exposure.add(["b"], START + 1e9)
    assert exposure.report(START + 2e9)[:2] == pytest.approx((1.0, 0.0))


def test_exposure_is_reset_when_an_item_slot_is_reused() -> None:
    models = make_models({"a": 1, "b": 1, "c": 1}, max_items=3)
    exposure = Exposure(models)
    for _ in range(10):
        exposure.add(["a"], START)
    learn(models, {"b": 1, "c": 1, "d": 1}, START + 1.0)  # evicts a
    assert models.index.find("a") == -1
    exposure.add(["b"], START + 1.0)
    report = exposure.report(START + 1.0)
    assert report.coverage == pytest.approx(1 / 3)
    exposure.add(["d"], START + 1.0)
    assert exposure.report(START + 1.0)[:2] == pytest.approx((2 / 3, 1 / 3), abs=1e-3)


def test_unknown_item_ids_are_ignored() -> None:
    exposure = Exposure(make_models({"a": 1}))
    exposure.add(["never seen", "a"], START)
    assert exposure.report(START) == (1.0, 0.0, 1.0, 0.0)


def test_memory_depends_on_items_not_on_lists() -> None:
    models = make_models({f"i{number}": 1 for number in range(90)})
    exposure = Exposure(models)
    exposure.add(["i1"], START)
    before = exposure.memory()
    for number in range(1000):
        exposure.add([f"i{number % 90}"], START + number)
    assert exposure.memory() == before < 100 * 90


@pytest.mark.parametrize("n_items", [1, 63, 64, 65, 66, 200])
def test_any_number_of_items_is_counted(n_items: int) -> None:
    names = [f"i{number}" for number in range(n_items)]
    exposure = Exposure(make_models(dict.fromkeys(names, 1), max_items=300))
    exposure.add(names, START)
    exposure.add(names[-1:], START)
    report = exposure.report(START)
    assert (report.coverage, report.new_share) == (1.0, 1.0)
    assert report.gini == pytest.approx(gini(np.array([1.0] * (n_items - 1) + [2.0]), n_items))
