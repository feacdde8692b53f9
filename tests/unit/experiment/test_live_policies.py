from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.experiment.assignment import Shares
from stream_app.experiment.feature_rows import pack_rows, stamp_of, unpack_rows
from stream_app.experiment.live_policies import LivePolicies
from stream_app.experiment.policy_features import FEATURES, STAMP
from stream_app.models.model_set import ModelSet
from stream_app.ranking.list_rules import NO_RULES, ListRules
from stream_app.ranking.ranker import Ranked, Ranker
from stream_app.ranking.request import RankRequest
from topics.events import CatalogItem
from topics.records import LATER_STEPS, Interaction, Kind, Line, Reward, RewardKind, Source

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
    rows = unpack_rows(ranked.features, len(FEATURES), STAMP)
    assert rows is not None
    assert rows.shape == (10, len(FEATURES))
    assert rows[:, FEATURES.index("fused_rank")].tolist() == sorted(
        rows[:, FEATURES.index("fused_rank")], reverse=True
    )


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


def test_lists_without_features_or_with_others_teach_policies_nothing() -> None:
    shop, untold = Shop({"thompson": 1.0}), Shop({"thompson": 1.0})
    ranked = shop.rank("ann")
    rows = unpack_rows(ranked.features, len(FEATURES), STAMP)
    assert rows is not None
    reordered = pack_rows(rows, stamp_of(FEATURES[::-1]))
    assert len(reordered) == len(ranked.features)
    for features in (b"", b"1" * len(ranked.features), rows.astype(np.float16).tobytes(), reordered):
        shop.react(ranked._replace(features=features), 3)
    for name in ("outer", "rewarded"):
        learned, prior = (
            each.live.state()["policies"]["thompson"]["posterior"][name] for each in (shop, untold)
        )
        assert learned.tolist() == prior.tolist()
    shop.react(ranked, 3)
    assert shop.live.state()["policies"]["thompson"]["posterior"]["rewarded"].any()


@pytest.mark.parametrize("policy", ["thompson", "linucb", "epsilon_greedy", "session_value"])
def test_policies_that_add_up_learn_the_same_in_whatever_order_partitions_are_read(policy: str) -> None:
    rng = np.random.default_rng(6)
    rewards = []
    for number in range(300):
        rows = rng.random((10, len(FEATURES)), np.float32)
        place = int(rng.integers(10))
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
                item_id=ITEMS[place],
                position=place,
                value=float(rows[place, 4]),
                features=pack_rows(rows[place : place + 1], STAMP),
                seen=tuple(ITEMS[:10]),
                seen_positions=tuple(range(10)),
                seen_features=pack_rows(rows, STAMP),
            )
        )
    shops = []
    for order in (rewards, sorted(rewards, key=lambda each: -each.partition)):
        shops.append(Shop({policy: 1.0}))
        for reward in order:
            assert shops[-1].models.learn_reward(reward)
    options = rng.random((40, len(FEATURES)), np.float32)
    first, second = (
        [shop.live.policies[policy].decide(options, 10, seed).order.tolist() for seed in range(50)]
        for shop in shops
    )
    assert first == second
    untaught = Shop({policy: 1.0}).live.policies[policy]
    assert first != [untaught.decide(options, 10, seed).order.tolist() for seed in range(50)]


def seen(ranked: Ranked, feature: str) -> list[float]:
    """A feature of the items of a list, in the order of the shop."""
    rows = unpack_rows(ranked.features, len(FEATURES), STAMP)
    assert rows is not None
    column = rows[:, FEATURES.index(feature)].tolist()
    return [column[ids(ranked).index(item)] for item in ITEMS[:10]]


def test_what_a_shopper_passed_over_in_this_visit_is_told_and_of_this_shopper_alone() -> None:
    shop = Shop({"fixed": 1.0, "thompson": 0.0})
    shop.react(shop.rank("ann"), 2)

    def rank(user: str, session_start: int) -> Ranked:
        times = [1e9, 2e9]
        return shop.ranker.rank_user(RankRequest(user, ITEMS[20:22], times, session_start, (), 2e9, ()))

    passed_over = seen(rank("ann", 1), "passed_over")
    assert passed_over[2] == 0.0
    assert passed_over[0] == 0.5
    assert all(above >= below > 0 for above, below in pairwise(passed_over[3:]))
    assert seen(rank("ann", 1), "list_chosen") == [0.0, 0.0, 1.0, *[0.0] * 7]
    assert seen(rank("bob", 1), "passed_over") == [0.0] * 10
    # before anything is done in a new visit nothing was passed over in it; lately it was
    assert seen(rank("ann", 2), "passed_over") == [0.5, *passed_over[1:]]
    for _ in range(3):
        shop.react(shop.rank("ann"), None)
    assert seen(rank("ann", 1), "passed_over")[0] == 0.5
    assert seen(rank("ann", 0), "passed_over")[0] == 0.75
    assert seen(rank("ann", 1), "passed_over_lately")[0] > 0.9
    shop.live.forget_user("ann")
    assert seen(rank("ann", 0), "passed_over_lately") == [0.0] * 10


def test_a_policy_learns_to_take_back_what_was_passed_over() -> None:
    """Whoever does not choose an item at once never will; who does is up to the shopper, not to the item."""
    shop = Shop({"thompson": 1.0}, exploration=0.05)
    chance = np.random.default_rng(7)

    def rank(user: str, views: int) -> Ranked:
        times = [1e9 + shop.clicks] * views
        return shop.ranker.rank_user(
            RankRequest(user, ITEMS[25:][:views], times, 0, (), 1e9 + shop.clicks, ())
        )

    for visit in range(300):
        user = f"user {visit}"
        wanted = {item for item in ITEMS[:10] if chance.random() < 0.2}
        gone: set[str] = set()
        for views in range(1, 4):
            ranked = rank(user, views)
            listed = ids(ranked)
            place = next((at for at, item in enumerate(listed[:4]) if item in wanted - gone), None)
            rows, width = ranked.features, len(ranked.features) // len(listed)
            upto = 4 if place is None else place + 1
            shop.react(
                ranked._replace(items=ranked.items[:upto], features=rows[: upto * width]), place, user=user
            )
            gone |= set(listed[:upto])
    first = rank("new", 1)
    assert ids(first)[:2] == ITEMS[:2]
    width = len(first.features) // 10
    shop.react(first._replace(items=first.items[:4], features=first.features[: 4 * width]), None, user="new")
    assert len(set(ids(rank("new", 2))[:4]) & set(ids(first)[:4])) < 2
    assert len(set(ids(rank("other", 2))[:4]) & set(ids(first)[:4])) > 2


def step_of(shop: Shop, kind: RewardKind, *, viewed: bool, named: bool) -> float:
    """What Thompson sampling has counted of rewards, once a step came that had no click before it."""
    history = [ITEMS[4 if viewed else 20]]
    now = 1e9 + shop.clicks
    ranked = shop.ranker.rank_user(RankRequest("ann", history, [now], 0, (), now, ()))
    place = ids(ranked).index(ITEMS[4])
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
            position=place,
            value=10.0,
            features=ranked.features[place * width : (place + 1) * width],
            seen=tuple(ids(ranked)[: place + 1]),
            seen_positions=tuple(range(place + 1)),
            seen_features=ranked.features[: (place + 1) * width],
            named=named,
        )
    )
    shop.offset += 1
    return float(shop.live.state()["policies"]["thompson"]["posterior"]["rewarded"][-1])


def test_what_one_was_at_before_the_list_was_made_is_no_success_of_the_list() -> None:
    shop = Shop({"fixed": 1.0, "thompson": 0.0})
    assert step_of(shop, RewardKind.PURCHASE, viewed=True, named=False) == 0.0
    assert seen(shop.rank("ann"), "passed_over_lately") == [0.0] * 10
    assert step_of(shop, RewardKind.PURCHASE, viewed=False, named=False) > 0.0


@pytest.mark.parametrize("kind", sorted(LATER_STEPS))
def test_a_step_that_names_its_list_is_a_success_of_it_whatever_one_was_at_before(kind: RewardKind) -> None:
    shop = Shop({"fixed": 1.0, "thompson": 0.0})
    assert step_of(shop, kind, viewed=True, named=True) > 0.0
    assert shop.live.state()["policies"]["thompson"]["posterior"]["outer"].any()
    # it was chosen, and what stood above it was passed over
    ranked = shop.rank("ann")
    lately, rates = seen(ranked, "passed_over_lately"), seen(ranked, "choice_rate")
    assert lately[0] > lately[4] == 0.0
    assert rates[4] == max(rates) > rates[0]


def test_an_unknown_policy_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="there are fixed, popularity, thompson"):
        LivePolicies(ModelSet(["popularity"]), Shares({"tompson": 1.0}))
