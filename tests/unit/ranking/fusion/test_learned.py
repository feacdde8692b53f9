"""The learned fusions, in a small shop with a known rule."""

import numpy as np
import pytest

from stream_app.models.base import NO_ITEM
from stream_app.models.model_set import ModelSet
from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES, SAMPLING_INTERVAL, ChoiceFusion
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.ranking.fusion.rank_fusion import top_sources
from stream_app.ranking.fusion.weighted import WeightedFusion
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.request import RankRequest
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Reason, Source

FUSIONS = (LearnedFusion, WeightedFusion)
NAMES = ("popularity", "item_to_item", "session_knn", "item_vectors")


class RingShop:
    """Items 0 to 39 in a ring; users go on to the next item, and sometimes to the most popular one."""

    def __init__(self, make: type[ChoiceFusion] = LearnedFusion, names: tuple[str, ...] = NAMES) -> None:
        self.models = ModelSet(names, max_items=1000, max_users=1000)
        self.fusion = make(self.models)  # type: ignore[call-arg]
        self.models.learners.append(self.fusion)
        self.offset = 0
        self.rng = np.random.default_rng(11)

    def click(self, user: str, item: str, ts: float) -> None:
        self.models.learn(Interaction(Source.CLICK, 0, self.offset, ts, user, Kind.VIEW, (Line(item),)))
        self.offset += 1

    def learn_sessions(self, count: int, start: int = 0) -> "RingShop":
        for number in range(start, start + count):
            at = int(self.rng.integers(40))
            for step in range(4):
                jump = self.rng.random() < 0.3
                self.click(f"u{number}", "hit" if jump else f"i{at}", 100.0 * number + step)
                at = (at + 1) % 40
        return self

    def ranker(self, length: int = 10) -> Ranker:
        return Ranker(self.models, per_source=50, length=length)

    def list_after(self, *items: str, excluded: tuple[str, ...] = ()) -> list[str]:
        request = RankRequest("me", items, tuple(range(len(items))), 0, (), 1e6, excluded)
        return [item.id for item in self.ranker().rank_user(request).items]


@pytest.fixture(scope="module", params=FUSIONS, ids=lambda make: make.policy)
def shop(request: pytest.FixtureRequest) -> RingShop:
    return RingShop(request.param).learn_sessions(400)


def test_most_chosen_next_item_is_ranked_near_the_top(shop: RingShop) -> None:
    right = sum(f"i{at + 1}" in shop.list_after(f"i{at - 1}", f"i{at}")[:3] for at in range(1, 38))
    assert right >= 20  # of 37; a weighted sum ranks less well than learned features


def test_learned_list_has_its_policy_label_and_probabilities_as_scores(shop: RingShop) -> None:
    request = RankRequest("me", ("i3", "i4"), (0.0, 1.0), 0, (), 1e6, ())
    ranked = shop.ranker().rank_user(request)
    assert ranked.policy == shop.fusion.policy
    scores = [item.score for item in ranked.items]
    assert scores == sorted(scores, reverse=True)
    assert 0.0 < sum(scores) <= 1.0 + 1e-6


def test_purchased_hidden_and_unavailable_items_are_not_listed(shop: RingShop) -> None:
    assert "i5" in shop.list_after("i3", "i4")
    assert "i5" not in shop.list_after("i3", "i4", excluded=("i5",))
    shop.models.learn_catalog(CatalogItem(item_id="i5", ts=0, available=False))
    assert "i5" not in shop.list_after("i3", "i4")
    shop.models.learn_catalog(CatalogItem(item_id="i5", ts=1, available=True))
    assert "i5" in shop.list_after("i3", "i4")


def test_every_item_has_a_reason_from_the_context_or_a_source(shop: RingShop) -> None:
    request = RankRequest("me", ("i3", "i4"), (0.0, 1.0), 0, (), 1e6, ())
    reasons = {item.id: item.why for item in shop.ranker().rank_user(request).items}
    assert reasons["i4"].source == "viewed_before"
    assert reasons["i5"].item_id in {"i3", "i4"}


def test_items_of_earlier_sessions_can_be_listed_again() -> None:
    items = ("i20", *(f"i{number}" for number in range(10)))
    times = (-1e5, *(float(number) for number in range(10)))
    request = RankRequest("me", items, times, 1, (), 10.0, ())
    ranked = RingShop().learn_sessions(200).ranker(length=60).rank_user(request)
    assert ranked.policy == "learned"
    # the session is longer than the number of items that the store looks up
    assert set(items) <= {item.id for item in ranked.items}


def test_reasons_describe_the_path_from_context_to_item() -> None:
    shop = RingShop().learn_sessions(200)
    request = RankRequest("me", ("i4",), (0.0,), 0, (), 1e6, ())
    reasons = {item.id: item.why for item in shop.ranker(length=40).rank_user(request).items}
    assert reasons["i4"] == Reason("viewed_before", item_id="i4")
    assert reasons["i5"] == Reason("viewed_next", item_id="i4"), (
        "the shop's rule: users go on to the next item"
    )
    assert reasons["i3"] == Reason("also_viewed", item_id="i4")
    assert "related" in {each.source for each in reasons.values()}


def test_outlier_order_line_reaches_no_learner() -> None:
    shop = RingShop()
    interactions: list[Interaction] = []

    class RecordingLearner:
        name = "recorder"

        def on_interaction(self, interaction: Interaction) -> None:
            interactions.append(interaction)

    shop.models.learners = (RecordingLearner(),)  # type: ignore[assignment]
    for offset in range(40):
        order = Interaction(
            Source.PURCHASE, 0, offset, 0.0, f"user {offset}", Kind.PURCHASE, (Line("tea", 1.0, 5.0),)
        )
        shop.models.learn(order)
    lines = (Line("tea", 1.0, 5.0), Line("ghost", 5_000.0, 5.0))
    shop.models.learn(Interaction(Source.PURCHASE, 0, 40, 0.0, "ann", Kind.PURCHASE, lines))
    assert [line.item_id for line in interactions[-1].lines] == ["tea"]
    assert shop.models.index.find("ghost") == NO_ITEM


def test_affinity_features_are_set_for_described_items() -> None:
    shop = RingShop().learn_sessions(60)

    def affinities_of(*items: str) -> dict[str, list[float]]:
        context = shop.models.context("me", ["i3", "i4"], [0.0, 1.0], 0, (), 1.0)
        found = shop.fusion.shortlist(context, shop.fusion.proposals(context), shop.models.index.available)
        at = shop.fusion.names.index("category_affinity")
        rows = dict(zip(found.items.tolist(), found.matrix[:, at : at + 3].tolist(), strict=True))
        return {item: rows[shop.models.index.find(item)] for item in items}

    assert affinities_of("i3", "i5") == {"i3": [0.0] * 3, "i5": [0.0] * 3}
    for item, category, price in (
        ("i3", "shoes", 10.0),
        ("i4", "shoes", 10.0),
        ("i5", "shoes", 40.0),
        ("i2", "pots", 10.0),
    ):
        shop.models.learn_catalog(
            CatalogItem(item_id=item, ts=1, categories=[category], brand="acme", price=price)
        )
    found = affinities_of("i5", "i2")
    assert found["i5"][:2] == pytest.approx([1.0, 1.0], abs=1e-3)
    assert found["i2"][:2] == pytest.approx([0.0, 1.0], abs=1e-3)
    assert found["i5"][2] > found["i2"][2] == pytest.approx(0.5), "more expensive than the viewed items"


def test_ranking_changes_nothing(shop: RingShop) -> None:
    first = shop.list_after("i7", "i8")
    shop.list_after("hit")
    shop.list_after("i1", "i2", "i3")
    assert shop.list_after("i7", "i8") == first


def test_unknown_user_gets_popular_items(shop: RingShop) -> None:
    request = RankRequest("new", (), (), 0, (), 1e6, ())
    ranked = shop.ranker().rank_user(request)
    assert ranked.policy == "fixed_rrf"
    assert ranked.items[0].id == "hit"


@pytest.mark.parametrize("make", FUSIONS, ids=lambda make: make.policy)
def test_rank_fusion_is_used_until_min_choices_are_learned(make: type[ChoiceFusion]) -> None:
    shop = RingShop(make).learn_sessions(10)
    assert shop.fusion.ranker.choices < MIN_CHOICES
    request = RankRequest("me", ("i3",), (0.0,), 0, (), 1e6, ())
    assert shop.ranker().rank_user(request).policy == "fixed_rrf"


@pytest.mark.parametrize("make", FUSIONS, ids=lambda make: make.policy)
def test_restored_models_continue_identically(make: type[ChoiceFusion]) -> None:
    uninterrupted, first = RingShop(make).learn_sessions(120), RingShop(make).learn_sessions(80)
    second = RingShop(make)
    second.models.restore(first.models.state())
    second.offset, second.rng = first.offset, first.rng
    second.learn_sessions(40, start=80)
    assert second.list_after("i3", "i4") == uninterrupted.list_after("i3", "i4")
    assert second.fusion.ranker.choices == uninterrupted.fusion.ranker.choices
    for actual, expected in zip(
        second.fusion.ranker.weights, uninterrupted.fusion.ranker.weights, strict=True
    ):
        assert np.array_equal(actual, expected)


def test_state_without_fusion_is_rejected() -> None:
    plain = ModelSet(NAMES, max_items=1000, max_users=1000)
    with pytest.raises(ValueError, match="no learner 'fusion'"):
        RingShop().models.restore(plain.state())


def test_choice_sampling_follows_schedule_and_is_reproducible() -> None:
    fusion, replayed_fusion = RingShop().fusion, RingShop().fusion
    is_sampled = [offset for offset in range(180_000) if fusion.is_sampled(_at(offset))]
    assert is_sampled[:1_000] == list(range(1_000))
    assert sum(1_000 <= offset < 5_000 for offset in is_sampled) == pytest.approx(4_000 / 4, rel=0.05)
    assert sum(offset >= 5_000 for offset in is_sampled) == pytest.approx(
        175_000 / SAMPLING_INTERVAL, rel=0.05
    )
    assert [offset for offset in range(180_000) if replayed_fusion.is_sampled(_at(offset))] == is_sampled


def test_under_overload_one_in_four_of_the_sampled_choices_is_learned() -> None:
    fusion = LearnedFusion(models := ModelSet(["session_knn"]))
    models.is_overloaded = True
    is_sampled = [offset for offset in range(180_000) if fusion.is_sampled(_at(offset))]
    assert is_sampled[:1_000] == list(range(1_000)), "what is learned first decides when the order is used"
    assert sum(offset >= 5_000 for offset in is_sampled) == pytest.approx(175_000 / 64, rel=0.05)


def _at(offset: int) -> Interaction:
    return Interaction(Source.CLICK, 0, offset, 0.0, "u", Kind.VIEW)


def test_the_learned_fusion_needs_the_session_store() -> None:
    with pytest.raises(ValueError, match="session store"):
        LearnedFusion(ModelSet(["popularity"]))


def test_item_is_attributed_to_the_source_that_ranks_it_highest(shop: RingShop) -> None:
    context = shop.models.context("me", ["i3"], [0.0], 0, (), 1e6)
    proposals = shop.models.candidates(context, 20)
    items = np.unique(np.concatenate([found.items for _, found in proposals]))
    sources, evidence = top_sources(items, [found for _, found in proposals])
    for item, source, evidence_item in zip(items.tolist(), sources.tolist(), evidence.tolist(), strict=True):
        ranks = [found.items.tolist().index(item) if item in found.items else 10**6 for _, found in proposals]
        assert ranks[source] == min(ranks)
        assert evidence_item == proposals[source][1].evidence[ranks[source]]
    unlisted = np.array([10**6], np.int32)
    no_source, no_evidence = top_sources(unlisted, [found for _, found in proposals])
    assert (no_source.tolist(), no_evidence.tolist()) == ([-1], [NO_ITEM])
