"""The epsilon of a shop is that of dp-accounting, by another of its accountants and by a closed form."""

import math
from collections.abc import Sequence

import dp_accounting
import pytest
from dp_accounting.rdp import RdpAccountant
from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.special import log_ndtr, ndtr  # type: ignore[import-untyped]

from stream_app.federation.accounting import DELTA, session_epsilon, shop_epsilon
from stream_app.federation.terms import Release


def exact_epsilon(releases: Sequence[Release]) -> float:
    """Of a composition of Gaussian mechanisms with sensitivity 2 (Balle, Wang, ICML 2018, theorem 8)."""
    distance = math.sqrt(sum(each.updates * (2.0 / each.noise) ** 2 for each in releases))

    def excess(epsilon: float) -> float:
        other = math.exp(epsilon + log_ndtr(-epsilon / distance - distance / 2))
        return float(ndtr(distance / 2 - epsilon / distance)) - other - DELTA

    return float(brentq(excess, 0.0, 1e3))


@pytest.mark.parametrize(
    "releases",
    [
        [Release(1.0, 5)],
        [Release(4.0, 10)],
        [Release(8.0, 5)],
        [Release(20.0, 10)],
        [Release(8.0, 20), Release(20.0, 3)],
    ],
)
def test_epsilon_is_that_of_dp_accounting(releases: list[Release]) -> None:
    found = shop_epsilon(releases)
    assert found == pytest.approx(exact_epsilon(releases), rel=2e-3)
    accountant = RdpAccountant()
    for each in releases:
        # the noise has the deviation noise * clip, and two changes are at most 2 * clip apart
        accountant.compose(dp_accounting.GaussianDpEvent(each.noise / 2), each.updates)
    # an upper bound, by moments
    assert found <= accountant.get_epsilon(DELTA) <= 1.35 * found


def test_more_updates_and_less_noise_cost_more() -> None:
    assert (
        shop_epsilon([Release(8.0, 2)]) > shop_epsilon([Release(8.0, 1)]) > shop_epsilon([Release(16.0, 1)])
    )


def test_without_noise_nothing_is_protected() -> None:
    assert shop_epsilon([Release(8.0, 2), Release(0.0, 1)]) == math.inf
    assert shop_epsilon([]) == 0.0


@pytest.mark.parametrize(("noise", "share", "updates"), [(1.0, 0.01, 200), (2.0, 0.1, 50), (1.0, 1.0, 5)])
def test_the_epsilon_of_a_session_is_that_of_dp_accounting(noise: float, share: float, updates: int) -> None:
    found = session_epsilon(noise, share, updates)
    accountant = RdpAccountant()
    accountant.compose(
        dp_accounting.PoissonSampledDpEvent(share, dp_accounting.GaussianDpEvent(noise)), updates
    )
    assert 0.0 < found <= accountant.get_epsilon(DELTA) <= 1.5 * found
    assert session_epsilon(0.0, share, updates) == math.inf


def test_all_sessions_in_each_update_are_a_shop_of_half_the_distance() -> None:
    assert session_epsilon(2.0, 1.0, 5) == pytest.approx(shop_epsilon([Release(4.0, 5)]), rel=1e-3)
