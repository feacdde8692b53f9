"""The memory of the ranker of search results: bounds, evictions, states."""

import numpy as np
import pytest

from state.snapshots.encoding import encode_snapshot
from stream_app.models.model_set import ModelSet
from stream_app.ranking.kernels.feature_table import ResultFeature
from stream_app.ranking.kernels.results_memory import (
    INTERACTIONS,
    PAGE_LENGTH,
)
from stream_app.ranking.search.results_ranker import ResultsRanker
from tests.unit.ranking.search.interaction_log import LIST, PRICES, START, InteractionLog, learn_random
from topics.records import Interaction, Kind, Line, Source


def test_only_the_first_page_of_search_results_is_remembered() -> None:
    log = InteractionLog()
    log.find("ann", [f"i{n}" for n in range(PAGE_LENGTH + 5)], ())
    log.buy("ann", f"i{PAGE_LENGTH}")
    assert log.results.ranker.choices == 0
    log.buy("ann", f"i{PAGE_LENGTH - 1}")
    assert log.results.ranker.choices == 1


def test_nothing_is_stored_before_the_first_list() -> None:
    log = InteractionLog()
    empty = log.results.memory()
    for n in range(500):
        log.view(f"u{n}", f"i{n}")
        log.search(f"u{n}", "words")
    assert log.results.memory() == empty


def test_forgotten_user_is_ranked_like_an_unknown_user() -> None:
    log = InteractionLog()
    log.choose("bob", "a")
    unknown_user = log.order("nobody")
    log.view("ann", "h")
    assert log.order("ann") != unknown_user
    log.results.forget_user("ann")
    assert log.order("ann") == unknown_user
    log.results.forget_user("ann")


def test_bounds_hold_and_least_recently_used_are_evicted() -> None:
    log = InteractionLog(max_users=20, max_items=40)
    log.choose("bob", "a")
    sizes = []
    for n in range(400):
        log.view(f"u{n % 60}", f"i{n % 90}")
        if n % 7 == 0:
            displayed = [f"i{(n + at) % 90}" for at in range(6)]
            log.choose(f"u{n % 60}", displayed[n % 6], displayed=displayed, prices=())
        if n >= 200:
            sizes.append(log.results.memory())
    assert max(sizes) - min(sizes) < 200  # texts of ids of different length
    newest, oldest = "u39", "u40"
    assert log.feature(ResultFeature.RECENCY_RANK, newest, ["i39", "x"])[0] == 0.0
    assert log.feature(ResultFeature.PAST_INTERACTIONS, oldest, ["i40", "x"]) == [0.0, 0.0]


def test_evicted_item_leaves_no_state_for_the_next_in_its_slot() -> None:
    log = InteractionLog(max_items=8)
    log.choose("ann", "a")
    log.view("ann", "a")
    fresh = [f"n{at}" for at in range(8)]
    log.choose("bob", "n7", displayed=fresh)
    for feature in (
        ResultFeature.INTERACTIONS,
        ResultFeature.PURCHASES,
        ResultFeature.IGNORED,
        ResultFeature.PREVIOUS_RANK,
    ):
        assert set(log.feature(feature, "ann", fresh)) <= {0.0, -1.0}, feature


def test_evicted_item_is_removed_from_stored_search_results() -> None:
    log = InteractionLog(max_items=8)
    log.find("ann", ["a", "b", "c"], (1.0, 2.0, 3.0))
    log.view("bob", "c")
    for n in range(7):
        log.view("bob", f"n{n}")  # a and b are evicted
    remaining_items = [item for item in "abc" if log.results._items.find(item) >= 0]
    assert remaining_items == ["c"]
    log.view("ann", "n6")
    log.view("ann", "c")  # its earlier choice is forgotten
    assert log.results.ranker.choices == 0
    log.find("ann", [f"m{n}" for n in range(20)], ())  # more than fit
    log.view("ann", "m19")
    assert log.results.ranker.choices == 1


def test_only_the_newest_interactions_of_a_user_are_kept() -> None:
    log = InteractionLog(session_gap=1e9)
    log.choose("bob", "a")
    for n in range(INTERACTIONS + 3):
        log.view("ann", f"i{n}")
    interactions = log.feature(ResultFeature.INTERACTIONS, "ann", ["i0", "i2", "i3", f"i{INTERACTIONS + 2}"])
    assert interactions[:2] == [0.0, 0.0]
    assert min(interactions[2:]) > 0.0


def test_restored_ranker_continues_identically() -> None:
    bounds = {"max_users": 10, "max_items": 12}
    uninterrupted = learn_random(learn_random(InteractionLog(**bounds), 0, 100), 100, 160)
    first = learn_random(InteractionLog(**bounds), 0, 100)
    second = learn_random(InteractionLog(**bounds), 500, 520)  # restore replaces this state
    second.results.restore(first.results.state())
    second.now = first.now
    learn_random(second, 100, 160)
    np.testing.assert_equal(second.results.state(), uninterrupted.results.state())
    assert second.order("u3") == uninterrupted.order("u3")


def test_state_is_a_copy_and_other_bounds_are_rejected() -> None:
    log = learn_random(InteractionLog(), 0, 20)
    state, repeated = log.results.state(), log.results.state()
    learn_random(log, 20, 40)
    np.testing.assert_equal(state, repeated)
    with pytest.raises(ValueError, match="max_items is 5"):
        ResultsRanker(max_items=5).restore(state)


def test_as_a_learner_it_learns_in_the_fold_and_is_saved_with_the_models() -> None:
    def models() -> tuple[ModelSet, ResultsRanker]:
        model_set, results = ModelSet(["popularity"]), ResultsRanker()
        model_set.learners.append(results)
        return model_set, results

    first, results = models()
    purchase = Interaction(
        Source.PURCHASE, 0, 5, START, "ann", Kind.PURCHASE, (Line("b"),), shown=LIST, shown_prices=PRICES
    )
    assert first.learn(purchase)
    assert not first.learn(purchase)
    assert results.ranker.choices == 1
    second, restored = models()
    second.restore(first.state())
    np.testing.assert_equal(restored.state(), results.state())
    assert first.memory()["results"] == results.memory()
    second.learn(Interaction(Source.ERASURE, 0, 0, START, "ann", Kind.ERASE))
    assert restored.order("ann", LIST, PRICES, START).tolist()[0] == 0
    assert restored.ranker.choices == 1
    with pytest.raises(ValueError, match="no learner 'results'"):
        second.restore(ModelSet(["popularity"]).state())


def test_an_id_that_one_user_alone_searched_for_ends_with_that_user() -> None:
    log = InteractionLog()
    log.choose("cem", "a")
    log.search("ann", "private-1")
    log.search("ann", "shared-1")
    log.search("bob", "shared-1")
    log.search("ann", "sold-1")
    log.buy("bob", "sold-1")
    assert b"private-1" in encode_snapshot(log.results.state())
    log.results.forget_user("ann")
    after = encode_snapshot(log.results.state())
    assert b"private-1" not in after
    for kept in (b"shared-1", b"sold-1"):
        assert kept in after
    restored = ResultsRanker()
    restored.restore(log.results.state())
    np.testing.assert_equal(restored.state(), log.results.state())


def test_an_id_that_two_users_searched_for_ends_with_the_second() -> None:
    log = InteractionLog()
    log.choose("cem", "a")
    for user in ("ann", "bob", "ann"):
        log.search(user, "private-1")
    log.search("dan", "private-2")
    log.results.forget_user("ann")
    assert b"private-1" in encode_snapshot(log.results.state())
    restored = ResultsRanker()
    restored.restore(log.results.state())
    np.testing.assert_equal(restored.state(), log.results.state())
    restored.forget_user("bob")
    after = encode_snapshot(restored.state())
    assert b"private-1" not in after
    assert b"private-2" in after


@pytest.mark.parametrize("version", [2, 3])
def test_searched_ids_of_a_state_of_an_earlier_version_end_with_the_first_erasure(version: int) -> None:
    log, restored = InteractionLog(), ResultsRanker()
    log.choose("cem", "a")
    log.search("ann", "private-1")
    state = log.results.state()
    if version == 2:
        del state["typed_ids"]
    state["format"] = version
    restored.restore(state)
    restored.forget_user("anybody")
    after = encode_snapshot(restored.state())
    assert b"private-1" not in after
