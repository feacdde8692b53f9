from collections import Counter

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.ranker.list_rules import NO_RULES, ListRules
from stream_app.ranker.live.features import FEATURES
from stream_app.ranker.live.policies import LivePolicies
from stream_app.ranker.live.shares import Shares
from stream_app.ranker.ranker import Ranked, Ranker
from stream_app.ranker.request import RankRequest
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Reward, RewardKind, Source

ITEMS = [f"item {n}" for n in range(30)]


class Shop:
    """A shop where item n is viewed the less the larger n is, with policies at work."""

    def __init__(
        self, weights: dict[str, float], rules: ListRules | None = None, exploration: float = 2.0
    ) -> None:
        self.models = ModelSet(["popularity"], max_items=1000, max_users=1000)
        self.live = LivePolicies(
            self.models, Shares(weights), settings={"thompson": {"exploration": exploration}}
        )
        self.models.listeners.append(self.live)
        self.ranker = Ranker(self.models, per_source=100, length=10, rules=rules or NO_RULES)
        self.clicks = self.offset = 0
        for n, item in enumerate(ITEMS):
            for _ in range(60 - n):
                self.view("someone", item)

    def view(self, user: str, item: str) -> None:
        ts = 1e9 + self.clicks
        self.models.learn(Interaction(Source.CLICK, 0, self.clicks, ts, user, Kind.VIEW, (Line(item),)))
        self.clicks += 1

    def rank(self, user: str) -> Ranked:
        return self.ranker.rank_user(RankRequest(user, [], [], 0, (), 1e9 + self.clicks, ()))

    def react(self, ranked: Ranked, place: int | None, value: float = 1.0, user: str = "ann") -> None:
        """Have a list seen whole, and the item of a place chosen."""
        rows = ranked.features
        width = 2 * len(FEATURES)
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
                kind=RewardKind.IMPRESSION if place is None else RewardKind.CLICK,
                item_id="" if place is None else ranked.items[place].id,
                position=-1 if place is None else place,
                value=0.0 if place is None else value,
                features=b"" if place is None else rows[place * width : (place + 1) * width],
                opens=True,
                seen=tuple(item.id for item in ranked.items),
                seen_positions=tuple(range(len(ranked.items))),
                seen_features=rows,
            )
        )
        self.offset += 1


def ids(ranked: Ranked) -> list[str]:
    return [item.id for item in ranked.items]


def test_the_fixed_policy_alone_shows_the_fused_order_under_the_name_of_what_fused_it() -> None:
    ranked = Shop({"fixed": 1.0}).rank("ann")
    assert ids(ranked) == ITEMS[:10]
    assert ranked.policy == "fixed_rrf"
    assert ranked.features == b""


def test_beside_others_it_goes_by_its_own_name_and_logs_what_others_can_learn_from() -> None:
    ranked = Shop({"fixed": 1.0, "thompson": 0.0}).rank("ann")
    assert ids(ranked) == ITEMS[:10]
    assert ranked.policy == "fixed"
    assert [item.propensity for item in ranked.items] == [1.0] * 10
    assert len(ranked.features) == 2 * 10 * len(FEATURES)


def test_thompson_shows_the_fused_order_before_it_has_learned_but_for_what_it_tries() -> None:
    shop = Shop({"thompson": 1.0}, exploration=0.2)
    ranked = shop.rank("ann")
    assert ranked.policy == "thompson"
    assert ids(ranked)[:5] == ITEMS[:5]
    bold = [Shop({"thompson": 1.0}).rank(f"user {n}") for n in range(20)]
    assert all(0 < item.propensity <= 1 for ranked in bold for item in ranked.items)
    assert any(item.propensity < 1 for ranked in bold for item in ranked.items)
    assert len({tuple(ids(ranked)) for ranked in bold}) > 1


def test_what_shoppers_choose_rises_and_what_they_pass_over_falls() -> None:
    shop = Shop({"thompson": 1.0})
    liked = ITEMS[9]
    before = []
    for visit in range(600):
        ranked = shop.rank(f"user {visit}")
        listed = ids(ranked)
        if visit < 50:
            before.append(listed.index(liked) if liked in listed else 10)
        shop.react(ranked, listed.index(liked) if liked in listed else None, user=f"user {visit}")
    after = []
    for visit in range(600, 650):
        listed = ids(shop.rank(f"user {visit}"))
        after.append(listed.index(liked) if liked in listed else 10)
    assert np.mean(before) > 4.0
    assert np.mean(after) < 1.0


def test_a_policy_without_shoppers_learns_from_the_lists_of_others() -> None:
    shop = Shop({"thompson": 1.0, "linucb": 0.0})
    liked = ITEMS[9]
    for visit in range(400):
        ranked = shop.rank(f"user {visit}")
        listed = ids(ranked)
        shop.react(ranked, listed.index(liked) if liked in listed else None, user=f"user {visit}")
    shop.live.share(Shares({"linucb": 1.0}))
    tops = [shop.rank(f"user {visit}") for visit in range(50)]
    assert {ranked.policy for ranked in tops} == {"linucb"}
    assert [ids(ranked)[0] for ranked in tops].count(liked) > 40


def test_the_same_shopper_has_the_same_list_until_something_is_learned() -> None:
    shop = Shop({"thompson": 1.0})
    assert shop.rank("ann") == shop.rank("ann")
    lists = {tuple(ids(shop.rank(f"user {n}"))) for n in range(50)}
    assert len(lists) > 1


def test_rules_hold_whatever_the_policy() -> None:
    shop = Shop({"thompson": 1.0}, ListRules(max_per_brand=2))
    for n, item in enumerate(ITEMS):
        shop.models.learn_catalog(CatalogItem(ts=1_000_000, item_id=item, brand=f"brand {n // 10}"))
    lists = [ids(shop.rank(f"user {n}")) for n in range(50)]
    assert {tuple(sorted(listed)) for listed in lists} == {tuple(sorted(lists[0]))}
    assert max(Counter(ITEMS.index(item) // 10 for item in lists[0]).values()) == 2
    assert len({tuple(listed) for listed in lists}) > 1


def test_a_state_makes_the_same_lists_and_a_policy_that_was_not_there_begins_anew() -> None:
    shop, again = Shop({"thompson": 1.0}), Shop({"thompson": 1.0})
    for visit in range(50):
        shop.react(shop.rank(f"user {visit}"), visit % 10, user=f"user {visit}")
    assert again.rank("ann") != shop.rank("ann")
    again.models.restore(shop.models.state())
    assert [again.rank(f"user {n}") for n in range(20)] == [shop.rank(f"user {n}") for n in range(20)]
    other = Shop({"linucb": 1.0, "thompson": 0.0})
    other.models.restore(shop.models.state())
    other.live.share(Shares({"thompson": 1.0}))
    assert other.rank("bob") == shop.rank("bob")


def test_a_reward_that_is_sent_again_teaches_nothing() -> None:
    shop, once = Shop({"thompson": 1.0}), Shop({"thompson": 1.0})
    for visit in range(30):
        ranked = once.rank("ann")
        once.react(ranked, 3)
        shop.react(ranked, 3)
        shop.offset -= 1
        shop.react(ranked, 3)
        assert visit == shop.offset - 1
    assert shop.rank("ann") == once.rank("ann")


def test_rewards_of_lists_without_features_or_of_another_version_are_passed_over() -> None:
    shop, untold = Shop({"thompson": 1.0}), Shop({"thompson": 1.0})
    shop.react(shop.rank("ann")._replace(features=b"123"), 3)
    shop.react(shop.rank("ann")._replace(features=b""), 3)
    # the item's own rate is learned none the less
    assert shop.live.policies["thompson"].state()["posterior"].keys()
    assert shop.rank("bob").policy == untold.rank("bob").policy == "thompson"


def test_an_unknown_policy_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="there are fixed, popularity, thompson"):
        LivePolicies(ModelSet(["popularity"]), Shares({"tompson": 1.0}))
