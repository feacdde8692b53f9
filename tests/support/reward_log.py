"""The rewards on their log, and what the learners of rewards hold, for the comparison of two runs."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from stream_app.experiment.comparison import PolicyComparison
from stream_app.experiment.live_policies import LivePolicies
from stream_app.models.model_set import ModelSet
from tests.support.integration_environment import IntegrationEnvironment
from topics.catalog import REWARDS
from topics.log_keys import user_of
from topics.records import Reward, RewardKind

_decoder: Final = msgspec.msgpack.Decoder(Reward)


class RewardOutcome(NamedTuple):
    """What is the same in two runs whose lists have the same items, whatever their ids."""

    rewards: dict[tuple[str, str, str, int], tuple[float, float, int]]
    """(Value, revenue, rank) by user, kind, item and line; erasures included."""
    positions_seen: dict[str, list[int]]
    """Ranks of the displayed items, by user."""


def rewards_on_log(environment: IntegrationEnvironment) -> Iterator[tuple[Reward, bool]]:
    """The rewards on the log, and whether a replica folds each: it drops what is at or below its watermark."""
    watermarks: dict[tuple[int, int], tuple[int, int]] = {}
    for record in environment.read(REWARDS.name):
        if record.value is None:  # a marker of an owner, or the deletion of an erased user's reward
            continue
        reward = _decoder.decode(record.value)
        assert user_of(record.key or b"") == reward.user_id.encode()
        assert record.partition == reward.partition
        source, line = (int(reward.source), reward.partition), (reward.offset, reward.line)
        is_new = line > watermarks.get(source, (-1, -1))
        if is_new:
            watermarks[source] = line
        yield reward, is_new


def reward_outcome(environment: IntegrationEnvironment) -> RewardOutcome:
    """The rewards of a run in which each user reacts to one list at most."""
    found = RewardOutcome({}, {})
    lists: dict[str, str] = {}
    for reward, is_new in rewards_on_log(environment):
        if not is_new:
            continue
        name = (reward.user_id, str(reward.kind), reward.item_id, reward.line)
        assert name not in found.rewards or reward.kind is RewardKind.IMPRESSION, f"{name} was rewarded twice"
        found.rewards[name] = (reward.value, reward.revenue, reward.position)
        if reward.kind is RewardKind.ERASURE:
            continue
        assert lists.setdefault(reward.user_id, reward.list_id) == reward.list_id, (
            f"{name}: a list without a reaction of its user"
        )
        found.positions_seen.setdefault(reward.user_id, []).extend(reward.seen_positions)
    for positions in found.positions_seen.values():
        assert len(positions) == len(set(positions)), "an item was counted as displayed twice"
        positions.sort()
    return found


def learned_from_rewards(models: ModelSet) -> dict[str, Any]:
    """What rewards and impressions have taught, without what depends on the broker's time of an event."""
    comparison, policies = models.learner(PolicyComparison), models.learner(LivePolicies)
    assert comparison is not None
    assert policies is not None
    state = comparison.state()
    return {
        **{
            f"metrics of {name}": (metrics.lists, metrics.users, metrics.sums.tolist())
            for name, metrics in comparison.policies.items()
        },
        **{
            f"sums of {user}": sums.tolist()
            for (user, _), sums in zip(state["users"], state["sums"], strict=True)
        },
        **{
            f"impressions of {user}": found
            for user, found in _impressions(models, policies.state()["ignored_impressions"]).items()
        },
    }


def _impressions(models: ModelSet, state: Mapping[str, Any]) -> dict[str, list[tuple[int, str, int]]]:
    """The number of the list, the item and its rank, -1 for a choice; in no order of time."""
    return {
        user: sorted(
            (int(number), models.index.id_of(int(item)), int(rank))
            for number, item, rank in zip(
                state["lists"][row], state["items"][row], state["ranks"][row], strict=True
            )
            if item >= 0
        )
        for row, user in enumerate(state["users"]["ids"])
        if user is not None
    }
