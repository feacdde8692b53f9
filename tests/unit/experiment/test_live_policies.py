from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.experiment.assignment import Assignment
from stream_app.experiment.feature_rows import features_version_of, pack_rows, unpack_rows
from stream_app.experiment.live_policies import LivePolicies
from stream_app.experiment.policy_features import FEATURES, FEATURES_VERSION
from stream_app.models.model_set import ModelSet
from stream_app.ranking.list_rules import NO_RULES, ListRules
from stream_app.ranking.ranker import RankedList, Ranker
from stream_app.ranking.request import RankRequest
from topics.events import CatalogItem
from topics.records import POST_CLICK_KINDS, Interaction, Kind, Line, Reward, RewardKind, Source

ITEMS = [f"item {n}" for n in range(30)]


class ShopWithPolicies:
    """A shop where item n has 60 - n views, with live policies."""

    def __init__(
        self, weights: dict[str, float], rules: ListRules | None = None, exploration: float = 2.0
    ) -> None:
        self.models = ModelSet(["popularity"], max_items=1000, max_users=1000)
        self.live = LivePolicies(
            self.models, Assignment(weights), settings={"thompson": {"exploration": exploration}}
        )
        self.models.learners.append(self.live)
        self.ranker = Ranker(self.models, per_source=100, length=10, rules=rules or NO_RULES)
        self.clicks = self.offset = 0
        for n, item in enumerate(ITEMS):
            for viewer in range(60 - n):
                self.view(f"viewer {viewer}", item)

    def view(self, user: str, item: str) -> None:
        ts = 1e9 + self.clicks
        self.models.learn(Interaction(Source.CLICK, 0, self.clicks, ts, user, Kind.VIEW, (Line(item),)))
        self.clicks += 1

    def rank(self, user: str) -> RankedList:
        return self.ranker.rank_user(RankRequest(user, [], [], 0, (), 1e9 + self.clicks, ()))

    def react(self, ranked: RankedList, rank: int | None, value: float = 1.0, user: str = "ann") -> None:
        """All items of a list are seen, and the item at a rank is chosen."""
        rows = ranked.features
        width = len(rows) // len(ranked.items)
        self.models.learn_reward(
            Reward(
                source=Source.CLICK,
                partition=0,
                offset=self.offset,
                line=0,
                ts=1e9 + self.clicks + self.offset,
                user_id=user,
                list_id=f"l{self.offset}",
                policy=ranked.policy,
                kind=RewardKind.IMPRESSION if rank is None else RewardKind.CLICK,
                item_id="" if rank is None else ranked.items[rank].id,
                position=-1 if rank is None else rank,
                value=0.0 if rank is None else value,
                features=b"" if rank is None else rows[rank * width : (rank + 1) * width],
                first_exposure=True,
                seen=tuple(item.id for item in ranked.items),
                seen_positions=tuple(range(len(ranked.items))),
                seen_features=rows,
            )
        )
        self.offset += 1


def ids(ranked: RankedList) -> list[str]:
    return [item.id for item in ranked.items]


def test_fixed_policy_alone_keeps_the_fused_order_and_the_fusion_name() -> None:
    ranked = ShopWithPolicies({"fixed": 1.0}).rank("ann")
    assert ids(ranked) == ITEMS[:10]
    assert ranked.policy == "fixed_rrf"
    assert ranked.features == b""


def test_fixed_policy_among_others_logs_features_under_its_own_name() -> None:
    ranked = ShopWithPolicies({"fixed": 1.0, "thompson": 0.0}).rank("ann")
    assert ids(ranked) == ITEMS[:10]
    assert ranked.policy == "fixed"
    assert [item.propensity for item in ranked.items] == [1.0] * 10
    rows = unpack_rows(ranked.features, len(FEATURES), FEATURES_VERSION)
    assert rows is not None
    assert rows.shape == (10, len(FEATURES))
    assert rows[:, FEATURES.index("fused_rank")].tolist() == sorted(
        rows[:, FEATURES.index("fused_rank")], reverse=True
    )


def test_untrained_thompson_keeps_the_fused_order_up_to_exploration() -> None:
    shop = ShopWithPolicies({"thompson": 1.0}, exploration=0.2)
    ranked = shop.rank("ann")
    assert ranked.policy == "thompson"
    assert ids(ranked)[:5] == ITEMS[:5]
    exploring = [ShopWithPolicies({"thompson": 1.0}).rank(f"user {n}") for n in range(20)]
    assert all(0 < item.propensity <= 1 for ranked in exploring for item in ranked.items)
    assert any(item.propensity < 1 for ranked in exploring for item in ranked.items)
    assert len({tuple(ids(ranked)) for ranked in exploring}) > 1


def test_unlikely_items_are_not_listed_before_enough_choices_are_learned() -> None:
    shop = ShopWithPolicies({"thompson": 1.0}, exploration=30.0)
    items = np.arange(30, dtype=np.int32)
    scores = np.where(items < 15, 0.05, 0.01)

    def listed() -> set[int]:
        users = [shop.models.context(f"user {n}", (), (), 0, (), 1e9 + shop.clicks) for n in range(40)]
        return {int(at) for user in users for at in shop.live.choose(user, items, scores, 10).order}

    # Some of those behind the fused list are explored: not the unlikely ones.
    assert set(range(10)) < listed() <= set(range(15))
    for number in range(520):
        shop.react(shop.rank("ann"), number % 10, user=f"user {number}")
    assert listed() - set(range(15))


def test_all_items_of_the_fused_list_may_be_listed_however_unlikely() -> None:
    shop = ShopWithPolicies({"thompson": 1.0})
    user = shop.models.context("ann", (), (), 0, (), 1e9 + shop.clicks)
    items, scores = np.arange(12, dtype=np.int32), np.geomspace(1.0, 1e-6, 12)
    assert sorted(shop.live.choose(user, items, scores, 10).order) == list(range(10))
    assert sorted(shop.live.choose(user, items[:8], scores[:8], 10).order) == list(range(8))


def test_chosen_items_rise_and_ignored_items_fall() -> None:
    shop = ShopWithPolicies({"thompson": 1.0})
    liked = ITEMS[9]
    before = []
    for session in range(600):
        ranked = shop.rank(f"user {session}")
        listed = ids(ranked)
        if session < 50:
            before.append(listed.index(liked) if liked in listed else 10)
        shop.react(ranked, listed.index(liked) if liked in listed else None, user=f"user {session}")
    after = []
    for session in range(600, 650):
        listed = ids(shop.rank(f"user {session}"))
        after.append(listed.index(liked) if liked in listed else 10)
    assert np.mean(before) > 4.0
    assert np.mean(after) < 1.0


def test_policy_without_users_learns_from_lists_of_others() -> None:
    shop = ShopWithPolicies({"thompson": 1.0, "linucb": 0.0})
    liked = ITEMS[9]
    for session in range(400):
        ranked = shop.rank(f"user {session}")
        listed = ids(ranked)
        shop.react(ranked, listed.index(liked) if liked in listed else None, user=f"user {session}")
    shop.live.set_assignment(Assignment({"linucb": 1.0}))
    lists = [shop.rank(f"user {session}") for session in range(50)]
    assert {ranked.policy for ranked in lists} == {"linucb"}
    assert [ids(ranked)[0] for ranked in lists].count(liked) > 40


def test_list_of_a_user_is_stable_until_something_is_learned() -> None:
    shop = ShopWithPolicies({"thompson": 1.0})
    assert shop.rank("ann") == shop.rank("ann")
    lists = {tuple(ids(shop.rank(f"user {n}"))) for n in range(50)}
    assert len(lists) > 1


def test_rules_hold_for_every_policy() -> None:
    shop = ShopWithPolicies({"thompson": 1.0}, ListRules(max_per_brand=2))
    for n, item in enumerate(ITEMS):
        shop.models.learn_catalog(CatalogItem(ts=1_000_000, item_id=item, brand=f"brand {n // 10}"))
    lists = [ids(shop.rank(f"user {n}")) for n in range(50)]
    assert {tuple(sorted(listed)) for listed in lists} == {tuple(sorted(lists[0]))}
    assert max(Counter(ITEMS.index(item) // 10 for item in lists[0]).values()) == 2
    assert len({tuple(listed) for listed in lists}) > 1


def test_restored_state_gives_the_same_lists_and_new_policies_start_fresh() -> None:
    shop, again = ShopWithPolicies({"thompson": 1.0}), ShopWithPolicies({"thompson": 1.0})
    for session in range(50):
        shop.react(shop.rank(f"user {session}"), session % 10, user=f"user {session}")
    assert again.rank("ann") != shop.rank("ann")
    again.models.restore(shop.models.state())
    assert [again.rank(f"user {n}") for n in range(20)] == [shop.rank(f"user {n}") for n in range(20)]
    other = ShopWithPolicies({"linucb": 1.0, "thompson": 0.0})
    other.models.restore(shop.models.state())
    other.live.set_assignment(Assignment({"thompson": 1.0}))
    assert other.rank("bob") == shop.rank("bob")


def test_duplicate_reward_is_not_learned() -> None:
    shop, once = ShopWithPolicies({"thompson": 1.0}), ShopWithPolicies({"thompson": 1.0})
    for session in range(30):
        ranked = once.rank("ann")
        once.react(ranked, 3)
        shop.react(ranked, 3)
        shop.offset -= 1
        shop.react(ranked, 3)
        assert session == shop.offset - 1
    assert shop.rank("ann") == once.rank("ann")


def test_lists_with_missing_or_outdated_features_are_not_learned() -> None:
    shop, untrained = ShopWithPolicies({"thompson": 1.0}), ShopWithPolicies({"thompson": 1.0})
    ranked = shop.rank("ann")
    rows = unpack_rows(ranked.features, len(FEATURES), FEATURES_VERSION)
    assert rows is not None
    reordered = pack_rows(rows, features_version_of(FEATURES[::-1]))
    assert len(reordered) == len(ranked.features)
    for features in (b"", b"1" * len(ranked.features), rows.astype(np.float16).tobytes(), reordered):
        shop.react(ranked._replace(features=features), 3)
    for name in ("outer", "rewards"):
        learned, prior = (
            each.live.state()["policies"]["thompson"]["posterior"][name] for each in (shop, untrained)
        )
        assert learned.tolist() == prior.tolist()
    shop.react(ranked, 3, user="bob")
    assert shop.live.state()["policies"]["thompson"]["posterior"]["rewards"].any()


@pytest.mark.parametrize("policy", ["thompson", "linucb", "epsilon_greedy", "session_value"])
def test_additive_policies_do_not_depend_on_partition_order(policy: str) -> None:
    rng = np.random.default_rng(6)
    rewards = []
    for number in range(300):
        rows = rng.random((10, len(FEATURES)), np.float32)
        rank = int(rng.integers(10))
        rewards.append(
            Reward(
                source=Source.CLICK,
                partition=number % 3,
                offset=number,
                line=0,
                ts=1e9 + 3_600.0 * number,
                user_id=f"of {number % 3}",
                list_id=f"l{number}",
                policy="fixed",
                kind=RewardKind.CLICK,
                item_id=ITEMS[rank],
                position=rank,
                value=float(rows[rank, 4]),
                features=pack_rows(rows[rank : rank + 1], FEATURES_VERSION),
                seen=tuple(ITEMS[:10]),
                seen_positions=tuple(range(10)),
                seen_features=pack_rows(rows, FEATURES_VERSION),
            )
        )
    shops = []
    for order in (rewards, sorted(rewards, key=lambda each: -each.partition)):
        shops.append(ShopWithPolicies({policy: 1.0}))
        for reward in order:
            assert shops[-1].models.learn_reward(reward)
    options = rng.random((40, len(FEATURES)), np.float32)
    first, second = (
        [shop.live.policies[policy].decide(options, 10, seed).order.tolist() for seed in range(50)]
        for shop in shops
    )
    assert first == second
    untrained_policy = ShopWithPolicies({policy: 1.0}).live.policies[policy]
    assert first != [untrained_policy.decide(options, 10, seed).order.tolist() for seed in range(50)]


def seen(ranked: RankedList, feature: str) -> list[float]:
    """A feature of the items of a list, in the order of `ITEMS`."""
    rows = unpack_rows(ranked.features, len(FEATURES), FEATURES_VERSION)
    assert rows is not None
    column = rows[:, FEATURES.index(feature)].tolist()
    return [column[ids(ranked).index(item)] for item in ITEMS[:10]]


def test_ignored_impressions_are_per_user_and_session() -> None:
    shop = ShopWithPolicies({"fixed": 1.0, "thompson": 0.0})
    shop.react(shop.rank("ann"), 2)

    def rank(user: str, session_start: int) -> RankedList:
        times = [1e9, 2e9]
        return shop.ranker.rank_user(RankRequest(user, ITEMS[20:22], times, session_start, (), 2e9, ()))

    ignored_impressions = seen(rank("ann", 1), "ignored")
    assert ignored_impressions[2] == 0.0
    assert ignored_impressions[0] == 0.5
    assert all(above >= below > 0 for above, below in pairwise(ignored_impressions[3:]))
    assert seen(rank("ann", 1), "list_chosen") == [0.0, 0.0, 1.0, *[0.0] * 7]
    assert seen(rank("bob", 1), "ignored") == [0.0] * 10
    # without events in a new session nothing is ignored in it, but recently
    assert seen(rank("ann", 2), "ignored") == [0.5, *ignored_impressions[1:]]
    for _ in range(3):
        shop.react(shop.rank("ann"), None)
    assert seen(rank("ann", 1), "ignored")[0] == 0.5
    assert seen(rank("ann", 0), "ignored")[0] == 0.75
    assert seen(rank("ann", 1), "recently_ignored")[0] > 0.9
    shop.live.forget_user("ann")
    assert seen(rank("ann", 0), "recently_ignored") == [0.0] * 10


def test_policy_learns_to_demote_ignored_items() -> None:
    """Users choose an item at the first impression or never; the choice depends on the user, not on the item."""
    shop = ShopWithPolicies({"thompson": 1.0}, exploration=0.05)
    rng = np.random.default_rng(7)

    def rank(user: str, views: int) -> RankedList:
        times = [1e9 + shop.clicks] * views
        return shop.ranker.rank_user(
            RankRequest(user, ITEMS[25:][:views], times, 0, (), 1e9 + shop.clicks, ())
        )

    for session in range(300):
        user = f"user {session}"
        wanted = {item for item in ITEMS[:10] if rng.random() < 0.2}
        seen_items: set[str] = set()
        for views in range(1, 4):
            ranked = rank(user, views)
            listed = ids(ranked)
            chosen_rank = next(
                (at for at, item in enumerate(listed[:4]) if item in wanted - seen_items), None
            )
            rows, width = ranked.features, len(ranked.features) // len(listed)
            n_seen = 4 if chosen_rank is None else chosen_rank + 1
            shop.react(
                ranked._replace(items=ranked.items[:n_seen], features=rows[: n_seen * width]),
                chosen_rank,
                user=user,
            )
            seen_items |= set(listed[:n_seen])
    first = rank("new", 1)
    assert ids(first)[:2] == ITEMS[:2]
    width = len(first.features) // 10
    shop.react(first._replace(items=first.items[:4], features=first.features[: 4 * width]), None, user="new")
    assert len(set(ids(rank("new", 2))[:4]) & set(ids(first)[:4])) < 2
    assert len(set(ids(rank("other", 2))[:4]) & set(ids(first)[:4])) > 2


def reward_without_click(shop: ShopWithPolicies, kind: RewardKind, *, viewed: bool, explicit: bool) -> float:
    """Sum of the rewards of Thompson sampling after a reaction without an earlier click."""
    history = [ITEMS[4 if viewed else 20]]
    now = 1e9 + shop.clicks
    ranked = shop.ranker.rank_user(RankRequest("ann", history, [now], 0, (), now, ()))
    rank = ids(ranked).index(ITEMS[4])
    width = len(ranked.features) // len(ranked.items)
    shop.models.learn_reward(
        Reward(
            source=Source.PURCHASE if kind is RewardKind.PURCHASE else Source.CLICK,
            partition=0,
            offset=shop.offset,
            line=0,
            ts=now,
            user_id="ann",
            list_id=f"l{shop.offset}",
            policy=ranked.policy,
            kind=kind,
            item_id=ITEMS[4],
            position=rank,
            value=10.0,
            features=ranked.features[rank * width : (rank + 1) * width],
            seen=tuple(ids(ranked)[: rank + 1]),
            seen_positions=tuple(range(rank + 1)),
            seen_features=ranked.features[: (rank + 1) * width],
            explicit=explicit,
        )
    )
    shop.offset += 1
    return float(shop.live.state()["policies"]["thompson"]["posterior"]["rewards"][-1])


def test_item_viewed_before_the_list_is_not_rewarded() -> None:
    shop = ShopWithPolicies({"fixed": 1.0, "thompson": 0.0})
    assert reward_without_click(shop, RewardKind.PURCHASE, viewed=True, explicit=False) == 0.0
    assert seen(shop.rank("ann"), "recently_ignored") == [0.0] * 10
    assert reward_without_click(shop, RewardKind.PURCHASE, viewed=False, explicit=False) > 0.0


@pytest.mark.parametrize("kind", sorted(POST_CLICK_KINDS))
def test_explicitly_attributed_reaction_is_rewarded_even_if_viewed_before(kind: RewardKind) -> None:
    shop = ShopWithPolicies({"fixed": 1.0, "thompson": 0.0})
    assert reward_without_click(shop, kind, viewed=True, explicit=True) > 0.0
    assert shop.live.state()["policies"]["thompson"]["posterior"]["outer"].any()
    # the item is chosen, and the items above it are ignored
    ranked = shop.rank("ann")
    lately, rates = seen(ranked, "recently_ignored"), seen(ranked, "choice_rate")
    assert lately[0] > lately[4] == 0.0
    assert rates[4] == max(rates) > rates[0]


def test_unknown_policy_is_rejected_with_the_known_names() -> None:
    with pytest.raises(UserError, match="there are fixed, popularity, thompson"):
        LivePolicies(ModelSet(["popularity"]), Assignment({"tompson": 1.0}))


@pytest.mark.parametrize("policy", ["item_thompson", "thompson"])
def test_repeated_reactions_of_one_user_count_twice_for_others(policy: str) -> None:
    def mean_rank_after(reacting: list[str]) -> float:
        shop = ShopWithPolicies({policy: 1.0})
        fixed = ShopWithPolicies({"fixed": 1.0, policy: 0.0}).rank("ann")
        for number in range(200):
            shop.react(fixed, number % 3, user=f"honest {number}")
        for user in reacting:
            shop.react(fixed, 9, user=user)
        last = fixed.items[9].id
        listed = [ids(shop.rank(f"user {number}")) for number in range(100)]
        return float(np.mean([each.index(last) if last in each else 10 for each in listed]))

    after_two_users = mean_rank_after(["bob", "cem"])
    assert mean_rank_after(["mallory"] * 300) > after_two_users - 1.0
    assert mean_rank_after([f"user {number}" for number in range(300)]) < after_two_users - 2.0


def test_the_counts_of_reactions_survive_a_snapshot_and_end_with_an_erasure() -> None:
    shop, again = ShopWithPolicies({"thompson": 1.0}), ShopWithPolicies({"thompson": 1.0})
    ranked = shop.rank("ann")
    for _ in range(3):
        shop.react(ranked, 3, user="mallory")
    again.models.restore(shop.models.state())
    again.offset = shop.offset

    def rewards_learned() -> list[float]:
        learned: list[float] = again.live.state()["policies"]["thompson"]["posterior"]["rewards"].tolist()
        return learned

    before = rewards_learned()
    again.react(ranked, 3, user="mallory")
    assert rewards_learned() == before
    again.models.forget_user("mallory")
    again.react(ranked, 3, user="mallory")
    assert rewards_learned() != before


def test_a_policy_of_river_learns_from_the_lists_of_all_and_its_state_is_saved() -> None:
    name = "river:bandit.UCB(delta=0.05)"
    weights = {name: 1.0, "fixed": 0.0}
    shop = ShopWithPolicies(weights)
    assert shop.rank("ann").policy == name
    assert ids(shop.rank("ann")) == ITEMS[:10]
    for number in range(300):
        ranked = shop.rank(f"user {number}")
        liked = [rank for rank, item in enumerate(ids(ranked)) if item == "item 7"]
        shop.react(ranked, liked[0] if liked and liked[0] < 3 else None, user=f"user {number}")
    assert "item 7" in ids(shop.rank("bob"))[:3]
    restored = ShopWithPolicies(weights)
    restored.models.restore(shop.models.state())
    assert ids(restored.rank("bob")) == ids(shop.rank("bob"))
