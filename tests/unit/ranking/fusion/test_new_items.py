"""Items without interactions in the learned fusion."""

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.models.base import Candidates
from stream_app.models.warm_up import adopt_small_weights
from stream_app.ranking.assembly import make_models
from stream_app.ranking.config import ModelsConfig, RankingConfig
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.ranking.fusion.new_items import HIDDEN, HiddenHistory, NewItemBonus
from stream_app.ranking.fusion.quotas import NEW_QUOTA, SOURCE_QUOTA, best_candidates

NAMES = (
    "occurrences",
    "clicks",
    "knn_rank",
    "category_affinity",
    "neural_cosine",
    "content_rank",
    "search_rank",
)
KEPT = [at for at, name in enumerate(NAMES) if name in ("category_affinity", "neural_cosine", "content_rank")]


def hidden_rows(clicks: np.ndarray, number: int = 1, occurrences: float = 0.0) -> np.ndarray:
    """Which rows of old items look like new ones after a choice."""
    n = len(clicks)
    matrix = np.random.default_rng(n).uniform(0.1, 1.0, (n, len(NAMES))).astype(np.float32)
    matrix[:, 0] = occurrences
    matrix[clicks == 0, 1:3] = (0.0, 1.0)
    before = matrix.copy()
    hashes = np.random.default_rng(3).integers(1, 2**62, n).astype(np.uint64)
    HiddenHistory(NAMES, ["content", "search"]).hide(matrix, clicks, hashes, number)
    assert np.array_equal(matrix[:, KEPT], before[:, KEPT]), (
        "what does not depend on interactions is still there"
    )
    changed: np.ndarray = (matrix != before).any(axis=1)
    assert (matrix[changed][:, 1:3] == (0.0, 1.0)).all()
    return changed


def test_some_old_items_are_learned_as_if_they_were_new() -> None:
    clicks = np.ones(5_000, np.int64)
    clicks[10] = 0
    assert hidden_rows(clicks).mean() == pytest.approx(HIDDEN, abs=0.02)
    assert not np.array_equal(hidden_rows(clicks, number=1), hidden_rows(clicks, number=2))
    assert np.array_equal(hidden_rows(clicks, number=2), hidden_rows(clicks, number=2))


def test_without_a_new_item_nothing_is_hidden() -> None:
    assert not hidden_rows(np.ones(500, np.int64)).any()


def test_what_the_user_interacted_with_keeps_its_history() -> None:
    clicks = np.ones(500, np.int64)
    clicks[10] = 0
    assert not hidden_rows(clicks, occurrences=0.25).any()


def test_further_candidates_are_shortlisted_if_no_one_interacted_with_them() -> None:
    items = np.arange(100, dtype=np.int32)
    found = Candidates(items, np.ones(100, np.float32), items)
    clicks = np.ones(100, np.int64)
    assert best_candidates(found, clicks).tolist() == list(range(SOURCE_QUOTA))
    clicks[40:] = 0
    assert best_candidates(found, clicks).tolist() == [*range(SOURCE_QUOTA), *range(40, 40 + NEW_QUOTA)]


def test_the_bonus_is_for_new_items_that_the_two_tower_model_knows() -> None:
    matrix = np.zeros((3, len(NAMES)), np.float32)
    matrix[:2, NAMES.index("neural_cosine")] = 0.7
    items, clicks, scores = np.arange(3, dtype=np.int32), np.array([0, 4, 0]), np.zeros(3, np.float32)
    NewItemBonus(NAMES, 0.5).add(matrix, items, clicks, scores)
    assert scores.tolist() == [0.5, 0.0, 0.0]
    NewItemBonus(NAMES[:4], 0.5).add(matrix, items, clicks, scores)
    assert scores.tolist() == [0.5, 0.0, 0.0], "without the model there is none"


def config(**parameters: float) -> RankingConfig:
    names = ["popularity", "session_knn", "content", "two_tower"]
    return RankingConfig(models=ModelsConfig(names=names, parameters={"fusion": parameters}))


def test_the_bonus_is_a_hyperparameter_of_the_fusion() -> None:
    models = make_models(config(new_item_bonus=0.0))
    adopt_small_weights(models, "ab")
    fusion = models.learner(LearnedFusion)
    assert fusion is not None
    assert fusion._get_params()["new_item_bonus"] == 0.0
    assert fusion.clone()._get_params()["new_item_bonus"] == 0.0
    with pytest.raises(UserError, match="new_item_bonus"):
        make_models(config(new_item_bonus=-1.0))
