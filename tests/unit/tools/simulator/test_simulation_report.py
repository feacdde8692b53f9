"""Figures by policy, their intervals and differences."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.tools.simulator.logged_users import by_shopper
from stream_app.tools.simulator.preference_world import DAY, World
from stream_app.tools.simulator.replayed_user import ReplayedShopper
from stream_app.tools.simulator.scheduled_user import ComingShopper
from stream_app.tools.simulator.simulated_user import Look, Sale, Step
from stream_app.tools.simulator.simulation_report import Report, Setup, make_report, regret_of, table_of
from stream_app.tools.simulator.tally import FALLBACK, Tally
from stream_app.tools.simulator.user_outcomes import CLICK_THROUGH, COLUMNS, Outcomes
from tests.support.in_memory_recommender import Recommender, run
from topics.events import Click


def shoppers(count: int = 200) -> list[ReplayedShopper]:
    log = by_shopper(
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
    return [ReplayedShopper(logged, seed=7) for logged in log]


def policy_of(user: str) -> str:
    return "good" if int(user[1:]) % 2 else "popularity"


def recommend(user: str, before: Sequence[str]) -> list[str]:
    number = int(user[1:])
    goal = [f"{number}-{step}" for step in range(5)]
    goal = goal[goal.index(before[-1]) + 1 :] if before else goal
    # The good one has where the session goes on top, the other in third place.
    return goal if policy_of(user) == "good" else ["x", "y", *goal]


def report_of(tally: Tally, outcomes: Outcomes | None = None) -> Report:
    return make_report(
        tally, outcomes or Outcomes.of(tally), Setup(shoppers="s", seed=7), seconds=2.0, interrupted=False
    )


def test_each_policy_has_its_own_figures_and_the_better_one_a_lift_that_is_surely_above_0() -> None:
    tally, _ = run(shoppers(), Recommender(recommend, policy_of))
    report = report_of(tally)
    by_name = {each.policy: each for each in report.policies}
    good, popularity = by_name["good"], by_name["popularity"]

    assert good.shoppers == popularity.shoppers == 100
    assert good.click_through.mean == pytest.approx(1.0)
    assert popularity.click_through.mean == pytest.approx(1 / 3, abs=0.1)
    assert popularity.click_through.low < popularity.click_through.mean < popularity.click_through.high
    assert popularity.clicks / popularity.examined == pytest.approx(
        popularity.click_through_per_item.mean, abs=1e-6
    )
    [lift] = [
        each.lift_percent
        for each in report.differences
        if (each.policy, each.against, each.figure) == ("good", "popularity", "click_through")
    ]
    assert lift.low > 50
    assert lift.mean == pytest.approx(
        100 * (good.click_through.mean / popularity.click_through.mean - 1), abs=0.01
    )
    assert sum(each.lists for each in report.policies) == report.lists == tally.lists
    assert all(FALLBACK in name for name in by_name if by_name[name].lists == 100)


def test_a_lift_between_policies_that_are_the_same_is_not_told_from_0() -> None:
    tally, _ = run(
        shoppers(),
        Recommender(lambda user, _: ["x", *(f"{int(user[1:])}-{step}" for step in range(5))], policy_of),
    )
    outcomes = Outcomes.of(tally)
    difference = outcomes.difference("good", "popularity", CLICK_THROUGH)

    assert difference.low <= 0 <= difference.high


def test_runs_over_the_same_shoppers_are_compared_shopper_by_shopper(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    habits = rng.uniform(0, 1, 300)  # shoppers differ far more than the two policies do

    def outcomes(policy: str, better: float) -> Outcomes:
        sums = np.zeros((300, 1, len(COLUMNS)))
        sums[:, 0, 0] = 50
        sums[:, 0, 2] = np.round(50 * np.clip(habits * 0.8 + better, 0, 1))
        return Outcomes([f"u{n}" for n in range(300)], [policy], sums)

    file = tmp_path / "other.json"
    outcomes("fixed", 0.0).write(file)
    mine, other = outcomes("fixed", 0.05), Outcomes.read(file)
    paired = mine.beside(other, " (against)")
    lift = paired.difference("fixed", "fixed (against)", CLICK_THROUGH)
    alone = mine.intervals("fixed", [CLICK_THROUGH])[0]

    assert lift.low > 0.04
    assert lift.high - lift.low < 0.2 * (alone.high - alone.low)


def test_a_file_that_holds_no_outcomes_is_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("[]")
    with pytest.raises(UserError, match="holds no outcomes"):
        Outcomes.read(file)


def test_sales_count_for_the_policy_of_the_list_they_came_from() -> None:
    from tests.support.in_memory_recommender import listing

    tally = Tally()
    click = Look(1, 1, clicked=True)
    tally.add("u", 0.0, listing(["a"], list_id="l1", policy="p"), Step([], click, []), own=True)
    tally.add("u", 1.0, listing(["a"], list_id="l2", policy="q"), Step([], click, []), own=True)
    tally.add("u", 2.0, None, Step([], None, [Sale("l1", 30.0), Sale("", 5.0)]), own=False)
    report = report_of(tally)
    by_name = {each.policy: each for each in report.policies}

    assert (by_name["p"].conversions, by_name["p"].revenue) == (1, 30.0)
    assert (by_name["q"].conversions, by_name["q"].revenue) == (0, 0.0)
    assert (report.sales_without_list, report.revenue_without_list) == (1, 5.0)
    assert by_name["p"].revenue_per_list.mean == 30.0


def test_regret_is_the_best_lists_chance_less_the_shown_ones_and_adds_up() -> None:
    world = World(100, seed=4, begin=0.0, end=6 * DAY, shifts=(3 * DAY,))
    coming = [ComingShopper(world, number, begin=0.0, end=6 * DAY) for number in range(60)]
    tally, _ = run(coming, Recommender(lambda *_: [f"item-{n:04d}" for n in range(20)]))
    regret = regret_of(tally, 0.0, 6 * DAY, list(world.shifts), bins=12)
    [curve] = regret.curves
    [figures] = [each for each in report_of(tally).policies if FALLBACK not in each.policy]

    assert regret.shifts == [3.0]
    assert regret.days[-1] == 6.0
    assert sum(curve.lists) == figures.lists
    assert all(each is None or each > 0 for each in curve.per_list)
    assert figures.best_click_through is not None
    assert figures.expected_click_through is not None
    mean = figures.best_click_through.mean - figures.expected_click_through.mean
    assert curve.cumulative[-1] == pytest.approx(mean * figures.lists, rel=1e-3)


def test_a_report_is_json_and_a_table_even_of_nothing() -> None:
    for tally in (Tally(), run(shoppers(4), Recommender(recommend, policy_of))[0]):
        report = report_of(tally)
        assert msgspec.json.decode(msgspec.json.encode(report), type=dict)["lists"] == tally.lists
        assert table_of(report).row_count == len(report.policies)
