"""The worth of a choice for the rest of the visit."""

import copy
import math

import numpy as np
import pytest

from stream_app.bandit.open_sessions import OpenSession, OpenSessions
from stream_app.bandit.session_value import SessionValue

ENDS, LEADS, BOUGHT = range(3)
KINDS = np.eye(3, dtype=np.float32)


def policy(**settings: float) -> SessionValue:
    return SessionValue(
        3,
        **{"prior_weight": 0.0, "prior_strength": 1.0, "ridge": 1e-6, "half_life": math.inf, **settings},  # type: ignore[arg-type]
    )


def visits(learned: SessionValue, count: int, buys: float = 1.0, seed: int = 1) -> None:
    """One click ends the visit; another leads to a purchase of something else with chance `buys`."""
    rng = np.random.default_rng(seed)
    for visit in range(count):
        user, now = f"u{visit % 7}", 10_000.0 * visit
        learned.see(KINDS, np.zeros(3, np.int32), now)
        if visit % 2:
            learned.reward(KINDS[ENDS], 0, 1.0, now, user=user)
        else:
            learned.reward(KINDS[LEADS], 0, 1.0, now, user=user)
            if rng.random() < buys:
                learned.reward(KINDS[BOUGHT], 0, 10.0, now + 60.0, user=user)


def worth(learned: SessionValue, kind: int) -> float:
    return float(learned.critic[kind] + learned.critic[-1])


@pytest.mark.parametrize("trace", [0.0, 0.8, 1.0])
def test_the_critic_knows_what_follows(trace: float) -> None:
    learned = policy(discount=0.9, trace=trace)
    visits(learned, 2_000, buys=0.5)
    bought = learned.state()["critic"][2][BOUGHT, BOUGHT] / 1_000
    assert worth(learned, ENDS) == pytest.approx(1.0, abs=0.01)
    assert worth(learned, LEADS) == pytest.approx(1.0 + 0.9 * bought * 10.0, abs=0.01)
    assert worth(learned, BOUGHT) == pytest.approx(10.0, abs=0.01)


def test_of_two_items_clicked_alike_the_one_that_leads_to_a_purchase_is_shown() -> None:
    learned = policy()
    visits(learned, 400)
    pair = KINDS[[ENDS, LEADS]]
    assert {int(learned.decide(pair, 1, seed).order[0]) for seed in range(50)} == {1}
    blind = policy(discount=0.0)
    visits(blind, 400)
    shown = [int(blind.decide(pair, 1, seed).order[0]) for seed in range(200)]
    assert 20 < sum(shown) < 180, "by the next reward alone there is nothing between them"


def test_a_purchase_after_a_click_on_the_same_showing_is_not_counted_twice() -> None:
    once, twice = policy(), policy()
    for learned, again in ((once, False), (twice, True)):
        for visit in range(100):
            now = 10_000.0 * visit
            learned.see(KINDS, np.zeros(3, np.int32), now)
            learned.reward(KINDS[LEADS], 0, 1.0, now, user="u")
            learned.reward(KINDS[LEADS], 0, 10.0, now + 60.0, user="u", first=again)
    assert twice.mean[LEADS] > 1.5 * once.mean[LEADS]


def test_a_pause_ends_the_visit() -> None:
    learned = policy()
    for visit in range(200):
        now = 10_000.0 * visit
        learned.reward(KINDS[LEADS], 0, 1.0, now, user="u")
        learned.reward(KINDS[BOUGHT], 0, 10.0, now + 1_801.0, user="u")
    assert worth(learned, LEADS) == pytest.approx(1.0, abs=0.01)


def test_choices_of_other_shoppers_do_not_follow() -> None:
    learned = policy()
    for visit in range(200):
        learned.reward(KINDS[LEADS], 0, 1.0, float(visit), user=f"u{visit}")
        learned.reward(KINDS[BOUGHT], 0, 10.0, float(visit), user=f"v{visit}")
        learned.reward(KINDS[BOUGHT], 0, 10.0, float(visit), user="")
    assert worth(learned, LEADS) == pytest.approx(1.0, abs=0.01)


def test_a_dislike_leads_nowhere_and_counts_against() -> None:
    learned = policy()
    visits(learned, 100)
    for turn in range(100):
        learned.see(KINDS[[ENDS]], np.zeros(1, np.int32), 2e6 + turn)
        learned.reward(KINDS[ENDS], 0, -3.0, 2e6 + turn, user="w")
    assert learned.mean[ENDS] + learned.mean[-1] < 0


def test_visits_without_end_have_a_bounded_worth() -> None:
    learned = policy(discount=0.95)
    rng = np.random.default_rng(1)
    for turn in range(3_000):
        x = rng.random(3).astype(np.float32)
        learned.see(x[None], np.zeros(1, np.int32), float(turn))
        learned.reward(x, 0, 1.0, float(turn), user="u")
    assert worth(learned, ENDS) == pytest.approx(20.0, rel=0.05)
    assert np.isfinite(learned.mean).all()


def test_open_visits_are_bounded_and_forgotten() -> None:
    learned = SessionValue(3, sessions=10)
    for user in range(100):
        learned.reward(KINDS[LEADS], 0, 1.0, float(user), user=f"u{user}")
    held = learned.state()["sessions"]["users"]
    assert held == [f"u{user}" for user in range(90, 100)]
    learned.forget_user("u95")
    assert "u95" not in learned.state()["sessions"]["users"]


def test_a_late_event_does_not_put_the_visit_back() -> None:
    sessions = OpenSessions(1, gap=60.0, capacity=2)
    sessions.put("ann", OpenSession(100.0, np.ones(1)))
    sessions.put("ann", OpenSession(50.0, np.zeros(1)))
    session = sessions.get("ann", 120.0)
    assert session is not None
    assert session.last == 100.0
    assert len(sessions) == 1


HOUR = 3_600.0


def hourly(learned: SessionValue, hours: range, reward_first: bool = False) -> SessionValue:
    """A list and a click an hour, on each kind in turn, as much as 1 and the kind; a half-life is an hour."""
    for hour in hours:
        kind, now = hour % 3, HOUR * hour
        if not reward_first:
            learned.see(KINDS, np.zeros(3, np.int32), now)
        learned.reward(KINDS[kind], 0, 1.0 + kind, now, user=f"u{hour % 7}")
        if reward_first:
            learned.see(KINDS, np.zeros(3, np.int32), now)
    return learned


def test_it_does_not_matter_whether_a_showing_or_a_choice_moves_the_landmark() -> None:
    seen, chosen = policy(half_life=HOUR, ridge=0.1), policy(half_life=HOUR, ridge=0.1)
    for hours in (range(257), range(257, 258), range(258, 600)):
        hourly(seen, hours)
        hourly(chosen, hours, reward_first=True)
        assert seen.critic == pytest.approx(chosen.critic, rel=1e-9)
        assert seen.mean == pytest.approx(chosen.mean, rel=1e-9)
    assert seen.state()["posterior"]["landmark"] > 256, "it moved"


def test_the_critic_is_that_of_the_decayed_choices_long_after_the_landmark_moved() -> None:
    learned = hourly(policy(half_life=HOUR, ridge=0.1, discount=0.0), range(300))
    matrix, right = 0.1 * np.eye(4), np.zeros(4)
    for hour in range(300):
        x = np.append(KINDS[hour % 3], 1.0).astype(np.float64)
        matrix += 2.0 ** (hour - 299) * np.outer(x, x)
        right += 2.0 ** (hour - 299) * (1.0 + hour % 3) * x
    assert learned.critic == pytest.approx(np.linalg.solve(matrix, right), rel=1e-9)


def test_two_weeks_of_hourly_events_with_a_short_half_life_are_decided_throughout() -> None:
    learned = SessionValue(3, half_life=HOUR)
    for hour in range(14 * 24):
        hourly(learned, range(hour, hour + 1))
        assert np.isfinite(learned.critic).all()
        assert 0.0 < worth(learned, hour % 3) < 3.0
        slate = learned.decide(KINDS, 3, seed=hour)
        assert sorted(slate.order.tolist()) == [0, 1, 2]
        assert np.isfinite(slate.propensities).all()


def test_a_restored_policy_takes_a_move_of_the_landmark_as_the_one_before_it() -> None:
    whole, again = hourly(policy(half_life=HOUR, ridge=0.1), range(257)), policy(half_life=HOUR, ridge=0.1)
    again.restore(copy.deepcopy(whole.state()))
    reference = hourly(policy(half_life=HOUR, ridge=0.1), range(257), reward_first=True)
    now = HOUR * 257
    for learned in (whole, again):
        learned.see(KINDS, np.zeros(3, np.int32), now)
    moved = policy(half_life=HOUR, ridge=0.1)
    moved.restore(copy.deepcopy(again.state()))
    for learned in (whole, again, moved, reference):
        learned.reward(KINDS[BOUGHT], 0, 5.0, now, user="u")
    for learned in (whole, again, moved):
        assert learned.state()["posterior"]["landmark"] == 257
        assert learned.critic == pytest.approx(reference.critic, rel=1e-9)


@pytest.mark.parametrize("broken", ["singular", "not finite"])
def test_a_critic_without_a_solution_is_the_prior_and_lists_go_on(broken: str) -> None:
    learned = policy(ridge=2.0)
    visits(learned, 10)
    state = learned.state()
    if broken == "singular":
        state["critic"][0][...] = -2.0 * np.eye(4)
    else:
        state["critic"][1][...] = np.inf
    learned.restore(state)
    assert learned.critic.tolist() == [0.0] * 4
    assert sorted(learned.decide(KINDS, 3, seed=1).order.tolist()) == [0, 1, 2]
    assert np.isfinite(learned.mean).all()


def test_a_silence_in_which_all_but_the_largest_features_fade_to_nothing_is_no_error() -> None:
    learned = policy(half_life=1.0)
    large = np.full(3, 1e3, np.float32)
    learned.reward(large, 0, 1.0, 0.0, user="u")
    learned.see(KINDS, np.zeros(3, np.int32), 600.0)
    learned.reward(large, 0, 1e6, 1_080.0, user="u", first=False)
    assert learned.state()["critic"][2][0, 0] > learned.state()["critic"][2][-1, -1] == 0.0
    assert np.isfinite(learned.mean).all()
    assert len(learned.decide(KINDS, 3, seed=1).order) == 3
