"""The value of a choice for the rest of the session."""

import copy
import math

import numpy as np
import pytest

from stream_app.bandit.open_sessions import OpenSession, OpenSessions
from stream_app.bandit.session_value import SessionValue

LAST, PRECEDING, BOUGHT = range(3)
KINDS = np.eye(3, dtype=np.float32)


def policy(**settings: float) -> SessionValue:
    return SessionValue(
        3,
        **{"prior_weight": 0.0, "prior_strength": 1.0, "ridge": 1e-6, "half_life": math.inf, **settings},
    )


def simulate_sessions(
    learned: SessionValue, count: int, purchase_probability: float = 1.0, seed: int = 1
) -> None:
    """One click ends the session; another leads to a purchase of another item with `purchase_probability`."""
    rng = np.random.default_rng(seed)
    for session_index in range(count):
        user, now = f"u{session_index % 7}", 10_000.0 * session_index
        learned.observe_impressions(KINDS, np.zeros(3, np.int32), now)
        if session_index % 2:
            learned.reward(KINDS[LAST], 0, 1.0, now, user=user)
        else:
            learned.reward(KINDS[PRECEDING], 0, 1.0, now, user=user)
            if rng.random() < purchase_probability:
                learned.reward(KINDS[BOUGHT], 0, 10.0, now + 60.0, user=user)


def value_of(learned: SessionValue, kind: int) -> float:
    return float(learned.critic[kind] + learned.critic[-1])


@pytest.mark.parametrize("trace", [0.0, 0.8, 1.0])
def test_critic_values_later_rewards(trace: float) -> None:
    learned = policy(discount=0.9, trace=trace)
    simulate_sessions(learned, 2_000, purchase_probability=0.5)
    bought = learned.state()["critic"][2][BOUGHT, BOUGHT] / 1_000
    assert value_of(learned, LAST) == pytest.approx(1.0, abs=0.01)
    assert value_of(learned, PRECEDING) == pytest.approx(1.0 + 0.9 * bought * 10.0, abs=0.01)
    assert value_of(learned, BOUGHT) == pytest.approx(10.0, abs=0.01)


def test_item_that_leads_to_a_purchase_is_preferred() -> None:
    learned = policy()
    simulate_sessions(learned, 400)
    two_candidates = KINDS[[LAST, PRECEDING]]
    assert {int(learned.decide(two_candidates, 1, seed).order[0]) for seed in range(50)} == {1}
    myopic = policy(discount=0.0)
    simulate_sessions(myopic, 400)
    choices = [int(myopic.decide(two_candidates, 1, seed).order[0]) for seed in range(200)]
    assert 20 < sum(choices) < 180, "by the next reward alone both are equal"


def test_purchase_after_click_on_the_same_impression_is_counted_once() -> None:
    once, twice = policy(), policy()
    for learned, again in ((once, False), (twice, True)):
        for session_index in range(100):
            now = 10_000.0 * session_index
            learned.observe_impressions(KINDS, np.zeros(3, np.int32), now)
            learned.reward(KINDS[PRECEDING], 0, 1.0, now, user="u")
            learned.reward(KINDS[PRECEDING], 0, 10.0, now + 60.0, user="u", first=again)
    assert twice.mean[PRECEDING] > 1.5 * once.mean[PRECEDING]


def test_an_inactivity_gap_ends_the_session() -> None:
    learned = policy()
    for session_index in range(200):
        now = 10_000.0 * session_index
        learned.reward(KINDS[PRECEDING], 0, 1.0, now, user="u")
        learned.reward(KINDS[BOUGHT], 0, 10.0, now + 1_801.0, user="u")
    assert value_of(learned, PRECEDING) == pytest.approx(1.0, abs=0.01)


def test_choices_of_other_users_are_not_chained() -> None:
    learned = policy()
    for session_index in range(200):
        learned.reward(KINDS[PRECEDING], 0, 1.0, float(session_index), user=f"u{session_index}")
        learned.reward(KINDS[BOUGHT], 0, 10.0, float(session_index), user=f"v{session_index}")
        learned.reward(KINDS[BOUGHT], 0, 10.0, float(session_index), user="")
    assert value_of(learned, PRECEDING) == pytest.approx(1.0, abs=0.01)


def test_a_dislike_has_no_successor_and_lowers_the_value() -> None:
    learned = policy()
    simulate_sessions(learned, 100)
    for step in range(100):
        learned.observe_impressions(KINDS[[LAST]], np.zeros(1, np.int32), 2e6 + step)
        learned.reward(KINDS[LAST], 0, -3.0, 2e6 + step, user="w")
    assert learned.mean[LAST] + learned.mean[-1] < 0


def test_endless_sessions_have_a_bounded_value() -> None:
    learned = policy(discount=0.95)
    rng = np.random.default_rng(1)
    for step in range(3_000):
        x = rng.random(3).astype(np.float32)
        learned.observe_impressions(x[None], np.zeros(1, np.int32), float(step))
        learned.reward(x, 0, 1.0, float(step), user="u")
    assert value_of(learned, LAST) == pytest.approx(20.0, rel=0.05)
    assert np.isfinite(learned.mean).all()


def test_open_sessions_are_bounded_and_can_be_forgotten() -> None:
    learned = SessionValue(3, sessions=10)
    for user in range(100):
        learned.reward(KINDS[PRECEDING], 0, 1.0, float(user), user=f"u{user}")
    held = learned.state()["sessions"]["users"]
    assert held == [f"u{user}" for user in range(90, 100)]
    learned.forget_user("u95")
    assert "u95" not in learned.state()["sessions"]["users"]


def test_a_late_event_does_not_rewind_the_session() -> None:
    sessions = OpenSessions(1, gap=60.0, capacity=2)
    sessions.put("ann", OpenSession(100.0, np.ones(1)))
    sessions.put("ann", OpenSession(50.0, np.zeros(1)))
    session = sessions.get("ann", 120.0)
    assert session is not None
    assert session.last_ts == 100.0
    assert len(sessions) == 1


HOUR = 3_600.0


def simulate_hours(learned: SessionValue, hours: range, reward_first: bool = False) -> SessionValue:
    """A list and a click per hour, on each kind in turn, of value 1 plus the kind; the half-life is an hour."""
    for hour in hours:
        kind, now = hour % 3, HOUR * hour
        if not reward_first:
            learned.observe_impressions(KINDS, np.zeros(3, np.int32), now)
        learned.reward(KINDS[kind], 0, 1.0 + kind, now, user=f"u{hour % 7}")
        if reward_first:
            learned.observe_impressions(KINDS, np.zeros(3, np.int32), now)
    return learned


def test_critic_is_the_same_whether_impression_or_reward_moves_the_landmark() -> None:
    seen, chosen = policy(half_life=HOUR, ridge=0.1), policy(half_life=HOUR, ridge=0.1)
    for hours in (range(257), range(257, 258), range(258, 600)):
        simulate_hours(seen, hours)
        simulate_hours(chosen, hours, reward_first=True)
        assert seen.critic == pytest.approx(chosen.critic, rel=1e-9)
        assert seen.mean == pytest.approx(chosen.mean, rel=1e-9)
    assert seen.state()["posterior"]["landmark"] > 256, "it moved"


def test_critic_equals_decayed_least_squares_after_the_landmark_moved() -> None:
    learned = simulate_hours(policy(half_life=HOUR, ridge=0.1, discount=0.0), range(300))
    matrix, rhs = 0.1 * np.eye(4), np.zeros(4)
    for hour in range(300):
        x = np.append(KINDS[hour % 3], 1.0).astype(np.float64)
        matrix += 2.0 ** (hour - 299) * np.outer(x, x)
        rhs += 2.0 ** (hour - 299) * (1.0 + hour % 3) * x
    assert learned.critic == pytest.approx(np.linalg.solve(matrix, rhs), rel=1e-9)


def test_decisions_stay_valid_over_two_weeks_with_a_short_half_life() -> None:
    learned = SessionValue(3, half_life=HOUR)
    for hour in range(14 * 24):
        simulate_hours(learned, range(hour, hour + 1))
        assert np.isfinite(learned.critic).all()
        assert 0.0 < value_of(learned, hour % 3) < 3.0
        slate = learned.decide(KINDS, 3, seed=hour)
        assert sorted(slate.order.tolist()) == [0, 1, 2]
        assert np.isfinite(slate.propensities).all()


def test_restored_policy_moves_the_landmark_like_the_original() -> None:
    original, again = (
        simulate_hours(policy(half_life=HOUR, ridge=0.1), range(257)),
        policy(half_life=HOUR, ridge=0.1),
    )
    again.restore(copy.deepcopy(original.state()))
    reference = simulate_hours(policy(half_life=HOUR, ridge=0.1), range(257), reward_first=True)
    now = HOUR * 257
    for learned in (original, again):
        learned.observe_impressions(KINDS, np.zeros(3, np.int32), now)
    restored_after_move = policy(half_life=HOUR, ridge=0.1)
    restored_after_move.restore(copy.deepcopy(again.state()))
    for learned in (original, again, restored_after_move, reference):
        learned.reward(KINDS[BOUGHT], 0, 5.0, now, user="u")
    for learned in (original, again, restored_after_move):
        assert learned.state()["posterior"]["landmark"] == 257
        assert learned.critic == pytest.approx(reference.critic, rel=1e-9)


@pytest.mark.parametrize("defect", ["singular", "not finite"])
def test_unsolvable_critic_falls_back_to_the_prior(defect: str) -> None:
    learned = policy(ridge=2.0)
    simulate_sessions(learned, 10)
    state = learned.state()
    if defect == "singular":
        state["critic"][0][...] = -2.0 * np.eye(4)
    else:
        state["critic"][1][...] = np.inf
    learned.restore(state)
    assert learned.critic.tolist() == [0.0] * 4
    assert sorted(learned.decide(KINDS, 3, seed=1).order.tolist()) == [0, 1, 2]
    assert np.isfinite(learned.mean).all()


def test_underflow_after_long_inactivity_is_no_error() -> None:
    learned = policy(half_life=1.0)
    large = np.full(3, 1e3, np.float32)
    learned.reward(large, 0, 1.0, 0.0, user="u")
    learned.observe_impressions(KINDS, np.zeros(3, np.int32), 600.0)
    learned.reward(large, 0, 1e6, 1_080.0, user="u", first=False)
    assert learned.state()["critic"][2][0, 0] > learned.state()["critic"][2][-1, -1] == 0.0
    assert np.isfinite(learned.mean).all()
    assert len(learned.decide(KINDS, 3, seed=1).order) == 3
