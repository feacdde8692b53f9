"""Outlier detection on order lines."""

import math

import numpy as np
import pytest

from state.snapshots.encoding import encode_snapshot
from stream_app.models.model_set import ModelSet
from stream_app.models.outliers import MIN_LINES, MIN_STD, OutlierFilter
from topics.records import Interaction, Kind, Line, Source


def priced(*prices: float) -> list[Line]:
    return [Line(f"i{number}", 1.0, price) for number, price in enumerate(prices)]


def plain_state(outliers: OutlierFilter) -> bytes:
    return encode_snapshot(outliers.state())


def test_mean_and_deviation_are_of_the_logarithms() -> None:
    prices = np.random.default_rng(3).lognormal(3.0, 1.0, 200)
    outliers = OutlierFilter()
    assert len(outliers.filter_lines(priced(*prices))) == 200
    assert outliers.mean("price") == pytest.approx(np.log(prices).mean())
    assert outliers.deviation("price") == pytest.approx(np.log(prices).std())
    # by hand: ln 10 and ln 1000 have the mean ln 100 and the deviation ln 10
    two = OutlierFilter()
    two.filter_lines(priced(10.0, 1000.0))
    assert two.mean("price") == pytest.approx(math.log(100))
    assert two.deviation("price") == pytest.approx(math.log(10))
    assert two.z_score("price", 10_000.0) == pytest.approx(2.0)


@pytest.mark.parametrize(("z", "kept"), [(5.9, True), (-5.9, True), (6.1, False), (-6.1, False)])
def test_a_line_beyond_the_threshold_on_either_side_is_flagged_and_counted(z: float, kept: bool) -> None:
    outliers = OutlierFilter(threshold=6.0)
    outliers.filter_lines(priced(*[10.0, 1000.0] * 50))
    line = Line("x", 1.0, math.exp(outliers.mean("price") + z * outliers.deviation("price")))
    assert (line in outliers.filter_lines([line])) == kept
    assert outliers.flagged == (not kept)


def test_nothing_is_flagged_before_the_minimum_number_of_lines() -> None:
    outliers = OutlierFilter()
    assert len(outliers.filter_lines(priced(*[10.0] * (MIN_LINES - 1), 1e9))) == MIN_LINES
    assert outliers.filter_lines(priced(1e30)) == ()


def test_a_quantity_of_two_is_no_outlier_when_most_quantities_are_one() -> None:
    outliers = OutlierFilter()
    outliers.filter_lines([Line("a", 1.0, 10.0)] * 1000)
    assert outliers.deviation("quantity") == MIN_STD
    assert len(outliers.filter_lines([Line("a", 2.0, 10.0), Line("a", 12.0, 10.0)])) == 2
    assert outliers.filter_lines([Line("a", 10_000.0, 10.0)]) == ()


def test_unknown_values_are_neither_flagged_nor_learned() -> None:
    outliers = OutlierFilter()
    outliers.filter_lines(priced(*[10.0] * 40))
    before = outliers.mean("price")
    assert len(outliers.filter_lines([Line("a"), Line("b", 1.0, 0.0), Line("c", 1.0, math.inf)])) == 3
    assert outliers.mean("price") == before


def test_one_outlier_hardly_moves_the_scale_but_a_new_price_level_is_learned() -> None:
    outliers = OutlierFilter()
    outliers.filter_lines(priced(*np.random.default_rng(1).lognormal(3.0, 0.5, 1000)))
    before = outliers.mean("price"), outliers.deviation("price")
    outliers.filter_lines(priced(1e200))
    assert outliers.mean("price") == pytest.approx(before[0], abs=0.01)
    assert outliers.deviation("price") == pytest.approx(before[1], rel=0.05)
    higher_prices = priced(*np.random.default_rng(2).lognormal(8.0, 0.5, 5000))
    outliers.filter_lines(higher_prices)
    assert len(outliers.filter_lines(higher_prices[:100])) == 100


def test_a_threshold_of_0_flags_nothing() -> None:
    outliers = OutlierFilter(threshold=0.0)
    assert len(outliers.filter_lines(priced(*[10.0] * 100, 1e200))) == 101
    assert outliers.flagged == 0
    assert not outliers.is_outlier(Line("x", 1.0, 1e200))


def test_a_line_can_be_checked_without_being_learned() -> None:
    outliers = OutlierFilter()
    assert not outliers.is_outlier(Line("x", 1.0, 1e9))
    outliers.filter_lines(priced(*[10.0] * 100))
    before = plain_state(outliers)
    lines = [Line("x", 1.0, 1e9), Line("x", 1e6, 10.0), Line("x", 2.0, 20.0), Line("x", 1.0, math.nan)]
    assert [outliers.is_outlier(line) for line in lines] == [True, True, False, False]
    assert plain_state(outliers) == before


def test_a_restored_filter_continues_like_the_original() -> None:
    first = OutlierFilter()
    first.filter_lines(priced(*np.random.default_rng(1).lognormal(3.0, 0.5, 100), 1e9))
    again = OutlierFilter()
    again.restore(first.state())
    more = priced(*np.random.default_rng(2).lognormal(3.0, 2.5, 100))
    assert again.flagged == 1
    assert again.filter_lines(more) == first.filter_lines(more)
    assert plain_state(again) == plain_state(first)
    with pytest.raises(ValueError, match="threshold"):
        OutlierFilter(threshold=5.0).restore(first.state())


def purchase(offset: int, *lines: Line) -> Interaction:
    return Interaction(Source.PURCHASE, 0, offset, 1000.0 + offset, f"u{offset % 5}", Kind.PURCHASE, lines)


def test_models_skip_a_flagged_line_and_learn_the_other_lines_of_its_order() -> None:
    models = ModelSet(["popularity"])
    for offset in range(50):
        models.learn(purchase(offset, Line("sock", 1.0, 10.0)))
    models.learn(purchase(50, Line("hat", 1.0, 12.0), Line("boat", 1.0, 1e9)))
    assert models.index.find("hat") >= 0
    assert models.index.find("boat") < 0
    assert models.outliers.flagged == 1
    again = ModelSet(["popularity"])
    again.restore(models.state())
    assert again.outliers.flagged == 1
    assert again.outliers.mean("price") == models.outliers.mean("price")


def test_clicks_are_never_flagged() -> None:
    models = ModelSet(["popularity"])
    for offset in range(50):
        models.learn(purchase(offset, Line("sock", 1.0, 10.0)))
    models.learn(Interaction(Source.CLICK, 0, 0, 2000.0, "u", Kind.VIEW, (Line("boat", 1.0, 1e9),)))
    assert models.index.find("boat") >= 0


def test_the_lines_of_one_user_do_not_make_the_prices_of_others_outliers() -> None:
    outliers = OutlierFilter()
    for at in range(400):
        outliers.filter_lines(priced(1e6), "ann", 60.0 * at)
    honest = [f"user {number}" for number in range(400)]
    kept = [outliers.filter_lines(priced(10.0), user, 40_000.0) for user in honest]
    assert all(kept)
    assert outliers.mean("price") == pytest.approx(math.log(10.0), abs=0.5)


def test_the_quota_of_a_user_survives_a_snapshot_and_ends_with_an_erasure() -> None:
    outliers = OutlierFilter()
    outliers.filter_lines(priced(*[10.0] * 100), "ann", 60.0)
    restored = OutlierFilter()
    restored.restore(outliers.state())
    before = restored.mean("price")
    restored.filter_lines(priced(1e6), "ann", 120.0)
    assert restored.mean("price") == before
    restored.forget_user("ann")
    assert not len(restored.state()["quota"]["users"])
