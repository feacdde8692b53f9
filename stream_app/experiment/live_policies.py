"""Live policies: the user's policy chooses from the fused order, and all policies learn from every reward."""

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
from stream_app.experiment.repeated_reactions import RepeatedReactions
from stream_app.models.base import NO_ITEM, Context, Items
from stream_app.models.id_index import stable_hash
from stream_app.models.kernels.random import GOLDEN_GAMMA
from stream_app.models.model_set import ModelSet
from stream_app.models.model_state import MIGRATIONS, VERSIONS, Restorable, State
from stream_app.models.popularity import Popularity
from topics.records import POST_CLICK_KINDS, Interaction, Reward, RewardKind

_EXAMINATION_PRIOR: Final = PositionConfig().examination_model().prior

POOL_SIZE: Final = 60
"""Candidates of the fused order that a policy may choose from."""

MIN_CHOICES: Final = 500
"""Decayed number of choices from lists below which policies choose from likely items alone."""

MIN_SCORE_SHARE: Final = 0.5
"""Likely items have this share of the last score of the fused list at least."""


class PolicyChoice(NamedTuple):
    """The choice of a policy."""

    policy: str
    order: NDArray[np.int32]  # shape (k,): ranks in the fused order, best first
    # shape (k,): probability that the policy puts each item at its position
    propensities: NDArray[np.float64]
    features: bytes  # features of the chosen items, packed by `stream_app.experiment.feature_rows`


def worker_parameters(seed: int = 7) -> dict[str, Any]:
    """Settings that workers give to policies, before those of ``HEADRACE_POLICY_PARAMETERS``."""
    return {
        "seed": seed,
        "prior_feature": PRIOR_FEATURE,
        "prior_mean": PRIOR_MEAN,
        "column": POPULARITY_FEATURE,
    }


class LivePolicies(Restorable):
    """The policies that users are split between.

    A learner of the models: every policy learns from the rewards of all lists, whichever policy made them, since
    rewards have the features and positions of the items. A policy with few or no users thus learns as fast as the
    others. Repeated reactions of one user to one item are learned twice a day at most
    (`stream_app.experiment.repeated_reactions`).

    The state of ``thompson``, ``linucb``, ``epsilon_greedy`` and ``session_value`` is sums weighted by event time, so
    all workers and replays agree up to rounding. Item rates (the feature ``choice_rate``) and ``item_thompson``
    weight an impression by the estimates at the time it is observed; they depend on the order in which partitions of
    rewards are read, and differ slightly between workers. Lists are logged with the features that they were ranked
    by, so the other policies learn the same in every worker.

    Parameters
    ----------
    models
        The models, for the index of the items and their popularity.
    assignment
        The first split of users. Its policies are created and learn, those with a weight of 0 too. `set_assignment`
        changes it.
    seed
        Seed of all policies.
    settings
        Parameters by policy (`stream_app.bandit.policy_registry.create_policy`).

    Attributes
    ----------
    assignment
        The current split of users.

    Raises
    ------
    UserError
        If a policy does not exist or a parameter is out of range.
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
                **{**worker_parameters(seed), **overrides.get(name, {})},
            )
            for name in assignment.weights
        }
        self._learners = [policy for policy in self.policies.values() if policy.learns]
        clock = models.decay_clocks["rewards"]
        for policy in self._learners:
            policy.use_decay_clock(clock)
        self._item_rates = ItemRates(clock=clock)
        self._ignored_impressions = IgnoredImpressions()
        self._repeated_reactions = RepeatedReactions(models.index)
        self._popularity = next((each for each in models.models if isinstance(each, Popularity)), None)
        if not self.disabled:
            warm_up()

    @property
    def disabled(self) -> bool:
        """Whether ``fixed`` is the only policy, so lists keep the fused order."""
        return list(self.policies) == ["fixed"]

    def pool_size(self, length: int) -> int:
        """Candidates of the fused order needed for a list of `length`."""
        return length if self.disabled else max(length, POOL_SIZE)

    def set_assignment(self, assignment: Assignment) -> None:
        """Change the split of users.

        Policies that do not run here get no users: they have learned nothing.

        Raises
        ------
        ValueError
            If no policy that runs here has a weight above 0.
        """
        weights = {name: assignment.weights.get(name, 0.0) for name in self.policies}
        self.assignment = Assignment(weights, assignment.paused, assignment.control)

    def choose(
        self, context: Context, items: Items, scores: NDArray[np.float64], length: int
    ) -> PolicyChoice:
        """Choose a list by the user's policy.

        Until `MIN_CHOICES` choices are learned, the policy may choose any item of the fused list, and of those behind
        it the ones with half the score of its last item: few choices, which may all be alike, would put items on the
        lists of all that hardly anyone chooses.

        Parameters
        ----------
        context
            The user and the session.
        items : ndarray of int32, shape (n,)
            Candidates in the fused order, best first.
        scores : ndarray of float64, shape (n,)
            Fused scores.
        length
            Length of the list.
        """
        if self._item_rates.n_choices < MIN_CHOICES:
            n_likely = _count_likely(scores, length)
            items, scores = items[:n_likely], scores[:n_likely]
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
        # a list that is ranked again without a change of the models is the same
        seed = stable_hash(context.user) ^ (self._models.version * int(GOLDEN_GAMMA)) ^ self._seed
        keys = self._models.index.hashes[items]
        order, propensities, _ = self.policies[name].decide(features, length, seed, keys)
        return PolicyChoice(name, order, propensities, pack_rows(features[order], FEATURES_VERSION))

    def _examination_probabilities(self, policy: Policy) -> NDArray[np.float64]:
        """Examination probabilities by this policy, else by another one, else the prior."""
        for each in (policy, *self._learners):
            if isinstance(each, LinearPolicy):
                return each.examination_probabilities
        return _EXAMINATION_PRIOR

    def on_interaction(self, interaction: Interaction) -> None:
        """Ignore interactions: policies learn from rewards."""

    def on_reward(self, reward: Reward) -> None:
        """Learn impressions and a reaction."""
        index = self._models.index
        seen = np.array(index.find_all(reward.seen), np.int32)
        item = index.find(reward.item_id) if reward.item_id else NO_ITEM
        row = _unpack_features(reward.features)
        if row is not None and _viewed_before_list(reward, row[0]):
            # the list was not examined either
            return
        # lists without features are search lists or older: choices there do not depend on ranks here
        has_features = bool(reward.seen_features or reward.features)
        if has_features:
            self._ignored_impressions.on_reward(reward, seen, item)
        if len(seen):
            self._learn_impressions(reward, seen, has_features=has_features)
        if reward.kind is RewardKind.IMPRESSION:
            return
        if item >= 0 and not self._repeated_reactions.counts(reward.user_id, item, reward.kind, reward.ts):
            return
        if has_features:
            self._item_rates.on_reaction(reward, item)
        if row is not None and len(row) == 1:
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

    def _learn_impressions(self, reward: Reward, seen: Items, *, has_features: bool) -> None:
        counted = self._repeated_reactions.counted_impressions(reward, seen)
        positions = np.array(reward.seen_positions, np.int32)[counted]
        if has_features:
            self._item_rates.observe_impressions(seen[counted], positions, reward.ts)
        rows = _unpack_features(reward.seen_features)
        if rows is not None and len(rows) == len(seen):
            # an item has a hash even if it is unknown here
            keys = np.array([stable_hash(each) for each in reward.seen], np.uint64)[counted]
            rows = rows[counted]
            for policy in self._learners:
                policy.observe_impressions(rows, positions, reward.ts, keys)

    def forget_user(self, user: str) -> None:
        """Drop the data of a user."""
        self._ignored_impressions.forget_user(user)
        self._repeated_reactions.forget_user(user)
        for policy in self._learners:
            policy.forget_user(user)

    def forget_items(self, items: Items) -> None:
        """Drop the data of items."""
        self._item_rates.forget_items(items)
        self._ignored_impressions.forget_items(items)
        self._repeated_reactions.forget_items(items)

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.name, {"features": list(FEATURES)}

    def _get_state(self) -> State:
        return {
            "rates": self._item_rates.state(),
            "ignored_impressions": self._ignored_impressions.state(),
            "repeated_reactions": self._repeated_reactions.state(),
            "policies": {policy.name: policy.state() for policy in self._learners},
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        # a policy without a state starts from its prior: to rebuild it from the log would rebuild all models
        self._item_rates.restore(state["rates"])
        self._ignored_impressions.restore(state["ignored_impressions"])
        if state["repeated_reactions"] is not None:
            self._repeated_reactions.restore(state["repeated_reactions"])
        for policy in self._learners:
            if policy.name in state["policies"]:
                policy.restore(state["policies"][policy.name])

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        of_users = self._item_rates.memory() + self._ignored_impressions.memory()
        return (
            of_users + self._repeated_reactions.memory() + sum(policy.memory() for policy in self._learners)
        )


def _count_likely(scores: NDArray[np.float64], length: int) -> int:
    """Number of candidates in front of the first unlikely one behind the fused list."""
    if len(scores) <= length:
        return len(scores)
    return length + int(np.count_nonzero(scores[length:] >= MIN_SCORE_SHARE * scores[length - 1]))


def _unpack_features(features: bytes) -> NDArray[np.float32] | None:
    """Unpack logged features; None without features, or with those of another version."""
    return unpack_rows(features, len(FEATURES), FEATURES_VERSION)


def _viewed_before_list(reward: Reward, row: NDArray[np.float32]) -> bool:
    """Whether the user viewed the item before the list was made, and continued from its page.

    An item that a user is viewing may be on the next list, too. A cart or a purchase without a click on that list
    comes from the page of the item, so the list gets no reward unless the event names it explicitly.
    """
    return (
        not reward.explicit
        and reward.first_positive
        and reward.kind in POST_CLICK_KINDS
        and row[VIEWED_FEATURE] > 0
    )


VERSIONS[LivePolicies.name] = 3
MIGRATIONS[LivePolicies.name, 2] = lambda state: {**state, "repeated_reactions": None}
