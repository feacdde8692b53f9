"""The worth of a choice for the rest of the visit."""

import math

import numpy as np
import pytest

from stream_app.ranker.bandit.open_sessions import OpenSession, OpenSessions
from stream_app.ranker.bandit.session_value import SessionValue

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
