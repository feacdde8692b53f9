"""The epsilon of what a shop has given, by dp-accounting."""

import math
from collections.abc import Iterable
from typing import Final

import dp_accounting
from dp_accounting.pld import PLDAccountant

from stream_app.federation.terms import Release

DELTA: Final = 1e-5


def shop_epsilon(releases: Iterable[Release], delta: float = DELTA) -> float:
    """The epsilon of a shop's differential privacy against everyone who sees its updates; infinite without noise.

    What is protected is all of the shop's data at once: replaced by any other data, the updates look nearly the same.
    Two clipped changes are at most twice `Privacy.clip` apart, so the noise is half of the accountant's multiplier.

    References
    ----------
    Koskela, Jälkö, Honkela: Computing tight differential privacy guarantees using FFT, AISTATS 2020 (privacy losses).
    """
    accountant = PLDAccountant()
    for each in releases:
        if each.noise <= 0.0 and each.updates > 0:
            return math.inf
        event = dp_accounting.GaussianDpEvent(0.5 * each.noise)
        accountant.compose(dp_accounting.SelfComposedDpEvent(event, each.updates))
    return float(accountant.get_epsilon(delta))


def session_epsilon(noise: float, share: float, updates: int, delta: float = DELTA) -> float:
    """The epsilon of one session, added or removed, if each update has a random sample; infinite without noise.

    Parameters
    ----------
    noise
        Deviation of the noise divided by the norm to which the gradient of a session is clipped.
    share
        Probability of a session to be in the sample of an update, for each independently.
    """
    if noise <= 0.0:
        return math.inf
    accountant = PLDAccountant()
    event = dp_accounting.PoissonSampledDpEvent(share, dp_accounting.GaussianDpEvent(noise))
    accountant.compose(dp_accounting.SelfComposedDpEvent(event, updates))
    return float(accountant.get_epsilon(delta))
