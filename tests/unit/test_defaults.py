"""Defaults that stand in two places are the same: a part made without a setting behaves as a worker's."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from state.attribution import AttributionRules
from state.list_store import PublishedListStore
from state.retention import Retention
from state.snapshots.store import SnapshotStore, folder_store
from stream_app.experiment.comparison import PolicyComparison
from stream_app.models.model_set import ModelSet
from stream_app.publishing.degraded_ranking import DegradedRanking
from stream_app.publishing.flush_loop import FlushLoop
from stream_app.publishing.list_builder import ListBuilder
from stream_app.publishing.list_log import ListLog
from stream_app.publishing.pending_queue import PendingQueue
from stream_app.publishing.redis_inspection import inspect_redis
from stream_app.publishing.redis_publisher import RedisPublisher
from stream_app.publishing.redis_sentinel import RedisSentinel, RepublicationRequest
from stream_app.ranking.config import ModelsConfig, RankingConfig
from stream_app.ranking.list_rules import ListRules
from stream_app.ranking.row_request import make_rank_request
from stream_app.settings import Settings
from topics.codec import Limits

SETTINGS = Settings()


def defaults_of(made: Callable[..., Any]) -> Mapping[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(made).parameters.items()}


@pytest.mark.parametrize(
    ("made", "settings"),
    [
        (PublishedListStore, {"limit": "retained_lists"}),
        (SnapshotStore, {"max_snapshots": "max_snapshots"}),
        (folder_store, {"max_snapshots": "max_snapshots"}),
        (PendingQueue, {name: name for name in ("flush_users", "max_pending", "shared_list_interval")}),
        (
            DegradedRanking,
            {"enabled": "degraded_ranking", "flush_users": "flush_users", "max_pending": "max_pending"},
        ),
        (FlushLoop, {"linger": "flush_linger"}),
        (ListBuilder, {"buy_again": "buy_again"}),
        (ListLog, {"enabled": "log_lists"}),
        (make_rank_request, {"buy_again": "buy_again"}),
        (PolicyComparison, {"max_users": "max_users"}),
        (
            ModelsConfig,
            {
                name: name
                for name in ("max_items", "max_users", "half_life", "session_gap", "outlier_z", "seed")
            },
        ),
        (
            ModelSet,
            {
                name: name
                for name in ("max_items", "max_users", "half_life", "session_gap", "outlier_z", "seed")
            },
        ),
        (RankingConfig, {name: name for name in ("fusion", "candidates_per_source", "list_length")}),
        (
            ListRules,
            {name: name for name in ("diversity", "max_per_category", "max_per_brand", "max_per_seller")},
        ),
        (
            AttributionRules,
            {
                "price_exponent": "reward_price_exponent",
                "price_unit": "reward_price_unit",
                "require_list_id": "reward_require_list_id",
            },
        ),
        (Limits, {"max_future": "max_event_future", "max_age": "max_event_age"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_default_is_that_of_the_setting(made: Callable[..., Any], settings: dict[str, str]) -> None:
    defaults = defaults_of(made)
    assert {name: defaults[name] for name in settings} == {
        name: getattr(SETTINGS, setting) for name, setting in settings.items()
    }


@pytest.mark.parametrize("made", [RedisPublisher, RedisSentinel, RepublicationRequest, inspect_redis])
def test_redis_is_unavailable_after_two_seconds_without_a_reply(made: Callable[..., Any]) -> None:
    assert defaults_of(made)["timeout"] == 2.0


def test_a_user_has_as_many_retained_lists_as_by_the_settings_for_as_long_as_a_purchase_may_follow_a_click() -> (
    None
):
    assert Retention() == SETTINGS.list_retention


def test_reactions_have_the_values_and_windows_of_the_settings() -> None:
    assert AttributionRules() == SETTINGS.attribution_rules


def test_lists_have_no_rules_but_those_that_are_set() -> None:
    assert ListRules() == RankingConfig(models=ModelsConfig(names=())).list_rules == SETTINGS.list_rules
    assert SETTINGS.list_rules.disabled
