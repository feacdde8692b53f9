"""The learned order of search results, on logs small enough to check by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES
from stream_app.ranking.kernels import factorization as factorization_kernels
from stream_app.ranking.kernels.feature_table import ResultFeature
from stream_app.ranking.kernels.results_features import write_features
from stream_app.ranking.kernels.results_memory import (
    INTERACTIONS,
    MAX_RANKED,
    PAGE_LENGTH,
    record_interaction,
    record_list,
)
from stream_app.ranking.search.results_ranker import ResultsRanker
from stream_app.settings import Settings
from stream_app.worker.warm_up import warm_up
from topics.records import Interaction, Kind, Line, Source

START = 1_700_000_000.0
LIST = tuple("abcdefgh")
PRICES = (80.0, 60.0, 120.0, 75.0, 200.0, 40.0, 90.0, 55.0)


class InteractionLog:
    """Feeds a ranker with events, a minute apart by default."""

    def __init__(self, **parameters: Any) -> None:
        self.results = ResultsRanker(**parameters)
        self.now = START

    def _learn(self, source: Source, user: str, kind: Kind, items: Sequence[str], **fields: Any) -> None:
        self.now += 60.0
        lines = tuple(Line(item) for item in items)
        self.results.on_interaction(Interaction(source, 0, 0, self.now, user, kind, lines, **fields))

    def view(self, user: str, item: str, kind: Kind = Kind.VIEW) -> None:
        self._learn(Source.CLICK, user, kind, [item])

    def search(self, user: str, query: str) -> None:
        self._learn(Source.SEARCH, user, Kind.SEARCH, [], query=query)

    def find(
        self, user: str, results: Sequence[str] = LIST, prices: Sequence[float] = PRICES, query: str = "q"
    ) -> None:
        """A search with its results."""
        self._learn(
            Source.SEARCH,
            user,
            Kind.SEARCH,
            [],
            query=query,
            shown=tuple(results),
            shown_prices=tuple(prices),
        )

    def buy(self, user: str, *items: str) -> None:
        """A purchase without displayed items."""
        self._learn(Source.PURCHASE, user, Kind.PURCHASE, items)

    def choose(
        self, user: str, *items: str, shown: Sequence[str] = LIST, prices: Sequence[float] = PRICES
    ) -> None:
        self._learn(
            Source.PURCHASE, user, Kind.PURCHASE, items, shown=tuple(shown), shown_prices=tuple(prices)
        )

    def order(self, user: str, shown: Sequence[str] = LIST, prices: Sequence[float] = PRICES) -> str:
        return "".join(
            shown[rank] for rank in self.results.order(user, shown, prices, self.now + 60.0).tolist()
        )

    def feature(self, feature: ResultFeature, user: str, shown: Sequence[str] = LIST) -> list[float]:
        written = self.results.features(user, shown, PRICES[: len(shown)], self.now + 60.0)
        return [round(float(value), 4) for value in written[:, feature]]


def shuffled(rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(LIST[at] for at in rng.permutation(len(LIST)))


def test_untrained_order_is_most_recent_interaction_first_then_display_order() -> None:
    log = InteractionLog()
    log.choose("somebody", "not shown")
    assert log.order("ann") == "abcdefgh"
    log.view("ann", "g")
    log.view("ann", "e")
    assert log.order("ann") == "egabcdfh"


def test_learns_that_the_last_interacted_item_is_chosen() -> None:
    log = InteractionLog()
    rng = np.random.default_rng(3)
    before = log.results.ranker.loss
    for n in range(300):
        shown = shuffled(rng)
        first, last = rng.choice(8, 2, replace=False)
        log.view(f"u{n}", LIST[first])
        log.view(f"u{n}", LIST[last])
        log.choose(f"u{n}", LIST[last], shown=shown)
    assert log.results.ranker.choices == 300
    assert before == 0.0 < log.results.ranker.loss < 0.3  # of log(8) = 2.1
    assert log.results.ready


def test_initial_weights_are_unlearned_when_users_behave_differently() -> None:
    log = InteractionLog()
    rng = np.random.default_rng(4)
    for n in range(400):
        shown = shuffled(rng)
        interacted_item = LIST[rng.integers(8)]
        log.view(f"u{n}", interacted_item)
        # the cheapest of the others
        rest = [item for item in LIST if item != interacted_item]
        log.choose(
            f"u{n}",
            min(rest, key=lambda item: PRICES[LIST.index(item)]),
            shown=shown,
            prices=[PRICES[LIST.index(item)] for item in shown],
        )
    log.view("ann", "a")
    assert log.order("ann")[0] == "f"
    assert log.order("ann")[-1] == "a"


def test_features_exclude_the_choice_being_learned() -> None:
    log = InteractionLog()
    log.choose("ann", "c")
    # if c had an interaction when its own choice was learned, this would be the second one
    assert log.feature(ResultFeature.PURCHASES, "ann") == [0, 0, 0.25, 0, 0, 0, 0, 0]
    assert log.feature(ResultFeature.RECENCY_RANK, "ann")[2] == 0.0


def test_search_for_an_item_id_counts_as_an_interaction_with_it() -> None:
    log = InteractionLog()
    log.choose("bob", "not shown")
    shown = (*LIST, "4711", "hotels")
    for user, query in (("ann", "b"), ("cem", "4711")):
        log.search(user, query)
        assert log.order(user, shown, ()) == query + "".join(item for item in shown if item != query)
    for query in ("hotels near 4711", "hotels", ""):
        log.search("dan", query)
    assert log.order("dan", shown, ()) == "".join(shown)


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


def test_each_ordered_item_on_the_list_is_one_choice() -> None:
    log = InteractionLog()
    log.choose("ann", "b", "d", "not shown")
    assert log.results.ranker.choices == 2
    log.choose("ann", "not shown")
    log.choose("ann", "a", shown=["a"], prices=[1.0])
    assert log.results.ranker.choices == 2


def test_click_with_displayed_items_is_a_choice_and_a_search_is_not() -> None:
    log = InteractionLog()
    log.find("ann")
    assert log.results.ranker.choices == 0
    log._learn(Source.CLICK, "ann", Kind.VIEW, ["d"], shown=LIST)
    assert log.results.ranker.choices == 1


def test_click_on_a_search_result_equals_click_with_displayed_items() -> None:
    found, given_prices = InteractionLog(), InteractionLog()
    for log in (found, given_prices):
        log.choose("somebody", "a")  # from now on searches are recorded, with or without results
    for n in range(30):
        for log in (found, given_prices):
            log.find(f"u{n}", *(() if log is found else ((), ())))
        found.view(f"u{n}", LIST[n % 5])
        given_prices._learn(Source.CLICK, f"u{n}", Kind.VIEW, [LIST[n % 5]], shown=LIST, shown_prices=PRICES)
    assert found.results.ranker.choices == 31
    np.testing.assert_equal(found.results.ranker.state(), given_prices.results.ranker.state())
    for user in ("u3", "ann"):
        np.testing.assert_array_equal(
            found.results.features(user, LIST, (), found.now),
            given_prices.results.features(user, LIST, (), given_prices.now),
        )


def test_first_interaction_and_each_purchase_after_a_search_are_choices() -> None:
    log = InteractionLog()
    log.view("ann", "d")
    log.find("ann")
    choices = []
    for item in ("d", "d", "e", "not found"):
        log.view("ann", item, Kind.DETAIL)
        choices.append(log.results.ranker.choices)
    log.buy("ann", "d", "not found", "b")
    choices.append(log.results.ranker.choices)
    log.choose("ann", "a")  # an event with displayed items counts once
    choices.append(log.results.ranker.choices)
    assert choices == [1, 1, 1, 1, 3, 4]


def test_other_interaction_after_a_search_cancels_the_click_choice() -> None:
    log = InteractionLog()
    log.find("ann")
    log.view("ann", "not found")
    log.view("ann", "d")
    assert log.results.ranker.choices == 0
    log.buy("ann", "d")
    assert log.results.ranker.choices == 1


def test_click_choices_do_not_override_purchase_choices() -> None:
    log = InteractionLog()
    rng = np.random.default_rng(5)
    for n in range(600):
        user, shown = f"u{n}", shuffled(rng)
        log.find(user, shown, [PRICES[LIST.index(item)] for item in shown])
        log.view(user, shown[rng.integers(8)])
        log.view(user, shown[rng.integers(8)])
        last = shown[rng.integers(8)]
        log.view(user, last)
        log.choose(user, last, shown=shown)
    log.find("ann")
    log.view("ann", "c")
    log.view("ann", "g")
    assert log.order("ann")[0] == "g"


def test_search_results_expire_with_next_search_or_session_end() -> None:
    log = InteractionLog(session_gap=1800.0)
    log.find("ann", ["a", "b"], ())
    log.find("ann", ["c", "d"], ())
    log.buy("bob", "c")  # found by another
    log.buy("ann", "a")
    assert log.results.ranker.choices == 0
    log.buy("ann", "c")
    assert log.results.ranker.choices == 1
    log.search("ann", "words")  # has no results
    log.buy("ann", "d")
    assert log.results.ranker.choices == 1
    log.find("ann")
    log.now += 1800.0
    log.buy("ann", "e")
    log.find("ann")
    log.now -= 600.0  # viewed before the search, processed after it
    log.buy("ann", "f")
    log.now += 600.0
    log.results.forget_user("ann")
    log.buy("ann", "f")
    assert log.results.ranker.choices == 1


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


def test_order_is_always_a_permutation() -> None:
    log = InteractionLog()
    log.choose("ann", "c")
    assert log.order("nobody", ()) == ""
    assert log.order("nobody", ("z",), ()) == "z"
    assert sorted(log.order("ann", ("z", "c", "y"), (1.0, float("inf"), -3.0))) == ["c", "y", "z"]
    long = [f"i{n}" for n in range(MAX_RANKED + 50)]
    log.view("ann", long[3])
    log.view("ann", long[-1])
    order = log.results.order("ann", long, (), log.now)
    assert sorted(order.tolist()) == list(range(len(long)))
    assert order[0] == 3
    # results below are not ranked
    assert order[MAX_RANKED:].tolist() == list(range(MAX_RANKED, MAX_RANKED + 50))
    log.choose("ann", long[1], long[-1], shown=[*long, *long], prices=())
    assert log.results.ranker.choices == 2


def test_ordering_changes_nothing() -> None:
    log = InteractionLog()
    for n in range(30):
        log.view(f"u{n % 5}", LIST[n % 8])
        log.choose(f"u{n % 5}", LIST[n % 7])
    before = log.results.state()
    for user in ("u1", "nobody"):
        log.order(user)
        log.order(user, ("never met", *LIST), ())
    np.testing.assert_equal(log.results.state(), before)


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
            shown = [f"i{(n + at) % 90}" for at in range(6)]
            log.choose(f"u{n % 60}", shown[n % 6], shown=shown, prices=())
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
    log.choose("bob", "n7", shown=fresh)
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


def learn_random(log: InteractionLog, start: int, stop: int) -> InteractionLog:
    rng = np.random.default_rng(start)
    for n in range(start, stop):
        user = f"u{rng.integers(12)}"
        log.view(user, LIST[rng.integers(8)], Kind(int(rng.integers(3))))
        log.search(user, LIST[rng.integers(8)] if n % 3 else "words")
        log.find(user, shuffled(rng))
        log.view(user, LIST[rng.integers(8)])
        log.choose(user, LIST[rng.integers(8)], shown=shuffled(rng))
    return log


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


def test_ready_after_min_choices() -> None:
    log = InteractionLog()
    for n in range(MIN_CHOICES):
        assert not log.results.ready
        log.choose(f"u{n}", LIST[n % 8])
    assert log.results.ready


def test_warm_up_compiles_every_kernel() -> None:
    kernels: tuple[Any, ...] = (
        factorization_kernels.score,
        factorization_kernels.learn,
        record_interaction,
        record_list,
        write_features,
    )

    def compiled() -> list[int]:
        return [len(kernel.signatures) for kernel in kernels]

    warm_up(Settings(models=["popularity"], fusion="rrf"))
    before = compiled()
    log = learn_random(InteractionLog(max_users=5, max_items=12), 0, 40)
    log.order("u1")
    log.order("nobody", ("never met", "a"), ())
    repeated = ResultsRanker(max_users=5, max_items=12)
    repeated.restore(log.results.state())
    repeated.order("u1", LIST, PRICES, log.now)
    assert compiled() == before
    assert min(before) > 0
