"""Policies by name."""

from typing import Any, Final

import numpy as np

from stream_app.bandit.epsilon_greedy import EpsilonGreedy
from stream_app.bandit.fixed import Fixed
from stream_app.bandit.item_thompson import REWARD_DISTRIBUTIONS, ItemThompson
from stream_app.bandit.linucb import LinUCB
from stream_app.bandit.policy import Policy
from stream_app.bandit.popularity_order import PopularityOrder
from stream_app.bandit.session_value import SessionValue
from stream_app.bandit.thompson import Thompson
from stream_app.errors import UserError
from stream_app.models import plugins
from stream_app.models.river_paths import is_river_name

POLICIES: Final[dict[str, type[Policy]]] = {
    policy.name: policy
    for policy in (
        Fixed,
        PopularityOrder,
        Thompson,
        LinUCB,
        EpsilonGreedy,
        ItemThompson,
        SessionValue,
    )
}
"""Every policy, by its name."""


def create_policy(name: str, features: int, **parameters: Any) -> Policy:
    """Create a policy.

    Parameters
    ----------
    name
        From `POLICIES`; ``river:`` and a policy of `river.bandit`; or one that an installed package registers.
    features
        Number of features of a candidate.
    **parameters
        Settings; those that the policy does not have are ignored, and missing ones have defaults.

    Raises
    ------
    UserError
        If there is no policy of that name, or a setting is out of range.

    Examples
    --------
    >>> create_policy("thompson", features=3, draws=32, column=1).parameters["draws"]
    32
    >>> create_policy("tompson", features=3)
    Traceback (most recent call last):
    stream_app.errors.UserError: There is no policy 'tompson'; there are fixed, popularity, thompson, ...
    >>> create_policy("river:bandit.UCB", features=3, delta=0.5, positions=2).parameters["positions"]
    2
    """
    try:
        if name not in POLICIES:
            # River's bandits import its metrics and data sets, and gymnasium.
            from stream_app.bandit.policy_sources import make_foreign_policy  # noqa: PLC0415  # see above

            policy = make_foreign_policy(name, features, parameters)
            if policy is None:
                raise UserError(_no_policy(name))
            return policy
        factory = POLICIES[name]
        accepted = factory.config_class.__struct_fields__
        return factory(features, **{key: each for key, each in parameters.items() if key in accepted})
    except ValueError as error:
        raise UserError(f"Policy {name}: {error}.") from error


def require_policy(name: str) -> None:
    """Check that a policy exists, without making it.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in POLICIES and not is_river_name(name) and not plugins.is_registered(plugins.POLICIES, name):
        raise UserError(_no_policy(name))


def known_policies() -> list[str]:
    """Names of Headrace's policies and of those that installed packages register."""
    return [*POLICIES, *(name for name in plugins.registered_names(plugins.POLICIES) if name not in POLICIES)]


def _no_policy(name: str) -> str:
    known = ", ".join(known_policies())
    return f"There is no policy {name!r}; there are {known}, and those of River, such as river:bandit.UCB."


def warm_up() -> None:
    """Compile every kernel of this package, or load it from the cache.

    Examples
    --------
    >>> warm_up()
    """
    options = np.ones((3, 2), np.float32)
    positions = np.arange(3, dtype=np.int32)
    items = np.arange(1, 4, dtype=np.uint64)
    policies = [factory(2) for factory in POLICIES.values()]
    for policy in (
        *policies,
        *(
            ItemThompson(2, reward_distribution=reward_distribution)
            for reward_distribution in REWARD_DISTRIBUTIONS
        ),
    ):
        policy.observe_impressions(options, positions, 0.0, items)
        policy.reward(options[0], 0, 1.0, 0.0, item=1, user="a")
        policy.decide(options, 2, 1, items)
