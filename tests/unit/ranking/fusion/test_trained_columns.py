"""The two-tower model switched on and off: what the fusion has learned stays."""

from typing import Any

import numpy as np
import pytest

from stream_app.models.model_parts import fingerprint, restore_parts
from stream_app.models.model_set import ModelSet
from stream_app.models.two_tower import TwoTower
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.ranking.config import ModelsConfig, RankingConfig
from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES, ChoiceFusion
from stream_app.ranking.ranker import RankedList
from stream_app.ranking.request import RankRequest
from tests.support.two_tower_builders import random_weights
from topics.records import Interaction, Kind, Line, Source

NAMES = ("popularity", "session_knn", "item_to_item")
N_ITEMS = 12


def config(fusion: str, *, neural: bool) -> RankingConfig:
    names = (*NAMES, "two_tower") if neural else NAMES
    return RankingConfig(models=ModelsConfig(names=names, max_items=100, max_users=100), fusion=fusion)


def learn(models: ModelSet, first: int = 0, n: int = 2 * MIN_CHOICES) -> None:
    """Clicks along a ring of items."""
    for offset in range(first, first + n):
        user, item = f"u{offset // 5 % 9}", f"i{offset * 7 % N_ITEMS}"
        ts = 1_000.0 + 10.0 * offset
        models.learn(Interaction(Source.CLICK, 0, offset, ts, user, Kind.VIEW, (Line(item),)))


def adopt(models: ModelSet) -> None:
    [model] = [each for each in models.models if isinstance(each, TwoTower)]
    model.adopt(random_weights([f"i{at}" for at in range(N_ITEMS)]), "5")


def ranked(models: ModelSet, used: RankingConfig) -> RankedList:
    request = RankRequest("u1", ("i1", "i8"), (9_000.0, 9_010.0), 0, (), 9_010.0, ())
    return make_ranker(models, used).rank_user(request)


def scores(found: RankedList) -> list[tuple[str, float]]:
    return [(item.id, item.score) for item in found.items]


def fusion_of(models: ModelSet) -> ChoiceFusion:
    found = models.learner(ChoiceFusion)
    assert found is not None
    return found


@pytest.fixture(params=["learned", "weighted"])
def fusion(request: pytest.FixtureRequest) -> Any:
    return request.param


def restored(models: ModelSet, used: RankingConfig) -> ModelSet:
    found = restore_parts(lambda: make_models(used), models.state())
    assert (found.missing, found.unused) == ({}, [])
    return found.models


def test_without_a_checkpoint_lists_are_those_without_the_model(fusion: str) -> None:
    without, with_model = config(fusion, neural=False), config(fusion, neural=True)
    plain, neural = make_models(without), make_models(with_model)
    # until the gains of sources are measured, too
    for models in (plain, neural):
        learn(models, n=2_500)
    assert fusion_of(plain).ready
    assert scores(ranked(neural, with_model)) == scores(ranked(plain, without))
    assert ranked(neural, with_model).neural_version == ""


def test_a_checkpoint_changes_lists_by_its_candidates_and_by_what_the_fusion_learns_then(fusion: str) -> None:
    used = config(fusion, neural=True)
    models = make_models(used)
    learn(models)
    before = fusion_of(models).ranker.state()["weights"]["knots"]
    adopt(models)
    assert ranked(models, used).neural_version == "5"
    learn(models, first=2 * MIN_CHOICES)
    apart = [
        at for at, name in enumerate(fusion_of(models).names) if name.startswith(("neural_", "two_tower_"))
    ]
    after = fusion_of(models).ranker.state()["weights"]["knots"]
    assert len(apart) >= 2
    assert not before[apart].any()
    assert after[apart].any()


def test_the_model_is_switched_on_without_losing_anything(fusion: str) -> None:
    without, with_model = config(fusion, neural=False), config(fusion, neural=True)
    plain = make_models(without)
    learn(plain)
    neural = restored(plain, with_model)
    assert scores(ranked(neural, with_model)) == scores(ranked(plain, without))
    assert fingerprint(make_models(with_model)) == fingerprint(make_models(without))


def test_the_model_is_switched_off_and_on_again(fusion: str) -> None:
    without, with_model = config(fusion, neural=False), config(fusion, neural=True)
    neural = make_models(with_model)
    adopt(neural)
    learn(neural)
    again = restored(neural, with_model)
    adopt(again)
    assert scores(ranked(again, with_model)) == scores(ranked(neural, with_model))
    plain = restored(neural, without)
    assert fusion_of(plain).ranker.choices == fusion_of(neural).ranker.choices
    kept = [at for at, name in enumerate(fusion_of(neural).names) if name in fusion_of(plain).names]
    assert np.array_equal(
        fusion_of(plain).ranker.state()["weights"]["knots"],
        fusion_of(neural).ranker.state()["weights"]["knots"][kept],
    )
    learn(plain, first=2 * MIN_CHOICES)
    assert ranked(restored(plain, with_model), with_model).items
