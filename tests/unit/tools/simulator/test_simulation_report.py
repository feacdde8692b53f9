"""Metrics by policy, their intervals and differences."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.tools.simulator.logged_users import group_by_user
from stream_app.tools.simulator.preference_world import DAY, PreferenceWorld
from stream_app.tools.simulator.regret import compute_regret
from stream_app.tools.simulator.replayed_user import ReplayedUser
from stream_app.tools.simulator.scheduled_user import ScheduledUser
from stream_app.tools.simulator.simulated_user import AttributedLine, ListExamination, Step
from stream_app.tools.simulator.simulation_report import (
    SimulationReport,
    SimulationSetup,
    build_report,
    build_table,
)
from stream_app.tools.simulator.tally import FALLBACK, SimulationTally
from stream_app.tools.simulator.user_outcomes import CLICK_THROUGH_RATE, COLUMNS, UserOutcomes
from tests.support.in_memory_recommender import InMemoryRecommender, run
from topics.events import Click


def replayed_users(count: int = 200) -> list[ReplayedUser]:
    log = group_by_user(
        Click(
            event_id=f"{n}-{step}",
            user_id=f"u{n:03}",
            session_id="s",
            ts=n + 1_000 * step,
            item_id=f"{n}-{step}",
        )
        for n in range(count)
        for step in range(5)
    )
    return [ReplayedUser(logged_user, seed=7) for logged_user in log]


def policy_of(user: str) -> str:
    return "good" if int(user[1:]) % 2 else "popularity"


def recommend(user: str, session_items: Sequence[str]) -> list[str]:
    number = int(user[1:])
    next_items = [f"{number}-{step}" for step in range(5)]
    next_items = next_items[next_items.index(session_items[-1]) + 1 :] if session_items else next_items
    # The good policy ranks the next item of the session first, the other third.
    return next_items if policy_of(user) == "good" else ["x", "y", *next_items]


def report_of(tally: SimulationTally, outcomes: UserOutcomes | None = None) -> SimulationReport:
    return build_report(
        tally,
        outcomes or UserOutcomes.of(tally),
        SimulationSetup(users="s", seed=7),
        seconds=2.0,
        interrupted=False,
    )


def test_the_better_policy_has_a_lift_significantly_above_zero() -> None:
    tally, _ = run(replayed_users(), InMemoryRecommender(recommend, policy_of))
    report = report_of(tally)
    by_name = {each.policy: each for each in report.policies}
    good, popularity = by_name["good"], by_name["popularity"]

    assert good.users == popularity.users == 100
    assert good.click_through.mean == pytest.approx(1.0)
    assert popularity.click_through.mean == pytest.approx(1 / 3, abs=0.1)
    assert popularity.click_through.low < popularity.click_through.mean < popularity.click_through.high
    assert popularity.clicks / popularity.examined == pytest.approx(
        popularity.click_through_per_item.mean, abs=1e-6
    )
    [lift] = [
        each.lift_percent
        for each in report.differences
        if (each.policy, each.baseline, each.metric) == ("good", "popularity", "click_through")
    ]
    assert lift.low > 50
    assert lift.mean == pytest.approx(
        100 * (good.click_through.mean / popularity.click_through.mean - 1), abs=0.01
    )
    assert sum(each.lists for each in report.policies) == report.lists == tally.lists
    assert all(FALLBACK in name for name in by_name if by_name[name].lists == 100)


def test_the_difference_between_equal_policies_is_not_significant() -> None:
    tally, _ = run(
        replayed_users(),
        InMemoryRecommender(
            lambda user, _: ["x", *(f"{int(user[1:])}-{step}" for step in range(5))], policy_of
        ),
    )
    outcomes = UserOutcomes.of(tally)
    difference = outcomes.difference("good", "popularity", CLICK_THROUGH_RATE)

    assert difference.low <= 0 <= difference.high


def test_runs_over_the_same_users_are_compared_pairwise(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    click_rates = rng.uniform(0, 1, 300)  # users differ far more than the two policies

    def outcomes(policy: str, better: float) -> UserOutcomes:
        sums = np.zeros((300, 1, len(COLUMNS)))
        sums[:, 0, 0] = 50
        sums[:, 0, 2] = np.round(50 * np.clip(click_rates * 0.8 + better, 0, 1))
        return UserOutcomes([f"u{n}" for n in range(300)], [policy], sums)

    file = tmp_path / "other.json"
    outcomes("fixed", 0.0).write(file)
    own_outcomes, other_outcomes = outcomes("fixed", 0.05), UserOutcomes.read(file)
    paired = own_outcomes.merge_with(other_outcomes, " (baseline)")
    lift = paired.difference("fixed", "fixed (baseline)", CLICK_THROUGH_RATE)
    single_policy = own_outcomes.intervals("fixed", [CLICK_THROUGH_RATE])[0]

    assert lift.low > 0.04
    assert lift.high - lift.low < 0.2 * (single_policy.high - single_policy.low)


def test_a_file_without_outcomes_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("[]")
    with pytest.raises(
        UserError, match=r"is not a file of `headrace simulate --outcomes`: .*; name a file that"
    ):
        UserOutcomes.read(file)


def test_sales_are_attributed_to_the_policy_of_their_list() -> None:
    from tests.support.in_memory_recommender import make_list

    tally = SimulationTally()
    click = ListExamination(1, 1, clicked=True)
    tally.add("u", 0.0, make_list(["a"], list_id="l1", policy="p"), Step([], click, []), is_user_list=True)
    tally.add("u", 1.0, make_list(["a"], list_id="l2", policy="q"), Step([], click, []), is_user_list=True)
    tally.add(
        "u",
        2.0,
        None,
        Step([], None, [AttributedLine("l1", 30.0), AttributedLine("", 5.0)]),
        is_user_list=False,
    )
    report = report_of(tally)
    by_name = {each.policy: each for each in report.policies}

    assert (by_name["p"].conversions, by_name["p"].revenue) == (1, 30.0)
    assert (by_name["q"].conversions, by_name["q"].revenue) == (0, 0.0)
    assert (report.sales_without_list, report.revenue_without_list) == (1, 5.0)
    assert by_name["p"].revenue_per_list.mean == 30.0


def test_regret_is_the_click_probability_of_the_best_list_minus_that_of_the_displayed_one() -> None:
    world = PreferenceWorld(100, seed=4, begin=0.0, end=6 * DAY, shifts=(3 * DAY,))
    scheduled_users = [ScheduledUser(world, number, begin=0.0, end=6 * DAY) for number in range(60)]
    tally, _ = run(scheduled_users, InMemoryRecommender(lambda *_: [f"item-{n:04d}" for n in range(20)]))
    regret = compute_regret(tally, 0.0, 6 * DAY, list(world.shifts), bins=12)
    [curve] = regret.curves
    [summary] = [each for each in report_of(tally).policies if FALLBACK not in each.policy]

    assert regret.shifts == [3.0]
    assert regret.days[-1] == 6.0
    assert sum(curve.lists) == summary.lists
    assert all(each is None or each > 0 for each in curve.per_list)
    assert summary.best_click_through is not None
    assert summary.expected_click_through is not None
    mean = summary.best_click_through.mean - summary.expected_click_through.mean
    assert curve.cumulative[-1] == pytest.approx(mean * summary.lists, rel=1e-3)


def test_an_empty_run_still_has_a_json_report_and_a_table() -> None:
    for tally in (SimulationTally(), run(replayed_users(4), InMemoryRecommender(recommend, policy_of))[0]):
        report = report_of(tally)
        assert msgspec.json.decode(msgspec.json.encode(report), type=dict)["lists"] == tally.lists
        assert build_table(report).row_count == len(report.policies)
