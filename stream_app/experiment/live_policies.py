"""The policies at work: each shopper's picks what of the fused order is shown, and all learn from every reward."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.examination import PositionConfig
from stream_app.bandit.linear import LinearPolicy
from stream_app.bandit.policy import Policy
from stream_app.bandit.policy_registry import create_policy
from stream_app.experiment.assignment import Assignment
from stream_app.experiment.feature_rows import pack_rows, unpack_rows
from stream_app.experiment.ignored_impressions import IgnoredImpressions, warm_up
from stream_app.experiment.item_rates import ItemRates
from stream_app.experiment.policy_features import (
    FEATURES,
    FEATURES_VERSION,
    POPULARITY_FEATURE,
    PRIOR_FEATURE,
    PRIOR_MEAN,
    VIEWED_FEATURE,
    list_features,
)
from stream_app.models.base import NO_ITEM, Context, Items
from stream_app.models.id_index import stable_hash
from stream_app.models.model_set import ModelSet
from stream_app.models.model_state import State, verify_state, versioned_state
from stream_app.models.popularity import Popularity
from topics.records import POST_CLICK_KINDS, Interaction, Reward, RewardKind

_EXAMINATION_PRIOR: Final = PositionConfig().examination_model().prior

PRIOR_STRENGTH: Final = 100.0
"""Showings that the fused order counts for. A tenth of what policies take by themselves: chances and rates differ
little within a list, and a strong prior holds their weights back most."""

EXPLORATION: Final = 0.05
"""Of the policies that draw weights: with that prior about what they try by themselves before any reward."""

_SAMPLING_POLICIES: Final = frozenset({"thompson", "session_value"})

POOL_SIZE: Final = 60
"""How many of the fused order a policy that chooses may choose from."""


class PolicyChoice(NamedTuple):
    """What a policy shows.

    Attributes
    ----------
    policy
        Its name.
    order : ndarray of int32, shape (k,)
        Places in the fused order, best first.
    propensities : ndarray of float64, shape (k,)
        The chance that the policy puts each of them where it is.
    features
        What it went by, a row an item of the list, as `stream_app.experiment.feature_rows` writes it.
    """

    policy: str
    order: NDArray[np.int32]
    propensities: NDArray[np.float64]
    features: bytes


class LivePolicies:
    """The policies that shoppers are split between.

    A listener of the models: rewards of all lists, whichever policy made them, teach every policy that learns, since
    a list comes with what each item was ranked by and the place it had. So a policy with few shoppers, or none yet,
    learns as fast as the others.

    Every worker's, and every replay's, learn the same but for rounding, where all that is learned is sums of events
    by their own time: ``thompson``, ``linucb``, ``epsilon_greedy``, ``session_value``. The rates of items (the
    feature ``choice_rate``) and ``item_thompson`` weigh a showing by the chances of places as known when it is
    folded, so they depend on the order in which partitions of rewards are read, and differ a little between workers.
    Lists are logged with the features that they were ranked by, so the others learn from the same all the same.

    Parameters
    ----------
    models
        The models, for the items and for what is popular.
    assignment
        How shoppers are split at first; its policies are those there are, and those that learn do so with a weight
        of 0 too. `set_assignment` changes it.
    seed
        Of all that is random.
    settings
        Settings of single policies, by name (`stream_app.bandit.policy_registry.create_policy`).

    Attributes
    ----------
    assignment
        How shoppers are split now.

    Raises
    ------
    UserError
        If there is no policy of a name.
    """

    name: ClassVar[str] = "policies"

    def __init__(
        self,
        models: ModelSet,
        assignment: Assignment,
        *,
        seed: int = 7,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._models = models
        self.assignment = assignment
        self._seed = seed
        overrides = settings or {}
        self.policies: Final[dict[str, Policy]] = {
            name: create_policy(
                name,
                len(FEATURES),
                **{
                    "seed": seed,
                    "prior_feature": PRIOR_FEATURE,
                    "prior_mean": PRIOR_MEAN,
                    "column": POPULARITY_FEATURE,
                    "prior_strength": PRIOR_STRENGTH,
                    **({"exploration": EXPLORATION} if name in _SAMPLING_POLICIES else {}),
                    **overrides.get(name, {}),
                },
            )
            for name in assignment.weights
        }
        self._learners = [policy for policy in self.policies.values() if policy.learns]
        self._item_rates = ItemRates()
        self._ignored_impressions = IgnoredImpressions()
        self._popularity = next((each for each in models.models if isinstance(each, Popularity)), None)
        if not self.disabled:
            warm_up()

    @property
    def disabled(self) -> bool:
        """Whether the fused order is all that is ever shown."""
        return list(self.policies) == ["fixed"]

    def pool_size(self, length: int) -> int:
        """How many of the fused order to ask for, for a list of `length`."""
        return length if self.disabled else max(length, POOL_SIZE)

    def set_assignment(self, assignment: Assignment) -> None:
        """Split shoppers anew.

        Policies that are not among those there are get nobody: they would have learned nothing.

        Raises
        ------
        ValueError
            If none of those there are has a weight above 0.
        """
        weights = {name: assignment.weights.get(name, 0.0) for name in self.policies}
        self.assignment = Assignment(weights, assignment.paused, assignment.control)

    def choose(
        self, context: Context, items: Items, scores: NDArray[np.float64], length: int
    ) -> PolicyChoice:
        """Let the shopper's policy choose.

        Parameters
        ----------
        context
            The shopper.
        items : ndarray of int32, shape (n,)
            The fused order, best first.
        scores : ndarray of float64, shape (n,)
            Its scores.
        length
            Items on the list.
        """
        name = self.assignment.policy_of(context.user)
        rates, examination_probabilities = (
            self._item_rates.rate(items),
            self._examination_probabilities(self.policies[name]),
        )
        features = list_features(
            context,
            items,
            scores,
            rates,
            self._models,
            self._popularity,
            self._ignored_impressions,
            examination_probabilities,
        )
        # the same list asked for again is the same list
        seed = stable_hash(context.user) ^ (self._models.version * 0x9E3779B97F4A7C15) ^ self._seed
        keys = self._models.index.hashes[items]
        order, propensities, _ = self.policies[name].decide(features, length, seed, keys)
        return PolicyChoice(name, order, propensities, pack_rows(features[order], FEATURES_VERSION))

    def _examination_probabilities(self, policy: Policy) -> NDArray[np.float64]:
        """How likely each place is looked at: by what the policy learned, else another, else the prior."""
        for each in (policy, *self._learners):
            if isinstance(each, LinearPolicy):
                return each.examination_probabilities
        return _EXAMINATION_PRIOR

    def on_interaction(self, interaction: Interaction) -> None:
        """Nothing is learned from what was done without a list."""

    def on_reward(self, reward: Reward) -> None:
        """Learn what was seen, and what was made of it."""
        index = self._models.index
        seen = np.array(index.find_all(reward.seen), np.int32)
        item = index.find(reward.item_id) if reward.item_id else NO_ITEM
        rows, row = _unpack_features(reward.seen_features), _unpack_features(reward.features)
        if row is not None and _viewed_before_list(reward, row[0]):
            # nor was anything of the list looked at on the way
            return
        if reward.seen_features or reward.features:
            # lists without features are of searches, or of before: what is chosen there says nothing of places here
            self._item_rates.on_reward(reward, seen, item)
            self._ignored_impressions.on_reward(reward, seen, item)
        if rows is not None and len(rows) == len(seen):
            # an item's key is known before the item is
            keys = np.array([stable_hash(each) for each in reward.seen], np.uint64)
            positions = np.array(reward.seen_positions, np.int32)
            for policy in self._learners:
                policy.observe_impressions(rows, positions, reward.ts, keys)
        if row is not None and len(row) == 1 and reward.kind is not RewardKind.IMPRESSION:
            key = stable_hash(reward.item_id)
            for policy in self._learners:
                policy.reward(
                    row[0],
                    reward.position,
                    reward.value,
                    reward.ts,
                    item=key,
                    user=reward.user_id,
                    first=reward.first_positive,
                )

    def forget_user(self, user: str) -> None:
        """Drop what is held of a shopper."""
        self._ignored_impressions.forget_user(user)
        for policy in self._learners:
            policy.forget_user(user)

    def forget_items(self, items: Items) -> None:
        """Drop what is held of items."""
        self._item_rates.forget_items(items)
        self._ignored_impressions.forget_items(items)

    def state(self) -> State:
        """Everything learned, as plain data; not how shoppers are split."""
        return versioned_state(
            self.name,
            {"features": list(FEATURES)},
            rates=self._item_rates.state(),
            ignored_impressions=self._ignored_impressions.state(),
            policies={policy.name: policy.state() for policy in self._learners},
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from.

        A policy that was not there learns from now on: to learn the whole log anew would take all models along.

        Raises
        ------
        ValueError
            If it was taken with other features or settings of a policy.
        """
        verify_state(state, self.name, {"features": list(FEATURES)})
        self._item_rates.restore(state["rates"])
        self._ignored_impressions.restore(state["ignored_impressions"])
        for policy in self._learners:
            if policy.name in state["policies"]:
                policy.restore(state["policies"][policy.name])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        overrides = self._item_rates.memory() + self._ignored_impressions.memory()
        return overrides + sum(policy.memory() for policy in self._learners)


def _unpack_features(features: bytes) -> NDArray[np.float32] | None:
    """Rows of features as they were logged; None where there are none, or they are of another version's."""
    return unpack_rows(features, len(FEATURES), FEATURES_VERSION)


def _viewed_before_list(reward: Reward, row: NDArray[np.float32]) -> bool:
    """Whether the shopper knew the item before the list was made, and went on with it without the list.

    What one looks at may be listed too, the moment after. Whoever then puts it in the cart, or buys it, without
    having clicked it on that list, comes from its page: the list has no part in it, unless the shop says it has.
    """
    return (
        not reward.explicit
        and reward.first_positive
        and reward.kind in POST_CLICK_KINDS
        and row[VIEWED_FEATURE] > 0
    )
