"""Sessions by inactivity in event time, and the events around an event."""

from itertools import permutations

import numpy as np
import pytest

from stream_app.models.item_index import ItemIndex
from stream_app.models.session_tracker import RECENT_EVENTS, EventStream, SessionTracker

VIEWS, PURCHASES = EventStream.VIEWS, EventStream.PURCHASES


def tracker(gap: float = 100.0, max_users: int = 50) -> SessionTracker:
    index = ItemIndex(1000)
    for number in range(200):
        index.index(f"i{number}", 0.0)
    return SessionTracker(index, gap=gap, max_users=max_users)


def test_a_session_closes_after_the_gap() -> None:
    sessions = tracker()
    serials = [sessions.session("ann", ts) for ts in (0.0, 100.0, 200.0, 300.1)]
    assert serials == [1, 1, 1, 2]
    assert sessions.session("bob", 0.0) == 3


def test_a_late_event_within_the_gap_belongs_to_the_open_session() -> None:
    sessions = tracker()
    assert [sessions.session("ann", ts) for ts in (1000.0, 950.0, 860.0)] == [1, 1, 1]


def test_an_older_event_gets_its_own_session_and_leaves_the_open_one_open() -> None:
    sessions = tracker()
    assert [sessions.session("ann", ts) for ts in (1000.0, 500.0, 1050.0)] == [1, 2, 1]


def test_previous_events_lie_within_the_gap_on_either_side() -> None:
    sessions = tracker()
    for item, ts in [(1, 0.0), (2, 150.0), (3, 260.0), (4, 400.0)]:
        sessions.observe("ann", item, ts, VIEWS)
    tracked = sessions.observe("ann", 5, 200.0, VIEWS)
    assert tracked.previous_items.tolist() == [2, 3]
    assert tracked.previous_times.tolist() == [150.0, 260.0]


def test_the_same_item_is_a_repeat_only_within_the_gap() -> None:
    sessions = tracker()
    assert [sessions.observe("ann", 1, ts, VIEWS).repeat for ts in (0.0, 50.0, 151.0)] == [False, True, False]


def test_views_and_purchases_have_separate_histories_in_one_session() -> None:
    sessions = tracker()
    first = sessions.observe("ann", 1, 0.0, VIEWS).session
    bought = sessions.observe("ann", 1, 10.0, PURCHASES)
    assert (bought.session, bought.repeat, bought.previous_items.tolist()) == (first, False, [])
    assert sessions.observe("ann", 2, 20.0, VIEWS).previous_items.tolist() == [1]


@pytest.mark.parametrize("order", [*permutations([(1, 10.0), (2, 20.0), (3, 20.0), (4, 90.0)])])
def test_recent_events_are_sorted_for_any_arrival_order(order: tuple[tuple[int, float], ...]) -> None:
    sessions = tracker()
    for item, ts in order:
        sessions.observe("ann", item, ts, VIEWS)
    items, times = sessions.recent("ann", VIEWS)
    hashes = sessions._index.hashes
    tied = [2, 3] if hashes[2] < hashes[3] else [3, 2]
    assert items.tolist() == [1, *tied, 4]
    assert times.tolist() == [10.0, 20.0, 20.0, 90.0]


def test_the_newest_events_are_kept_for_any_arrival_order() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        sessions = tracker(gap=1e6)
        for number in rng.permutation(50).tolist():
            sessions.observe("ann", number, float(number), VIEWS)
        assert sessions.recent("ann", VIEWS)[0].tolist() == list(range(50 - RECENT_EVENTS, 50))


def test_the_least_recently_active_users_are_evicted() -> None:
    sessions = tracker(max_users=3)
    for user, ts in [("ann", 30.0), ("bob", 10.0), ("cat", 20.0), ("dan", 40.0)]:
        sessions.observe(user, 1, ts, VIEWS)
    assert len(sessions) == 3
    assert sessions.recent("bob", VIEWS)[0].tolist() == []
    assert sessions.recent("ann", VIEWS)[0].tolist() == [1]
    # the row that dan was given held bob's events
    assert sessions.recent("dan", VIEWS)[0].tolist() == [1]


def test_a_forgotten_user_starts_a_new_session() -> None:
    sessions = tracker()
    sessions.observe("ann", 1, 0.0, VIEWS)
    sessions.observe("ann", 1, 0.0, PURCHASES)
    sessions.forget_user("ann")
    sessions.forget_user("nobody")
    for stream in EventStream:
        assert sessions.recent("ann", stream)[0].tolist() == []
        tracked = sessions.observe("ann", 1, 10.0, stream)
        assert (tracked.session, tracked.repeat) == (2, False)


def test_forgotten_items_are_compacted_away() -> None:
    sessions = tracker()
    for item in (1, 2, 3):
        sessions.observe("ann", item, float(item), VIEWS)
        sessions.observe("ann", item, float(item), PURCHASES)
    sessions.forget_items(np.array([2], np.int32))
    for stream in EventStream:
        items, times = sessions.recent("ann", stream)
        assert (items.tolist(), times.tolist()) == ([1, 3], [1.0, 3.0])


def test_state_round_trips() -> None:
    sessions, other = tracker(), tracker()
    rng = np.random.default_rng(1)
    for _ in range(300):
        user, item = f"u{rng.integers(70)}", int(rng.integers(9))
        stream = PURCHASES if rng.random() < 0.2 else VIEWS
        sessions.observe(user, item, float(rng.integers(3000)), stream)
    other.restore(sessions.state())
    for name in [f"u{number}" for number in range(70)]:
        assert sessions.recent(name, PURCHASES)[0].tolist() == other.recent(name, PURCHASES)[0].tolist()
        ours = sessions.observe(name, 3, 3000.0, VIEWS)
        theirs = other.observe(name, 3, 3000.0, VIEWS)
        assert (ours.session, ours.repeat) == (theirs.session, theirs.repeat)
        assert ours.previous_items.tolist() == theirs.previous_items.tolist()
    with pytest.raises(ValueError, match="gap"):
        tracker(gap=99.0).restore(sessions.state())


def test_history_says_what_the_user_did_with_each_item() -> None:
    sessions, other = tracker(gap=1e6), tracker(gap=1e6)
    for item, ts, stream, head in [
        (1, 0.0, VIEWS, 0),
        (3, 30.0, PURCHASES, 2),
        (4, 40.0, VIEWS, 0),
        (2, 20.0, VIEWS, 1),
    ]:
        sessions.observe("ann", item, ts, stream, head)
    other.restore(sessions.state())
    for each in (sessions, other):
        history = each.history("ann", 3)
        assert (history.items.tolist(), history.heads.tolist()) == ([2, 3, 4], [1, 2, 0])
        each.forget_items(np.array([1, 4], np.int32))
        history = each.history("ann", 3)
        assert (history.items.tolist(), history.heads.tolist()) == ([2, 3], [1, 2])


def test_a_state_from_before_kinds_were_stored_has_views_and_purchases() -> None:
    sessions, other = tracker(), tracker()
    sessions.observe("ann", 1, 10.0, VIEWS, 1)
    state = sessions.state()
    for name in ("views", "purchases"):
        del state[name]["heads"]
    other.restore({**state, "format": 3})
    history = other.history("ann", 5)
    assert (history.items.tolist(), history.heads.tolist()) == ([1], [0])
