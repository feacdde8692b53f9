"""The benchmark of the default policies: arms on the same users, with and without impressions."""

from pathlib import Path

import numpy as np
import pytest

from stream_app.settings import Settings
from stream_app.tools.bench.default_policies import ARMS, lift, run_arm


def test_the_arms_are_the_defaults_and_the_fused_order_in_both_kinds_of_shops() -> None:
    assert [arm.policies for arm in ARMS] == [{"fixed": 1.0}, Settings().policies] * 2
    assert [arm.impressions for arm in ARMS] == [True, True, False, False]


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_an_arm_has_lists_and_clicks(arm: object, tmp_path: Path) -> None:
    lists, clicks, sales = run_arm(3, 10, next(each for each in ARMS if each is arm), tmp_path)
    assert lists > clicks > sales >= 0


def test_a_lift_is_over_the_arm_before_with_an_interval_over_shops() -> None:
    sums = np.zeros((3, len(ARMS), 3))
    sums[:, :, 0] = 100.0
    sums[:, 0, 1], sums[:, 1, 1] = [10.0, 20.0, 30.0], [11.0, 22.0, 33.0]
    assert lift(sums, 1, 1) == "+10.0% [+10.0%, +10.0%]"
