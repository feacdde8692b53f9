"""The feature table of the learned fusion."""

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES
from stream_app.ranking.fusion.feature_blocks import (
    FEATURE_BLOCKS,
    CandidateBatch,
    FeatureBlock,
    FeatureSources,
    FeatureTable,
    Matrix,
)
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.ranking.kernels.feature_table import (
    Feature,
    FeatureSpec,
    ProposalFeature,
    SessionFeature,
    TrendFeature,
    VectorFeature,
)
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.request import RankRequest
from topics.records import Interaction, Kind, Line, Source

MODELS = ("popularity", "session_knn", "item_vectors", "trending")


def write_is_even(sources: FeatureSources, candidates: CandidateBatch, out: Matrix, first: int) -> None:
    names = sources.models.index.ids_of(candidates.items.tolist())
    out[:, first] = [int(name.removeprefix("i")) % 2 == 0 for name in names]


EVEN = FeatureBlock((FeatureSpec("is_even", "item id", "1 for even numbers"),), write_is_even)


def trained(fusion_blocks: tuple[FeatureBlock, ...]) -> ModelSet:
    """Models of a shop whose users view an odd item and then any even item."""
    models = ModelSet(MODELS, max_items=1000, max_users=1000)
    models.learners.append(LearnedFusion(models, blocks=fusion_blocks))
    rng = np.random.default_rng(2)
    for number in range(600):
        odd, even = 2 * int(rng.integers(10)) + 1, 2 * int(rng.integers(10))
        for step, item in enumerate((odd, even)):
            models.learn(
                Interaction(
                    Source.CLICK,
                    0,
                    2 * number + step,
                    100.0 * number + step,
                    f"u{number}",
                    Kind.VIEW,
                    (Line(f"i{item}"),),
                )
            )
    return models


def matrix_of(models: ModelSet, *items: str) -> Matrix:
    fusion = models.learner(LearnedFusion)
    assert fusion is not None
    context = models.context("me", items, [float(at) for at in range(len(items))], 0, (), 1e6)
    return fusion.shortlist(context, fusion.proposals(context), models.index.available).matrix.copy()


def test_a_feature_is_added_by_one_entry_and_ranks() -> None:
    models = trained((*FEATURE_BLOCKS, EVEN))
    fusion = models.learner(LearnedFusion)
    assert fusion is not None
    assert fusion.ranker.choices >= MIN_CHOICES
    column = fusion.table.column("is_even")
    assert set(matrix_of(models, "i3")[:, column].tolist()) == {0.0, 1.0}
    knots = fusion.ranker.mean.knots[:, :, 0]
    assert knots[column, -1] > knots[column, 0], "the shop's rule is learned"
    request = RankRequest("me", ("i3",), (0.0,), 0, (), 1e6, ("i3",))
    ranked = Ranker(models, per_source=50, length=8).rank_user(request)
    assert ranked.policy == "learned"
    assert all(int(item.id.removeprefix("i")) % 2 == 0 for item in ranked.items)


def test_an_added_feature_leaves_the_others_as_they_are() -> None:
    plain, extended = trained(FEATURE_BLOCKS), trained((*FEATURE_BLOCKS, EVEN))
    tables = [fusion.table for models in (plain, extended) if (fusion := models.learner(LearnedFusion))]
    matrices = [matrix_of(models, "i3", "i4") for models in (plain, extended)]
    for name in tables[0].names:
        columns = [matrix[:, table.column(name)] for matrix, table in zip(matrices, tables, strict=True)]
        assert columns[0].tolist() == columns[1].tolist(), name


def test_weights_of_another_table_are_rejected() -> None:
    state = trained(FEATURE_BLOCKS).state()
    models = ModelSet(MODELS, max_items=1000, max_users=1000)
    models.learners.append(LearnedFusion(models, blocks=(*FEATURE_BLOCKS, EVEN)))
    with pytest.raises(ValueError, match="names"):
        models.restore(state)


def test_every_feature_is_written_and_within_its_range() -> None:
    models = trained(FEATURE_BLOCKS)
    fusion = models.learner(LearnedFusion)
    assert fusion is not None
    fusion._matrix[:] = np.nan
    matrix = matrix_of(models, "i3", "i4", "i3", "i3")
    for column, spec in enumerate(fusion.table.specs):
        values = matrix[:, column]
        assert np.isfinite(values).all(), spec.name
        assert values.min() >= 0.0, spec.name
        assert values.max() <= 1.001, spec.name
        if spec.per_list:
            assert len(set(values.tolist())) == 1, spec.name


@pytest.mark.parametrize("table", [SessionFeature, VectorFeature, TrendFeature, ProposalFeature])
def test_columns_follow_the_order_of_the_entries(table: type[Feature]) -> None:
    assert [int(feature) for feature in table] == list(range(len(table)))
    assert all(feature.source and feature.formula for feature in table)


def test_block_of_vectors_is_left_out_without_item_vectors() -> None:
    models = ModelSet(("popularity", "session_knn"), max_items=1000, max_users=1000)
    names = LearnedFusion(models).table.names
    assert not any(name.startswith("vector_") for name in names)
    assert names[-2:] == ("popularity_of_max", "popularity_rank")


def test_trends_are_those_of_the_model_over_all_users() -> None:
    models = trained(FEATURE_BLOCKS)
    fusion = models.learner(LearnedFusion)
    assert fusion is not None
    context = models.context("me", ("i3", "i4"), (0.0, 1.0), 0, (), 1e6)
    shortlist = fusion.shortlist(context, fusion.proposals(context), models.index.available)
    trending = next(model for model in models.models if model.name == "trending")
    scores = trending.score(context, shortlist.items)
    is_own = np.isin(shortlist.items, context.items)
    assert is_own.any()
    assert scores[is_own].max() > 0.0
    scores[is_own] = 0.0
    assert scores.max() > scores.min() >= 0.0
    excess = shortlist.matrix[:, fusion.table.column("trend_excess")]
    assert excess == pytest.approx(np.minimum(np.log2(1.0 + scores) / 6.0, 1.0), abs=1e-4)
    of_max = shortlist.matrix[:, fusion.table.column("trend_of_max")]
    assert of_max == pytest.approx(np.sqrt(scores / scores.max()), abs=1e-4)


def test_trends_order_what_others_propose_and_propose_nothing() -> None:
    models = trained(FEATURE_BLOCKS)
    fusion = models.learner(LearnedFusion)
    assert fusion is not None
    context = models.context("me", ("i3",), (0.0,), 0, (), 1e6)
    assert "trending" not in {model.name for model, _ in fusion.proposals(context)}
    ranker = Ranker(models, per_source=20, length=5)
    cold = ranker.rank_user(RankRequest("cold", (), (), 0, (), 1e6, ()))
    assert {item.why.source for item in cold.items} == {"popular"}


def test_trends_are_switched_on_and_off_without_a_loss_of_the_rest() -> None:
    def columns(models: ModelSet) -> dict[str, Matrix]:
        fusion = models.learner(LearnedFusion)
        assert fusion is not None
        knots = fusion.ranker.state()["weights"]
        [by_column] = [
            name for name in knots if name.endswith("knots") and len(knots[name]) == len(fusion.names)
        ][:1]
        return dict(zip(fusion.names, knots[by_column], strict=True))

    with_trends = trained(FEATURE_BLOCKS)
    without = ModelSet([name for name in MODELS if name != "trending"], max_items=1000, max_users=1000)
    without.learners.append(LearnedFusion(without))
    with_trends_again = ModelSet(MODELS, max_items=1000, max_users=1000)
    with_trends_again.learners.append(LearnedFusion(with_trends_again))
    saved = with_trends.learner(LearnedFusion)
    assert saved is not None
    for models in (without, with_trends_again):
        fusion = models.learner(LearnedFusion)
        assert fusion is not None
        fusion.restore(saved.state())
        expected = columns(with_trends)
        assert all(np.array_equal(value, expected[name]) for name, value in columns(models).items())


def test_trends_alone_make_a_list() -> None:
    models = ModelSet(("trending",))
    for offset in range(20):
        line = (Line(f"i{offset % 3}"),)
        models.learn(Interaction(Source.CLICK, 0, offset, float(offset), f"u{offset}", Kind.VIEW, line))
    ranked = Ranker(models, per_source=20, length=5).rank_user(RankRequest("u1", (), (), 0, (), 30.0, ()))
    assert {item.id for item in ranked.items} == {"i0", "i1", "i2"}


def test_two_features_of_one_name_are_rejected() -> None:
    with pytest.raises(ValueError, match="is_even"):
        FeatureTable([EVEN, EVEN])


def test_trends_do_not_change_the_weights_that_the_other_features_begin_with() -> None:
    without = LearnedFusion(ModelSet([name for name in MODELS if name != "trending"], max_items=50))
    fusion = LearnedFusion(ModelSet(MODELS, max_items=50))
    is_trend = np.array([name.startswith("trend_") for name in fusion.names])
    assert is_trend.sum() == 2
    assert np.array_equal(fusion.ranker.weights.knots[~is_trend], without.ranker.weights.knots)
    assert np.array_equal(fusion.ranker.weights.out, without.ranker.weights.out)
    assert not fusion.ranker.weights.knots[is_trend].any()
