"""The features of search results, on logs small enough to check by hand."""

import numpy as np
import pytest

from stream_app.ranking.kernels.feature_table import ResultFeature
from tests.unit.ranking.search.interaction_log import LIST, PRICES, InteractionLog, learn_random


def test_features_exclude_the_choice_being_learned() -> None:
    log = InteractionLog()
    log.choose("ann", "c")
    # if c had an interaction when its own choice was learned, this would be the second one
    assert log.feature(ResultFeature.PURCHASES, "ann") == [0, 0, 0.25, 0, 0, 0, 0, 0]
    assert log.feature(ResultFeature.RECENCY_RANK, "ann")[2] == 0.0


def test_session_expiry_moves_interactions_to_history() -> None:
    log = InteractionLog(session_gap=1800.0)
    log.choose("bob", "a")
    log.view("ann", "g")
    assert log.feature(ResultFeature.RECENCY_RANK, "ann")[6] == 0.0
    log.now += 1800.0
    assert log.feature(ResultFeature.RECENCY_RANK, "ann")[6] == -1.0
    assert log.feature(ResultFeature.PAST_INTERACTIONS, "ann")[6] > 0.0
    log.view("ann", "h")
    assert log.feature(ResultFeature.RECENCY_RANK, "ann")[6:] == [-1.0, 0.0]


def test_popularity_excludes_the_users_own_choices() -> None:
    log = InteractionLog()
    log.choose("bob", "h")
    own_features = log.feature(ResultFeature.CHOICE_RATE, "bob")
    others = log.feature(ResultFeature.CHOICE_RATE, "ann")
    assert others[7] > max(others[:7])
    assert own_features[7] < others[7]
    log = InteractionLog()
    log.find("bob")
    log.view("bob", "h")
    assert log.feature(ResultFeature.CHOICE_RATE, "bob")[7] < log.feature(ResultFeature.CHOICE_RATE, "ann")[7]


def test_missing_prices_default_to_the_last_displayed_price() -> None:
    log = InteractionLog()
    log.choose("bob", "a")
    given_prices = log.results.features("ann", LIST, PRICES, log.now)[:, ResultFeature.PRICE_RANK].copy()
    assert given_prices.tolist() == pytest.approx([4 / 7, 2 / 7, 6 / 7, 3 / 7, 1.0, 0.0, 5 / 7, 1 / 7])
    for prices in ((), (float("nan"),) * 8, (0.0,) * 8):
        written = log.results.features("ann", LIST, prices, log.now)
        assert written[:, ResultFeature.PRICE_RANK].tolist() == given_prices.tolist()
    unknown = log.results.features("ann", ("x", "y"), (), log.now)
    assert unknown[:, ResultFeature.PRICE_RANK].tolist() == [-1.0, -1.0]
    half = log.results.features("ann", ("x", "y", "z"), (5.0, float("nan"), 4.0), log.now)
    assert half[:, ResultFeature.PRICE_RANK].tolist() == [1.0, -1.0, 0.0]


def test_late_events_keep_features_in_range() -> None:
    log = learn_random(InteractionLog(), 0, 20)
    log.now -= 1e6
    learn_random(log, 20, 40)
    written = log.results.features("u1", LIST, PRICES, log.now - 1e7)
    assert np.isfinite(written).all()
    assert written.min() >= -1.0
    assert written.max() <= 1.0


def test_every_feature_is_from_0_to_1_or_missing() -> None:
    log = learn_random(InteractionLog(), 0, 300)
    for user in ("u1", "u5", "nobody"):
        written = log.results.features(user, LIST, PRICES, log.now)
        assert ((written == -1.0) | ((written >= 0.0) & (written <= 1.0))).all()
