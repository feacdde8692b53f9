"""Models that wrap River objects: what River does not bound is bounded, forgotten and saved here."""

import gc
import json
import math
from typing import Any

import numpy as np
import pytest
from river import base, evaluate, metrics, preprocessing, reco

from state.snapshots.encoding import decode_snapshot, encode_snapshot
from stream_app.errors import UserError
from stream_app.models.base import Model
from stream_app.models.biased_mf import BiasedMF
from stream_app.models.item_index import ItemIndex
from stream_app.models.model_parts import adopt_parts, fingerprint, restore_parts
from stream_app.models.model_set import ModelSet
from stream_app.models.ranker_wrappers import RankerClassifier, RankerRegressor
from stream_app.models.registry import create
from stream_app.models.river_estimator import RiverEstimator
from stream_app.models.river_graph import forget_keys, held_bytes
from stream_app.models.river_ranker import RiverRanker
from stream_app.models.river_state import restore_river, river_state
from stream_app.models.warm_up import warm_up
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.ranking.request import RankRequest
from stream_app.settings import load_settings
from topics.records import Interaction, Kind, Line, Source

BIASED_MF = "river:reco.BiasedMF"
PIPELINE = "river:preprocessing.StandardScaler() | linear_model.LogisticRegression()"


def make(name: str, **parameters: Any) -> Model:
    [model] = create([name], ItemIndex(1000), overrides={name: parameters})
    return model


def strings_in(thing: Any) -> set[str]:
    """Every text that an object holds, however deep."""
    seen: set[int] = set()
    pending, found = [thing], set()
    while pending:
        each = pending.pop()
        if id(each) in seen or isinstance(each, type | ItemIndex) or callable(each):
            continue
        seen.add(id(each))
        if isinstance(each, str):
            found.add(each)
        else:
            pending += gc.get_referents(each)
    return found


def view(offset: int, user: str, item: str) -> Interaction:
    return Interaction(Source.CLICK, 0, offset, 30.0 * offset, user, Kind.VIEW, (Line(item),))


def choose(model: Model, user: str, *items: str, y: float = 1.0) -> None:
    for item in items:
        model.learn_one(user, item, y)


class ListRanker(reco.base.Ranker):  # type: ignore[misc]  # River has no types
    """Remembers pairs in a list, where no key can be removed."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed)
        self.pairs: list[tuple[str, str, float]] = []

    def learn_one(self, user: str, item: str, y: float, x: Any = None) -> None:  # noqa: ARG002  # as River
        self.pairs.append((user, item, y))

    def predict_one(self, user: str, item: str, x: Any = None) -> float:  # noqa: ARG002  # as River
        return sum(y for _, other, y in self.pairs if other == item)


class ContextualRanker(reco.base.Ranker):  # type: ignore[misc]  # River has no types
    """Keeps the last features."""

    def __init__(self) -> None:
        super().__init__(7)
        self.last: dict[str, Any] | None = None

    @property
    def is_contextual(self) -> bool:
        return True

    def learn_one(self, user: str, item: str, y: float, x: Any = None) -> None:  # noqa: ARG002  # as River
        self.last = x

    def predict_one(self, user: str, item: str, x: Any = None) -> float:  # noqa: ARG002  # as River
        return 1.0


def test_a_river_recommender_learns_the_taste_of_each_user() -> None:
    model = make(BIASED_MF, n_factors=8, max_users=50, latent_optimizer="optim.SGD(0.2)", negatives=0.0)
    for _ in range(30):
        choose(model, "ann", "shoe")
        choose(model, "ann", "hat", y=-1.0)
        choose(model, "bob", "hat")
        choose(model, "bob", "shoe", y=-1.0)
    assert model.rank("ann", {"shoe", "hat", "new"}) == ["shoe", "hat", "new"]
    assert model.rank("bob", {"shoe", "hat", "new"}) == ["hat", "shoe", "new"]


def test_asking_for_the_unknown_leaves_nothing_in_the_river_object() -> None:
    model = make(BIASED_MF)
    assert isinstance(model, RiverRanker)
    choose(model, "ann", "shoe", "hat")
    before = {name: len(getattr(model._learned, name)) for name in ("u_latents", "i_latents", "u_biases")}
    for number in range(50):
        model.predict_one(f"stranger{number}", "shoe")
        model.rank("ann", [f"unknown{number}", "hat"])
    assert before == {name: len(getattr(model._learned, name)) for name in before}


@pytest.mark.parametrize(
    "name",
    [
        BIASED_MF,
        "river:reco.Baseline",
        "river:reco.FunkMF",
        "river:reco.BiasedMF(latent_optimizer=optim.Adam(0.01), bias_optimizer=optim.AdaGrad())",
    ],
)
def test_users_and_items_beyond_the_bounds_leave_the_river_object(name: str) -> None:
    [model] = create([name], ItemIndex(40), overrides={name: {"max_users": 30}})
    assert isinstance(model, RiverRanker)
    model.index.subscribe(model.forget_items)
    for number in range(600):
        choose(model, f"u{number % 300}", f"i{number % 170}", f"i{(7 * number) % 170}")
    dictionaries = [
        each
        for part in (model._learned, *vars(model._learned).values())
        if hasattr(part, "__dict__")
        for each in vars(part).values()
        if isinstance(each, dict)
    ]
    assert dictionaries
    assert max(len(each) for each in dictionaries) <= 41
    assert model.memory() < 200_000


def test_neither_the_id_nor_the_key_of_an_erased_user_stays() -> None:
    model = make(BIASED_MF)
    assert isinstance(model, RiverRanker)
    choose(model, "ann-the-erased", "shoe", "hat")
    choose(model, "bob", "shoe")
    key = f"user:{model._users.find('ann-the-erased')}"
    assert key in model._learned.u_latents
    model.forget_user("ann-the-erased")
    texts = strings_in(model)
    assert not {text for text in texts if "erased" in text}
    assert key not in texts
    stranger = model.predict_one("stranger", "shoe")
    assert model.predict_one("ann-the-erased", "shoe") == stranger > 0


def test_an_object_that_cannot_forget_starts_anew() -> None:
    model = RiverRanker(river=ListRanker())
    choose(model, "ann", "shoe")
    choose(model, "bob", "hat")
    model.forget_user("ann")
    assert model._learned.pairs == []
    assert model.predict_one("bob", "hat") == 0.0
    choose(model, "carl", "hat")
    assert model.predict_one("carl", "hat") > 0
    assert model.predict_one("bob", "hat") == model.predict_one("stranger", "hat") > 0


def test_a_contextual_ranker_gets_time_and_segments_and_no_query() -> None:
    model = RiverRanker(river=ContextualRanker())
    model.learn_one("ann", "shoe", 1.0, {"ts": 5.0, "segments": {"country": "FR"}, "query": "red"})
    assert model._learned.last == {"ts": 5.0, "country:FR": 1}


def test_keys_are_removed_from_texts_tuples_and_sets_and_found_in_lists() -> None:
    class Held(base.Base):  # type: ignore[misc]  # River has no types
        def __init__(self) -> None:
            self.weights = {"user_u1": 1.0, "user_u11": 2.0, "price": 3.0}
            self.pairs = {("u1", "i1"): 1.0, ("u2", "i1"): 1.0}
            self.nested = {"i1": {"u1": 1.0, "u2": 2.0}}
            self.known = {"u1", "u2"}
            self.part = reco.Baseline()

    held = Held()
    held.part.learn_one("u1", "i1", 1.0)
    assert forget_keys(held, ["u1"])
    assert (held.weights, held.pairs) == ({"user_u11": 2.0, "price": 3.0}, {("u2", "i1"): 1.0})
    assert (held.nested, held.known) == ({"i1": {"u2": 2.0}}, {"u2"})
    assert list(held.part.u_biases) == []
    held.known = [("u1", 1)]  # type: ignore[assignment]
    assert not forget_keys(held, ["u1"])
    held.known = frozenset({"u1"})  # type: ignore[assignment]
    assert not forget_keys(held, ["u1"])


def test_the_size_of_a_river_object_follows_its_users() -> None:
    ranker = reco.BiasedMF(n_factors=32)
    sizes = []
    for number in range(2000):
        ranker.learn_one(f"user:{number}", "item:1", 1.0)
        if number in (999, 1999):
            sizes.append(held_bytes(ranker))
    assert sizes[1] / sizes[0] == pytest.approx(2.0, rel=0.05)
    assert sizes[1] == pytest.approx(ranker._raw_memory_usage, rel=0.35)


def test_a_classifier_learns_from_features_of_user_and_item() -> None:
    model = make(PIPELINE)
    for number in range(300):
        user, ts = f"u{number}", 100.0 * number
        model.learn_one(user, "lamp" if number % 3 else "map", 1.0, {"ts": ts})
        model.learn_one(user, "lamp" if number % 3 else "map", 1.0, {"ts": ts + 1.0})
    model.learn_one("ann", "map", 1.0, {"ts": 40_000.0})
    # users choose again what they have just chosen
    assert model.rank("ann", {"lamp", "map"}) == ["map", "lamp"]
    assert model.rank("stranger", {"lamp", "map"}, {"ts": 40_000.0}) == ["lamp", "map"]


def test_features_name_neither_user_nor_item() -> None:
    model = make(PIPELINE)
    assert isinstance(model, RiverEstimator)
    for number in range(40):
        choose(model, f"secret{number}", f"i{number % 5}")
    assert not {text for text in strings_in(model._learned) if "secret" in text or text.startswith("i1")}


@pytest.mark.parametrize("name", [BIASED_MF, PIPELINE, "river:reco.FunkMF(optimizer=optim.Adam(0.01))"])
def test_a_saved_river_object_goes_on_to_the_last_bit_after_a_snapshot(name: str) -> None:
    def learn(models: ModelSet, start: int) -> None:
        for offset in range(start, start + 120):
            models.learn(view(offset, f"u{offset % 9}", f"i{offset * offset % 13}"))

    models = ModelSet([name], max_items=50, max_users=20)
    learn(models, 0)
    saved = decode_snapshot(encode_snapshot(models.state()))
    restored = restore_parts(lambda: ModelSet([name], max_items=50, max_users=20), saved)
    assert restored.missing == {}
    for each in (models, restored.models):
        learn(each, 120)
    context = models.context_from_tracker("u1", ())
    ours, theirs = (each.models[0].candidates(context, 20) for each in (models, restored.models))
    assert ours.items.tolist() == theirs.items.tolist()
    assert ours.scores.tolist() == theirs.scores.tolist()


def test_a_river_object_without_plain_data_is_learned_from_the_log_and_then_copied() -> None:
    name = "river:rules.AMRules"
    models = ModelSet([name, "popularity"], max_items=50)
    for offset in range(30):
        models.learn(view(offset, f"u{offset % 4}", f"i{offset % 5}"))
    restored = restore_parts(lambda: ModelSet([name, "popularity"], max_items=50), models.state())
    assert set(restored.missing) == {name}
    assert "AMRules is not saved; it is learned from the log" in restored.missing[name]
    adopt_parts(restored.models, models, restored.missing)
    context = models.context_from_tracker("u1", ())
    scores = [
        each.models[0].score(context, np.arange(5, dtype=np.int32)).tolist()
        for each in (restored.models, models)
    ]
    assert scores[0] == scores[1]
    assert max(scores[0]) > 0


@pytest.mark.parametrize(
    "name",
    [
        "river:rules.AMRules",
        "river:forest.ARFClassifier(n_models=2, seed=1)",
        "river:neighbors.KNNClassifier",
    ],
)
def test_a_worker_starts_with_a_river_object_that_is_not_saved(name: str) -> None:
    warm_up(["popularity", name])


def test_the_parameters_of_a_river_object_are_the_same_text_in_each_process() -> None:
    class Named(ListRanker):
        def __init__(self, weigh: Any = min) -> None:
            super().__init__()
            self.weigh = weigh

    models = [RiverRanker(river=Named(object())), RiverRanker(river=Named(object()))]
    assert models[0].parameters() == models[1].parameters()
    assert RiverRanker(river=Named()).parameters() != models[0].parameters()


def test_a_state_makes_objects_of_river_alone() -> None:
    ranker = reco.Baseline()
    state = river_state(ranker)
    assert state is not None
    json.dumps(state, default=lambda array: array.tolist())
    for path in ("os:system", "river.reco.baseline:copy", "river.base.base:Nothing", "builtins:eval"):
        state["root"]["attributes"]["global_mean"]["class"] = path
        with pytest.raises(ValueError, match=r"no class of River|malformed"):
            restore_river(reco.Baseline(), state)


@pytest.mark.parametrize(
    "damaged", [{}, {"root": {"type": "object"}}, {"root": {"type": "what"}}, {"root": 5}, {"root": []}]
)
def test_a_damaged_state_is_a_value_error(damaged: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="state"):
        restore_river(reco.Baseline(), damaged)


def test_predictions_that_are_not_finite_score_as_the_lowest_known() -> None:
    class Broken(ListRanker):
        def predict_one(self, user: str, item: str, x: Any = None) -> float:  # noqa: ARG002  # as River
            return {"item:0": math.nan, "item:1": math.inf, "item:2": -math.inf}[item]

    model = RiverRanker(river=Broken())
    choose(model, "ann", "a", "b", "c")
    assert model.rank("ann", ["a", "c", "b", "unknown"])[0] == "b"
    assert model.rank("ann", ["a", "c", "b", "unknown"])[-1] == "unknown"
    assert all(0 < model.predict_one("ann", item) <= 1 for item in "abc")


def test_an_error_of_a_river_object_is_logged_and_stops_no_other_model(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(ListRanker):
        def learn_one(self, user: str, item: str, y: float, x: Any = None) -> None:  # noqa: ARG002  # as River
            if item == "item:1":
                raise ZeroDivisionError("no such thing")

        def predict_one(self, user: str, item: str, x: Any = None) -> float:  # noqa: ARG002  # as River
            return float("many") if item == "item:2" else 1.0

    models = ModelSet(["popularity"], max_items=50)
    failing = RiverRanker(models.index, river=Failing(), name="failing", negatives=0.0)
    models.models.insert(0, failing)
    for offset in range(40):
        models.learn(view(offset, f"u{offset}", f"i{offset % 3}"))
    context = models.context_from_tracker("u1", ())
    assert models.models[1].score(context, np.arange(3, dtype=np.int32)).min() > 0
    assert failing.score(context, np.array([0, 1], np.int32)).min() > 0
    assert failing.score(context, np.arange(3, dtype=np.int32)).tolist() == [0.0, 0.0, 0.0]
    assert failing.n_errors > 10
    assert isinstance(failing.last_error, ValueError)
    assert caplog.messages[0] == (
        "model failing could not learn (1 errors so far): ZeroDivisionError: no such thing"
    )
    assert len(caplog.messages) <= 6


@pytest.mark.parametrize(
    "name",
    ["river:tree.ISOUPTreeRegressor", "river:active.EntropySampler(linear_model.LogisticRegression())"],
)
def test_an_estimator_that_predicts_no_number_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot learn from features and predict a number"):
        make(name)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("river:reco.BiasedNF", {}, r"River has no reco\.BiasedNF; reco has Baseline, BiasedMF"),
        ("river:", {}, "is no path such as"),
        ("river:preprocessing.StandardScaler", {}, r"StandardScaler is no model: .* neither ranks"),
        ("river:cluster.KMeans", {}, "is no model: KMeans"),
        (BIASED_MF, {"n_factor": 8}, r"has no 'n_factor'; it has n_factors, .*max_users, pool, negatives"),
        (BIASED_MF, {"latent_optimizer": "optim.SDG(1)"}, r"River has no optim\.SDG"),
        (PIPELINE, {"l2": 0.1}, "has no 'l2'; it has half_life, pool, negatives, seed"),
    ],
)
def test_what_is_no_model_of_river_is_named(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(name, **parameters)


def test_the_settings_run_a_river_model_in_fused_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_MODELS", json.dumps(["popularity", BIASED_MF]))
    monkeypatch.setenv("HEADRACE_MODEL_PARAMETERS", json.dumps({BIASED_MF: {"n_factors": 4, "pool": 30}}))
    config = load_settings(max_items=100, max_users=50).ranking_config
    models = make_models(config)
    model = models.models[1]
    assert isinstance(model, RiverRanker)
    assert (model.river.n_factors, model.pool, model.max_users, model.seed) == (4, 30, 50, 7)
    assert fingerprint(models) != fingerprint(
        make_models(load_settings(models=["popularity"]).ranking_config)
    )
    for offset in range(60):
        models.learn(view(offset, f"u{offset % 6}", f"i{offset % 10}"))
    request = RankRequest("u1", ("i1",), (1800.0,), 0, (), 1800.0, ("i1",))
    ranked = make_ranker(models, config).rank_user(request)
    assert {item.why.source for item in ranked.items} >= {"factors"}
    models.learn(Interaction(Source.ERASURE, 0, 0, 1801.0, "u1", Kind.ERASE, ()))
    assert model._users.find("u1") < 0


RATINGS = [
    ({"user": f"u{number % 5}", "item": f"i{number % 3}", "ts": 60.0 * number}, float(number % 3 == 0))
    for number in range(400)
]


@pytest.mark.parametrize(
    "ranker",
    [
        BiasedMF(),
        reco.BiasedMF(seed=3),
        make(BIASED_MF),
        make("popularity"),
        make("session_knn"),
    ],
    ids=str,
)
def test_progressive_validation_of_river_runs_on_every_ranker(ranker: Any) -> None:
    error = evaluate.progressive_val_score(RATINGS, RankerRegressor(ranker), metrics.MAE() + metrics.RMSE())
    assert 0 < error[0].get() < 0.7
    steps = [
        *evaluate.iter_progressive_val_score(
            RATINGS, RankerRegressor(ranker.clone()), metrics.MAE(), step=100
        )
    ]
    assert [step["Step"] for step in steps] == [100, 200, 300, 400]


@pytest.mark.parametrize("ranker", [BiasedMF(), reco.BiasedMF(seed=3), make(BIASED_MF)], ids=str)
def test_classification_metrics_of_river_run_on_every_ranker(ranker: Any) -> None:
    clicks = [(x, y > 0) for x, y in RATINGS]
    metric = evaluate.progressive_val_score(clicks, RankerClassifier(ranker), metrics.ROCAUC())
    assert metric.get() > 0.6
    clone = RankerClassifier(ranker, threshold=0.3).clone({"threshold": 0.4})
    assert (clone.threshold, type(clone.ranker)) == (0.4, type(ranker))
    assert set(clone.predict_proba_one({"user": 1, "item": 2})) == {True, False}


def test_a_ranker_without_a_context_needs_no_argument_for_it() -> None:
    class Short(reco.base.Ranker):  # type: ignore[misc]  # River has no types
        def learn_one(self, user: str, item: str, y: float) -> None:
            self.seed = f"{user} {item} {y}"

        def predict_one(self, user: str, item: str) -> float:
            return float(len(user + item))

    model = RiverRanker(river=Short())
    choose(model, "ann", "shoe")
    assert model.n_errors == 0
    assert model.predict_one("ann", "shoe") > 0
    assert model.n_errors == 0


def test_models_are_steps_of_rivers_pipelines_and_ensembles() -> None:
    from river import compose

    pipeline = compose.Discard("noise") | RankerRegressor(BiasedMF())
    for x, y in RATINGS:
        pipeline.learn_one({**x, "noise": 1.0}, y)
    chosen, other = (
        pipeline.predict_one({"user": "u1", "item": item, "noise": 1.0}) for item in ("i0", "i1")
    )
    assert chosen > other
    clone = pipeline.clone()
    assert clone.predict_one({"user": "u1", "item": "i0", "noise": 1.0}) == 0.0
    assert isinstance(preprocessing.TargetStandardScaler(pipeline.clone()), base.Regressor)
    assert isinstance(RankerRegressor(BiasedMF()).clone(), RankerRegressor)
