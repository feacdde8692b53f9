"""Models, fusions and policies that an installed package registers."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from river import reco

from stream_app.bandit.policy_registry import create_policy, known_policies, require_policy
from stream_app.bandit.river_policy import RiverPolicy
from stream_app.errors import UserError
from stream_app.models.item_index import ItemIndex
from stream_app.models.registry import create, known_models
from stream_app.models.river_ranker import RiverRanker
from stream_app.ranking.assembly import make_models
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion
from stream_app.settings import SettingsError, load_settings
from tests.support.installed_package import install

SOURCE = '''
from river import bandit, linear_model, preprocessing, reco
from stream_app.bandit.fixed import Fixed
from stream_app.models.popularity import Popularity
from stream_app.ranking.fusion.weighted import WeightedFusion

class SlowPopularity(Popularity):
    name = "slow_popularity"

class Taste(reco.BiasedMF):
    """A recommender of River with other defaults."""
    def __init__(self, n_factors=3, seed=None):
        super().__init__(n_factors=n_factors, seed=seed)

scaled = preprocessing.StandardScaler() | linear_model.LogisticRegression()
taste = reco.FunkMF(n_factors=5)

def make_taste():
    return reco.BiasedMF(n_factors=7)

class AsIs(Fixed):
    name = "as_is"

ucb = bandit.UCB(delta=0.5)

class Sum(WeightedFusion):
    policy = "our_sum"
    def __init__(self, models, *, per_source=100, seed=7, factor=1.0):
        super().__init__(models, per_source=per_source, seed=seed)
        self.factor = factor

def broken():
    raise OSError("no file of weights")

text = "no model"
'''
ENTRY_POINTS = {
    "headrace.models": {
        "slow_popularity": "shop:SlowPopularity",
        "taste_class": "shop:Taste",
        "taste": "shop:taste",
        "made": "shop:make_taste",
        "scaled": "shop:scaled",
        "misnamed": "shop:SlowPopularity",
        "text": "shop:text",
        "absent": "shop:Absent",
        "broken": "shop:broken",
        "popularity": "shop:SlowPopularity",
    },
    "headrace.policies": {"as_is": "shop:AsIs", "ucb": "shop:ucb", "no_policy": "shop:text"},
    "headrace.fusions": {"our_sum": "shop:Sum", "no_fusion": "shop:text"},
}


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(install(tmp_path, "shop", {"shop": SOURCE}, ENTRY_POINTS)))


def test_a_model_class_of_a_package_runs_by_its_name() -> None:
    [model] = create(["slow_popularity"], ItemIndex(9), overrides={"slow_popularity": {"half_life": 5.0}})
    assert (model.name, model.parameters()["half_life"]) == ("slow_popularity", 5.0)
    with pytest.raises(UserError, match="slow_popularity has no 'halflife'; it has half_life"):
        create(["slow_popularity"], ItemIndex(9), overrides={"slow_popularity": {"halflife": 5.0}})


@pytest.mark.parametrize(("name", "n_factors"), [("taste_class", 3), ("taste", 5), ("made", 7)])
def test_a_river_object_of_a_package_is_wrapped(name: str, n_factors: int) -> None:
    [model] = create([name], ItemIndex(9), max_users=30, seed=9)
    assert isinstance(model, RiverRanker)
    assert (model.name, model.river.n_factors, model.max_users) == (name, n_factors, 30)
    [model] = create([name], ItemIndex(9), overrides={name: {"n_factors": 2, "pool": 40}})
    assert isinstance(model, RiverRanker)
    assert (model.river.n_factors, model.pool) == (2, 40)
    assert isinstance(model.river, reco.BiasedMF | reco.FunkMF)
    assert model.river.seed == 7


def test_names_of_packages_are_listed_after_those_of_headrace() -> None:
    assert {"slow_popularity", "scaled"} <= {*known_models()}
    assert known_models().count("popularity") == 1
    assert known_policies()[-3:] == ["as_is", "no_policy", "ucb"]
    with pytest.raises(
        UserError, match=r"no model 'tast'; there are popularity, .*, taste, taste_class, text, and"
    ):
        create(["tast"], ItemIndex(9))


def test_names_of_headrace_take_precedence() -> None:
    assert create(["popularity"], ItemIndex(9))[0].name == "popularity"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("misnamed", "'misnamed' is SlowPopularity, whose name is 'slow_popularity'. Give both one name"),
        ("text", "'text' is 'no model', which is neither a subclass of stream_app.models.base.Model nor"),
        ("absent", "'absent' of shop cannot be imported from shop:Absent: AttributeError"),
        ("broken", "'broken' could not be made: OSError: no file of weights. It is called without arguments"),
    ],
)
def test_what_is_no_model_is_named_with_its_package(name: str, message: str) -> None:
    with pytest.raises(UserError, match=f"headrace.models: {message}"):
        create([name], ItemIndex(9))


def test_two_packages_with_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = install(
        tmp_path / "other", "rival", {"rival": SOURCE}, {"headrace.models": {"taste": "rival:taste"}}
    )
    monkeypatch.syspath_prepend(str(other))
    with pytest.raises(UserError, match=r"'taste' in headrace.models is ambiguous: rival:taste, shop:taste"):
        create(["taste"], ItemIndex(9))


def test_policies_of_a_package_run_by_their_names() -> None:
    assert create_policy("as_is", 3).name == "as_is"
    policy = create_policy("ucb", 3, positions=2)
    assert isinstance(policy, RiverPolicy)
    assert (policy.name, policy.config.positions) == ("ucb", 2)
    require_policy("as_is")
    with pytest.raises(UserError, match="no_policy is no policy: str is neither a subclass"):
        create_policy("no_policy", 3)
    with pytest.raises(UserError, match=r"There is no policy 'as_iss'; there are fixed, .*as_is"):
        require_policy("as_iss")


def settings_with(**values: Any) -> Mapping[str, str]:
    return {
        f"HEADRACE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def apply(**values: Any) -> None:
        for name, value in settings_with(**values).items():
            monkeypatch.setenv(name, value)

    return apply


def test_the_settings_take_all_three_kinds(configure: Callable[..., None]) -> None:
    configure(
        models=["popularity", "taste"],
        model_parameters={"taste": {"n_factors": 4}, "fusion": {"factor": 2.0}},
        fusion="our_sum",
        policies={"as_is": 0.5, "ucb": 0.5},
        control_policy="as_is",
    )
    models = make_models(load_settings().ranking_config)
    fusion = models.learner(ChoiceFusion)
    assert fusion is not None
    assert (fusion.policy, fusion.factor) == ("our_sum", 2.0)
    assert [model.name for model in models.models] == ["popularity", "taste"]


def test_an_unknown_fusion_is_refused(configure: Callable[..., None]) -> None:
    configure(fusion="ours")
    with pytest.raises(
        SettingsError, match=r"HEADRACE_FUSION: There is no fusion 'ours'; .*no_fusion, our_sum"
    ):
        load_settings()
    configure(fusion="no_fusion")
    with pytest.raises(UserError, match=r"headrace.fusions: 'no_fusion' is 'no model', which is no subclass"):
        make_models(load_settings().ranking_config)
    configure(fusion="our_sum", model_parameters={"fusion": {"faktor": 2.0}})
    with pytest.raises(
        UserError, match=r"HEADRACE_MODEL_PARAMETERS: fusion: .*unexpected keyword argument 'faktor'"
    ):
        make_models(load_settings().ranking_config)


def test_an_unknown_control_policy_is_refused(configure: Callable[..., None]) -> None:
    configure(policies={"fixed": 1.0}, control_policy="as_iss")
    with pytest.raises(
        SettingsError, match=r"HEADRACE_CONTROL_POLICY: There is no policy 'as_iss'; there are fixed"
    ):
        load_settings()
