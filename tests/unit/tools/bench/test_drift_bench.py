"""The benchmark of faster decay: shops in memory, and the comparison of its arms."""

from pathlib import Path

import pytest

from stream_app.tools.bench.drift import Arm, Outcome, compare, run_shop
from stream_app.tools.simulator.preference_world import DAY


def test_a_shop_depends_on_its_seed_alone_and_has_lists_before_and_after_the_shifts(tmp_path: Path) -> None:
    arm = Arm(1.0, DAY)
    first, found = run_shop(3, 8, arm, tmp_path / "first")
    again, _ = run_shop(3, 8, arm, tmp_path / "again")
    assert first == again
    assert 0 < first.lists_after_shift < first.lists
    assert 0 < first.clicks < first.lists
    assert first.regret > 0
    assert found == []


def test_known_shifts_change_what_is_learned(tmp_path: Path) -> None:
    unchanged, _ = run_shop(3, 30, Arm(1.0, DAY), tmp_path / "unchanged")
    faster, _ = run_shop(3, 30, Arm(64.0, DAY, known=True), tmp_path / "faster")
    assert unchanged != faster


def test_arms_are_compared_seed_by_seed() -> None:
    base = [Outcome(100.0, 10.0 + n, 50.0, 20.0, 4.0, 12.0) for n in range(4)]
    better = [each._replace(clicks=each.clicks + 5.0) for each in base]
    results = compare({"unchanged": base, "faster": better})
    assert results["unchanged"]["clicks"]["mean"] == pytest.approx(0.115)
    difference = results["faster"]["clicks_difference"]
    assert (difference["mean"], difference["low"], difference["high"]) == pytest.approx((0.05, 0.05, 0.05))
    assert results["faster"]["regret_after_shift_difference"]["mean"] == 0.0


@pytest.mark.parametrize(
    ("arm", "name"),
    [(Arm(1.0, DAY), "unchanged"), (Arm(4.0, DAY / 2, known=True), "x4 for 0.5 d, shifts known")],
)
def test_an_arm_has_a_name(arm: Arm, name: str) -> None:
    assert arm.name == name
