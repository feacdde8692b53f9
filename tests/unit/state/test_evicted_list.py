"""Which list of a user is evicted, case by case."""

import pytest

from state.published_list import PublishedList
from state.retention import MAX_RETAINED_FACTOR, MIN_RETAINED, REACTION_DELAY, Retention
from topics.records import RewardKind


def lists(*times: float, clicked: tuple[int, ...] = ()) -> list[PublishedList]:
    made = [PublishedList(f"l{at}", "fixed", at, ("a", "b"), window_start=at) for at in times]
    for index in clicked:
        made[index].apply_outcome(RewardKind.CLICK, 0, (0,), times[index])
    return made


def test_the_numbers_of_the_rule() -> None:
    assert (MIN_RETAINED, MAX_RETAINED_FACTOR, REACTION_DELAY) == (2, 4, 30.0)
    assert Retention() == Retention(8, 86_400.0)


@pytest.mark.parametrize(
    ("per_user", "n_lists", "evicted"), [(3, 3, None), (3, 4, 0), (1, 2, None), (0, 3, 0)]
)
def test_a_list_is_evicted_beyond_the_number_of_the_user(
    per_user: int, n_lists: int, evicted: int | None
) -> None:
    times = [100.0 * number for number in range(n_lists)]
    assert Retention(per_user).select_eviction(lists(*times), 1e9) == evicted


def test_the_list_that_was_displayed_for_the_shortest_time_is_evicted_and_of_two_the_older() -> None:
    assert Retention(3).select_eviction(lists(0.0, 50.0, 60.0, 90.0), 1e9) == 1
    assert Retention(3).select_eviction(lists(0.0, 10.0, 20.0, 90.0), 1e9) == 0
    # The two newest stay, however short they were displayed.
    assert Retention(2).select_eviction(lists(0.0, 50.0, 51.0), 1e9) == 0


@pytest.mark.parametrize(("watermark", "evicted"), [(129.999, None), (130.0, 0)])
def test_a_list_that_was_replaced_less_than_30_seconds_before_the_newest_event_stays(
    watermark: float, evicted: int | None
) -> None:
    made = lists(0.0, 100.0, 200.0)
    assert Retention(2).select_eviction(made, watermark) == evicted


@pytest.mark.parametrize(("newest", "evicted"), [(3_599.0, None), (3_600.0, 0), (3_601.0, 0)])
def test_a_list_with_a_reaction_stays_for_the_window(newest: float, evicted: int | None) -> None:
    made = lists(0.0, newest - 1.0, newest, clicked=(0,))
    assert Retention(2, window=3_600.0).select_eviction(made, 1e9) == evicted


def test_lists_are_evicted_beyond_four_times_the_number_whatever_was_read() -> None:
    times = [100.0 * number for number in range(9)]
    times[5] = 410.0
    assert Retention(2).select_eviction(lists(*times[:8]), -1e9) is None
    assert Retention(2).select_eviction(lists(*times), -1e9) == 4


@pytest.mark.parametrize(("n_clicked", "evicted"), [(4, 4), (5, 0)])
def test_of_more_than_half_with_a_reaction_the_oldest_such_list_is_evicted(
    n_clicked: int, evicted: int
) -> None:
    times = [100.0 * number for number in range(9)]
    made = lists(*times, clicked=tuple(range(n_clicked)))
    assert Retention(2).select_eviction(made, -1e9) == evicted


def test_an_impression_is_no_reaction() -> None:
    made = lists(0.0, 100.0, 200.0)
    made[0].apply_outcome(RewardKind.IMPRESSION, -1, (0, 1), 5.0)
    assert Retention(2).select_eviction(made, 1e9) == 0
    made[0].apply_outcome(RewardKind.CLICK, 1, (1,), 6.0)
    assert Retention(2).select_eviction(made, 1e9) is None
