"""Sessions at their bounds: the gap itself, the number of stored times, and both ways to compute the same session."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.session_window import MAX_TIMES, NO_SESSION, Session, current_session, insert_time

GAP = 1_800.0


@pytest.mark.parametrize(("pause", "start"), [(GAP - 1.0, 0.0), (GAP, 0.0), (GAP + 1.0, GAP + 1.0)])
def test_a_pause_of_exactly_the_gap_belongs_to_the_session(pause: float, start: float) -> None:
    times = (0.0, pause)
    assert current_session(times, GAP) == Session(start, pause)
    assert current_session(times, GAP, previous=Session(0.0, 0.0)) == Session(start, pause)


@pytest.mark.parametrize("between", [GAP, GAP + 1.0])
def test_the_gap_between_earlier_events_counts_as_well(between: float) -> None:
    times = (0.0, between, between + GAP)
    assert current_session(times, GAP).start == (0.0 if between <= GAP else between)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=30))
def test_the_session_before_gives_the_same_session_as_all_times(steps: list[int]) -> None:
    times: tuple[float, ...] = ()
    session, now = NO_SESSION, 0.0
    for step in steps:
        now += 600.0 * step
        times = insert_time(times, now)
        session = current_session(times, GAP, session)
        assert session == current_session(times, GAP)


def test_without_events_there_is_no_session() -> None:
    assert current_session((), GAP) == NO_SESSION
    assert current_session((), GAP, previous=Session(5.0, 9.0)) == NO_SESSION


def test_a_session_longer_than_the_stored_times_starts_at_the_oldest_of_them() -> None:
    times: tuple[float, ...] = ()
    session = NO_SESSION
    for minute in range(2 * MAX_TIMES):
        times = insert_time(times, 60.0 * minute)
        session = current_session(times, GAP, session)
    assert len(times) == MAX_TIMES
    assert session == Session(60.0 * MAX_TIMES, 60.0 * (2 * MAX_TIMES - 1))
    assert current_session(times, GAP) == session


def test_a_late_time_is_sorted_in_and_the_oldest_is_dropped() -> None:
    times = tuple(float(second) for second in range(MAX_TIMES))
    assert insert_time(times, 3.5) == (*times[1:4], 3.5, *times[4:])
    assert insert_time(times, -1.0) == times
    assert insert_time(times, times[-1]) == (*times[1:], times[-1])
