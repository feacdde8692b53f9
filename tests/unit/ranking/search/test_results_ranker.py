"""The learned order of search results, on logs small enough to check by hand."""

from typing import Any

import numpy as np

from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES
from stream_app.ranking.kernels import factorization as factorization_kernels
from stream_app.ranking.kernels.feature_table import ResultFeature
from stream_app.ranking.kernels.results_features import write_features
from stream_app.ranking.kernels.results_memory import (
    MAX_RANKED,
    record_interaction,
    record_list,
)
from stream_app.ranking.search.results_ranker import ResultsRanker
from stream_app.settings import Settings
from stream_app.worker.warm_up import warm_up
from tests.unit.ranking.search.interaction_log import LIST, PRICES, InteractionLog, learn_random, shuffled
from topics.records import Kind, Source


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
        displayed = shuffled(rng)
        first, last = rng.choice(8, 2, replace=False)
        log.view(f"u{n}", LIST[first])
        log.view(f"u{n}", LIST[last])
        log.choose(f"u{n}", LIST[last], displayed=displayed)
    assert log.results.ranker.choices == 300
    assert before == 0.0 < log.results.ranker.loss < 0.3  # of log(8) = 2.1
    assert log.results.ready


def test_initial_weights_are_unlearned_when_users_behave_differently() -> None:
    log = InteractionLog()
    rng = np.random.default_rng(4)
    for n in range(400):
        displayed = shuffled(rng)
        interacted_item = LIST[rng.integers(8)]
        log.view(f"u{n}", interacted_item)
        # the cheapest of the others
        rest = [item for item in LIST if item != interacted_item]
        log.choose(
            f"u{n}",
            min(rest, key=lambda item: PRICES[LIST.index(item)]),
            displayed=displayed,
            prices=[PRICES[LIST.index(item)] for item in displayed],
        )
    log.view("ann", "a")
    assert log.order("ann")[0] == "f"
    assert log.order("ann")[-1] == "a"


def test_search_for_an_item_id_counts_as_an_interaction_with_it() -> None:
    log = InteractionLog()
    log.choose("bob", "not shown")
    displayed = (*LIST, "4711", "hotels")
    for user, query in (("ann", "b"), ("cem", "4711")):
        log.search(user, query)
        assert log.order(user, displayed, ()) == query + "".join(item for item in displayed if item != query)
    for query in ("hotels near 4711", "hotels", ""):
        log.search("dan", query)
    assert log.order("dan", displayed, ()) == "".join(displayed)


def test_each_ordered_item_on_the_list_is_one_choice() -> None:
    log = InteractionLog()
    log.choose("ann", "b", "d", "not shown")
    assert log.results.ranker.choices == 2
    log.choose("ann", "not shown")
    log.choose("ann", "a", displayed=["a"], prices=[1.0])
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
        user, displayed = f"u{n}", shuffled(rng)
        log.find(user, displayed, [PRICES[LIST.index(item)] for item in displayed])
        log.view(user, displayed[rng.integers(8)])
        log.view(user, displayed[rng.integers(8)])
        last = displayed[rng.integers(8)]
        log.view(user, last)
        log.choose(user, last, displayed=displayed)
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
    log.choose("ann", long[1], long[-1], displayed=[*long, *long], prices=())
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


def test_many_choices_of_one_user_count_for_others_like_two() -> None:
    rates = []
    for n_choices in (2, 300):
        log = InteractionLog()
        for number in range(40):
            log.choose(f"u{number}", LIST[number % 8], displayed=shuffled(np.random.default_rng(number)))
        for _ in range(n_choices):
            log.choose("ann", "h")
        rates.append(log.feature(ResultFeature.CHOICE_RATE, "bob"))
    assert rates[0] == rates[1]
