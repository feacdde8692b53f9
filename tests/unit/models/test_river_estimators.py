"""Models, rankers, policies and filters as River estimators: ids in, copies, representation, River's own checks."""

import pickle
from collections.abc import Callable, Iterable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from river import base, reco
from river.checks import common
from river.checks.reco import check_reco_routine

from stream_app.bandit.policy_registry import POLICIES
from stream_app.models.base import Model
from stream_app.models.content import Content
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.model_set import ModelSet
from stream_app.models.outliers import OutlierFilter
from stream_app.models.popularity import Popularity
from stream_app.models.registry import MODELS
from stream_app.models.session_knn import SessionKNN
from stream_app.models.session_tracker import EventStream, SessionTracker
from stream_app.models.trending import Trending
from stream_app.ranking.fusion.factorization import FactorizationRanker
from stream_app.ranking.fusion.softmax import SoftmaxRanker
from topics.records import Interaction, Kind, Line, Source

ITEMS = [f"i{number}" for number in range(12)]
EVENTS = [(f"u{number % 7}", ITEMS[(number * number + number % 7) % 11]) for number in range(80)]
NO_CATALOG = {"content"}
"""Models that learn from what ids do not tell."""


def learned(model: Model, events: Iterable[tuple[str, str]] = EVENTS) -> Model:
    for number, (user, item) in enumerate(events):
        model.learn_one(user, item, None, {"ts": 30.0 * number, "query": "red shoe"})
    return model


def pickled(original: Any) -> Any:
    return pickle.loads(pickle.dumps(original))  # noqa: S301  # of this process


def ranked(model: Model) -> list[list[str]]:
    return [model.rank(f"u{number}", ITEMS, {"query": "red shoe"}) for number in range(8)]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_made_alone_learns_and_ranks_plain_ids(name: str) -> None:
    model = learned(MODELS[name]())
    assert isinstance(model, reco.base.Ranker)
    assert all(sorted(order) == sorted(ITEMS) for order in ranked(model))
    scores = [model.predict_one(f"u{n}", item, {"query": "red shoe"}) for item in ITEMS for n in range(7)]
    assert any(score > 0 for score in scores) or name in NO_CATALOG
    assert model.predict_one("u1", "never seen") == 0.0


@pytest.mark.parametrize("name", MODELS)
def test_a_clone_has_the_parameters_and_has_learned_nothing(name: str) -> None:
    model = learned(MODELS[name]())
    clone = model.clone()
    assert type(clone) is type(model)
    assert clone.parameters() == model.parameters()
    assert repr(clone) == repr(model)
    assert len(clone.index) == 0
    assert all(clone.predict_one("u1", item) == 0.0 for item in ITEMS)
    before = ranked(model)
    learned(clone, [("u1", "i11")] * 3)
    assert ranked(model) == before


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "copied",
    [pickled, deepcopy, lambda model: model.clone(None, True)],
    ids=["pickle", "deepcopy", "clone with attributes"],
)
def test_a_copy_goes_on_where_the_original_is(name: str, copied: Callable[[Model], Model]) -> None:
    model = learned(MODELS[name]())
    copy = copied(model)
    assert ranked(copy) == ranked(model)
    for each in (model, copy):
        each.learn_one("u3", "i4", None, {"ts": 9_000.0})
        each.forget_items(np.array([each.index.find("i1")], np.int32))
    assert ranked(copy) == ranked(model)


RIVER_CHECKS = [
    common.check_repr,
    common.check_str,
    common.check_tags,
    common.check_clone_same_class,
    common.check_clone_is_idempotent,
    common.check_init_has_default_params_for_tests,
    common.check_init_default_params_are_not_mutable,
    common.check_doc,
    common.check_clone_changes_memory_addresses,
    common.check_mutate_can_be_idempotent,
    common.check_pickling_supports_roundtrip,
    common.check_repr_roundtrips_clone,
    common.check_clone_with_new_params_applies,
    check_reco_routine,
]
"""Those of `river.checks.yield_checks` that rankers get; the others need data sets of scikit-learn."""


@pytest.mark.parametrize("check", RIVER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_passes_the_checks_of_river(name: str, check: Callable[[Model], None]) -> None:
    check(MODELS[name]())


def test_new_parameters_of_a_clone_are_those_of_the_constructor() -> None:
    assert Popularity().clone({"half_life": 5.0}).half_life == 5.0
    assert SessionKNN(postings=60).clone({"repeat": 0.5}).parameters()["postings"] == 60
    assert SessionKNN().clone({"postings": 40}).store.parameters["postings"] == 40
    with pytest.raises(ValueError, match="Popularity has no halflife; it has half_life, segments"):
        Popularity().clone({"halflife": 5.0})
    with pytest.raises(ValueError, match="parameters of the original"):
        Popularity().clone({"half_life": 5.0}, include_attributes=True)


def test_ids_teach_a_model_what_its_set_learns_from_interactions() -> None:
    models = ModelSet(["item_to_item", "popularity", "trending"])
    alone: list[Model] = [ItemToItem(), Popularity(), Trending()]
    for offset, (user, item) in enumerate(EVENTS):
        ts, kind = 40.0 * offset, (Kind.VIEW, Kind.PURCHASE)[offset % 5 == 0]
        models.learn(Interaction(Source.CLICK, 0, offset, ts, user, kind, (Line(item),), ("country:FR",)))
        for model in alone:
            model.learn_one(user, item, x={"ts": ts, "kind": kind.name, "segments": {"country": "FR"}})
    for user in ("u1", "u2", "nobody"):
        context = models.context_from_tracker(user, ("country:FR",))
        if user == "nobody":
            context = context._replace(now=models.newest)
        for together, each in zip(models.models, alone, strict=True):
            numbers = np.array(models.index.find_all(ITEMS), np.int32)
            expected = dict(zip(ITEMS, together.score(context, numbers).tolist(), strict=True))
            found = {item: each.predict_one(user, item, {"segments": ["country:FR"]}) for item in ITEMS}
            assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("y", "x", "grows"),
    [
        (None, None, True),
        (True, {"kind": "purchase"}, True),
        (4, {"ts": datetime(2026, 1, 1, tzinfo=UTC)}, True),
        (2.5, {"segments": "country:FR", "kind": Kind.CART, "other": object()}, True),
        (np.bool_(True), {"kind": "purchase"}, True),
        (np.float32(2), None, True),
        (np.bool_(False), None, False),
        (False, None, False),
        (0, {"kind": "cart"}, False),
        (-1.0, None, False),
        (None, {"kind": "dislike"}, False),
    ],
)
def test_a_reward_is_a_weight_and_no_reward_is_no_choice(y: Any, x: Any, grows: bool) -> None:
    model = Popularity()
    model.learn_one("ann", "shoe", y, x)
    assert (model.predict_one("bob", "shoe") > 0) is grows


@pytest.mark.parametrize(
    ("y", "x", "message"),
    [
        (1, {"kind": "look"}, "kind must be one of view, detail, .*, not 'look'"),
        (1, {"kind": Kind.SEARCH}, "kind must be one of"),
        (float("nan"), None, "y must be finite"),
        (float("inf"), None, "y must be finite"),
        (1, {"ts": float("nan")}, "ts must be finite, not nan"),
        (1, {"ts": float("inf")}, "ts must be finite, not inf"),
    ],
)
def test_what_cannot_be_learned_is_named(y: Any, x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Popularity().learn_one("ann", "shoe", y, x)


def test_true_has_the_weight_of_the_kind() -> None:
    scores = []
    rewards: list[Any] = [True, np.bool_(True), None, 5]
    for y in rewards:
        model = Popularity()
        model.learn_one("ann", "hat")
        model.learn_one("ann", "shoe", y, {"kind": "purchase"})
        scores.append(model.predict_one("bob", "shoe"))
    assert scores == [scores[0]] * 4
    assert scores[0] == pytest.approx(5 / 6, rel=1e-3)


def test_users_and_items_may_be_any_hashable_and_come_back_as_they_are() -> None:
    model = ItemToItem()
    for user, item in [(1, 10), (1, ("b", 2)), (2, 10)]:
        model.learn_one(user, item)
    assert model.rank(2, {("b", 2), 11, 10})[0] == ("b", 2)


def test_a_model_in_a_set_takes_ids_too_and_follows_evictions_of_its_index() -> None:
    models = ModelSet(["item_to_item"], max_items=20)
    [model] = models.models
    for number in range(200):
        model.learn_one("ann", f"i{number}")
    assert len(models.index) <= 20
    assert model.rank("ann", ["i3", "i199"])
    assert {*model._ids().context("ann", None).items.tolist()} <= {
        number for number in range(models.index.size) if models.index.used[number]
    }


def test_a_forgotten_user_of_a_model_alone_is_a_stranger() -> None:
    model = learned(ItemToItem())
    model.forget_user("u1")
    assert [model.predict_one("u1", item) for item in ITEMS] == [0.0] * len(ITEMS)


def test_items_of_a_model_alone_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.models.base.ITEMS_ALONE", 30)
    model = Popularity()
    for number in range(100):
        model.learn_one("ann", number)
    assert len(model.index) <= 30


def estimators() -> list[base.Base]:
    return [
        OutlierFilter(threshold=4.0),
        SessionTracker(gap=60.0),
        SoftmaxRanker(3, hidden=2),
        FactorizationRanker([(0, 6)], pairs=[(0, 5), (1, 5)]),
        *(policy(3) for policy in POLICIES.values()),
    ]


@pytest.mark.parametrize("estimator", estimators(), ids=str)
def test_filters_trackers_rankers_and_policies_are_estimators(estimator: Any) -> None:
    clone = estimator.clone()
    assert isinstance(estimator, base.Base)
    assert repr(clone) == repr(estimator)
    assert clone._get_params() == estimator._get_params()
    assert clone.state()["parameters"] == estimator.state()["parameters"]
    assert repr(pickled(estimator)) == repr(deepcopy(estimator)) == repr(estimator)


def test_a_clone_of_a_tracker_has_its_gap_and_nobody() -> None:
    tracker = SessionTracker(gap=60.0)
    tracker.observe("ann", 0, 0.0, EventStream.VIEWS)
    clone = tracker.clone({"half_life": 5.0})
    assert (clone.gap, clone.half_life, len(clone), len(tracker)) == (60.0, 5.0, 0, 1)


def test_content_alone_ranks_by_ids_without_a_catalog() -> None:
    assert sorted(learned(Content()).rank("u1", {"i1", "i2"})) == ["i1", "i2"]
