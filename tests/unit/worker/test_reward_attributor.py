"""What reactions to published lists are worth, from the event to the record, the models and the metrics."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
import pytest

from stream_app.experiment.assignment import Shares
from stream_app.experiment.feature_rows import pack_rows
from stream_app.experiment.live_policies import LivePolicies
from stream_app.experiment.policy_features import FEATURES, STAMP
from stream_app.models.base import Items
from topics.catalog import REWARDS
from topics.events import Feedback, FeedbackKind, Impression, OrderLine, Purchase
from topics.records import Interaction, Reward, RewardKind, Source

if TYPE_CHECKING:
    from tests.support.in_memory_worker import Workbench
else:
    from tests.support.in_memory_worker import Workbench


class Hearing:
    """A policy that remembers what it heard."""

    name: ClassVar[str] = "hearing"

    def __init__(self) -> None:
        self.rewards: list[Reward] = []
        self.forgot: list[str] = []

    def hear(self, interaction: Interaction) -> None:
        """Nothing is learned from it."""

    def hear_reward(self, reward: Reward) -> None:
        self.rewards.append(reward)

    def forget_user(self, user: str) -> None:
        self.forgot.append(user)

    def forget_items(self, items: Items) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None: ...

    def memory(self) -> int:
        return 0


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    made = Workbench(tmp_path)
    made.models.listeners.append(Hearing())
    return made


def heard(bench: Workbench) -> list[Reward]:
    listener = bench.models.listener(Hearing)
    assert listener is not None
    return listener.rewards


def sent(bench: Workbench) -> list[Reward]:
    values = [record.value for record in bench.outgoing.of(REWARDS)]
    return [msgspec.msgpack.decode(value, type=Reward) for value in values if value is not None]


def purchase(bench: Workbench, *items: str, **fields: Any) -> Purchase:
    lines = [OrderLine(item_id=item, price=20.0, quantity=2) for item in items]
    ts = int(bench.clock.now * 1000)
    return Purchase(event_id=f"p{'-'.join(items)}", user_id="ann", ts=ts, order_id="o", items=lines, **fields)


async def test_a_click_on_the_list_of_redis_is_rewarded(workbench: Workbench) -> None:
    for item in ("shoe", "sock", "hat"):
        workbench.take(workbench.click("bob", item), workbench.click("ann", item))
    async with workbench.flushing():
        await workbench.flusher.drained()
    document = workbench.published("recs:user:{ann}")
    assert document is not None
    workbench.clock.now += 7.5
    # the least that a shop sends
    workbench.take(workbench.click("ann", document.items[1].id))
    [reward] = sent(workbench)
    assert (reward.list_id, reward.policy) == (document.list_id, document.policy)
    assert (reward.item_id, reward.position, reward.delay) == (document.items[1].id, 1, 7.5)
    assert reward.seen == tuple(item.id for item in document.items[:2])
    assert heard(workbench) == [reward]


def test_a_reward_goes_to_the_partition_of_its_shopper_and_is_learned_at_once(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe", "sock")
    workbench.events.handle(workbench.message(workbench.click("ann", "sock"), partition=3, offset=41))
    [record] = workbench.outgoing.of(REWARDS)
    assert (record.partition, record.key) == (3, b"ann")
    [reward] = sent(workbench)
    assert (reward.source, reward.partition, reward.offset, reward.line) == (Source.CLICK, 3, 41, 0)
    assert heard(workbench) == [reward]
    assert workbench.models.reward_watermarks == {(Source.CLICK, 3): (41, 0)}
    assert workbench.count("rewards_folded_total") == 1


def test_the_brokers_time_counts_and_not_that_of_the_event(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe")
    workbench.clock.now += 60
    old = workbench.click("ann", "shoe", ts=int(workbench.clock.now * 1000) - 86_400_000)
    workbench.take(old)
    [reward] = sent(workbench)
    assert (reward.ts, reward.delay) == (workbench.clock.now, 60.0)


def test_every_event_that_shows_or_reacts_is_matched(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe", "sock", "hat")
    ts = int(workbench.clock.now * 1000)
    workbench.take(
        workbench.search("ann", "shoe", "shoe"),
        Impression(event_id="i", user_id="ann", ts=ts, list_id="l"),
        workbench.click("ann", "sock"),
        purchase(workbench, "sock", "scarf"),
        Feedback(event_id="f", user_id="ann", ts=ts, item_id="hat", kind=FeedbackKind.HIDE),
    )
    assert [(str(each.kind), each.item_id) for each in sent(workbench)] == [
        ("impression", ""),
        ("click", "sock"),
        ("purchase", "sock"),
        ("hide", "hat"),
    ]


def test_a_duplicate_is_no_reaction(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe")
    click = workbench.click("ann", "shoe")
    workbench.take(click)
    workbench.listed("ann", "shoe", list_id="l2")
    workbench.take(click)
    assert len(sent(workbench)) == 1
    assert workbench.count("unattributed_reactions_total", reason="repeated") == 0


def test_a_duplicate_that_is_read_again_is_no_reaction(workbench: Workbench) -> None:
    click = workbench.click("ann", "shoe")
    workbench.take(click)
    workbench.listed("ann", "shoe")
    duplicate = workbench.message(click)
    workbench.events.handle(duplicate)
    workbench.events.handle(duplicate)
    assert sent(workbench) == []


def test_an_event_that_kafka_has_no_reward_of_is_rewarded_again_the_same(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe", "sock")
    message = workbench.message(workbench.click("ann", "sock"))
    workbench.events.handle(message)
    # as after a crash: the lists are read back, the reward never arrived
    workbench.memory.forget("ann")
    workbench.listed("ann", "shoe", "sock")
    workbench.events.handle(message)
    first, again = sent(workbench)
    assert first == again
    assert heard(workbench) == [first]
    assert workbench.count("rewards_dropped_total") == 1


def test_an_event_that_kafka_has_the_reward_of_is_not_rewarded_again(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe", "sock", "hat")
    workbench.logged.rewarded[Source.PURCHASE, 0] = (0, 0)
    order = purchase(workbench, "shoe", "sock", "scarf")
    workbench.take(order)
    # its first line has its reward, its second has not
    assert [(each.item_id, each.line) for each in sent(workbench)] == [("sock", 1)]
    workbench.logged.rewarded[Source.CLICK, 0] = (5, 0)
    workbench.events.handle(workbench.message(workbench.click("ann", "hat"), offset=4))
    assert len(sent(workbench)) == 1


def test_what_is_read_again_is_not_counted_as_unattributed_again(workbench: Workbench) -> None:
    message = workbench.message(workbench.click("ann", "shoe"))
    workbench.events.handle(message)
    workbench.events.handle(message)
    assert workbench.count("unattributed_reactions_total", reason="no_list") == 1


def test_an_impression_of_something_else_is_no_unattributed_reaction(workbench: Workbench) -> None:
    ts = int(workbench.clock.now * 1000)
    workbench.take(Impression(event_id="i", user_id="ann", ts=ts, surface="mail", items=["shoe"]))
    assert workbench.count("unattributed_reactions_total", reason="no_list") == 0


async def test_an_erased_shopper_gets_no_reward(workbench: Workbench) -> None:
    workbench.take(workbench.click("ann", "shoe"), workbench.click("bob", "shoe"))
    async with workbench.flushing():
        await workbench.flusher.drained()
        workbench.take(workbench.erasure("ann"), workbench.click("ann", "shoe"))
    assert [each.kind for each in sent(workbench)] == [RewardKind.ERASURE]
    assert workbench.count("unattributed_reactions_total", reason="no_list") == 3


def test_an_erasure_follows_the_rewards_of_its_shopper(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe")
    workbench.events.handle(workbench.message(workbench.click("ann", "shoe"), partition=3))
    erasure = workbench.message(workbench.erasure("ann"), partition=3, offset=17)
    workbench.events.handle(erasure)
    click, told = sent(workbench)
    assert [(each.partition, each.key) for each in workbench.outgoing.of(REWARDS)] == [(3, b"ann")] * 2
    assert (told.source, told.partition, told.offset, told.line) == (Source.ERASURE, 3, 17, 0)
    assert (told.kind, told.user_id, told.list_id, told.policy) == (RewardKind.ERASURE, "ann", "", "")
    assert heard(workbench) == [click]
    listener = workbench.models.listener(Hearing)
    assert listener is not None
    # once for the interaction, once behind the rewards
    assert listener.forgot == ["ann", "ann"]
    assert workbench.count("rewards_total", kind="erasure", policy="") == 0


def test_an_erasure_that_kafka_has_among_the_rewards_is_not_sent_again(workbench: Workbench) -> None:
    workbench.logged.rewarded[Source.ERASURE, 0] = (4, 0)
    workbench.events.handle(workbench.message(workbench.erasure("ann"), offset=4))
    assert sent(workbench) == []
    workbench.events.handle(workbench.message(workbench.erasure("bob"), offset=5))
    assert [each.user_id for each in sent(workbench)] == ["bob"]


def test_a_reaction_to_a_list_that_redis_never_got_is_nobodys(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe")
    workbench.memory.withdraw("ann", workbench.memory.of("ann")[0])
    workbench.take(workbench.click("ann", "shoe"))
    assert sent(workbench) == []


def test_the_metrics_tell_rewards_by_kind_and_policy(workbench: Workbench) -> None:
    workbench.listed("ann", "shoe", "sock", "hat", policy="thompson")
    workbench.clock.now += 3.0
    ts = int(workbench.clock.now * 1000)
    workbench.take(
        workbench.click("ann", "sock"),
        workbench.click("ann", "sock"),
        workbench.click("ann", "scarf"),
        purchase(workbench, "sock"),
        Feedback(event_id="f", user_id="ann", ts=ts, item_id="hat", kind=FeedbackKind.DISLIKE),
    )
    count = workbench.count
    kinds = ("click", "purchase", "dislike", "cart")
    assert [count("rewards_total", kind=kind, policy="thompson") for kind in kinds] == [1, 1, 1, 0]
    assert count("reward_value_total", policy="thompson", sign="gain") == 11.0
    assert count("reward_value_total", policy="thompson", sign="loss") == 2.0
    assert count("reward_revenue_total", policy="thompson") == 40.0
    assert count("reward_delay_seconds_sum", kind="click") == 3.0
    assert count("policy_lists_seen_total", policy="thompson") == 1
    assert count("policy_items_seen_total", policy="thompson") == 3
    reasons = ("repeated", "not_on_list", "too_late")
    assert [count("unattributed_reactions_total", reason=reason) for reason in reasons] == [1, 1, 0]


@pytest.fixture
def by_price(tmp_path: Path) -> Workbench:
    """Where a purchase is worth its price, and forty of the usual price have been seen."""
    made = Workbench(tmp_path, reward_price_exponent=1.0, reward_price_unit=20.0)
    made.models.listeners.append(Hearing())
    for n in range(40):
        made.take(ordered(made, f"usual {n}", OrderLine(item_id="mug", price=20.0)))
    return made


def ordered(bench: Workbench, event_id: str, *lines: OrderLine) -> Purchase:
    ts = int(bench.clock.now * 1000)
    return Purchase(event_id=event_id, user_id="ann", ts=ts, order_id=event_id, items=list(lines))


@pytest.mark.parametrize(
    ("line", "value", "revenue"),
    [
        (OrderLine(item_id="sock", price=60.0), 30.0, 60.0),
        (OrderLine(item_id="sock", price=1e9), 10.0, 0.0),
        (OrderLine(item_id="sock", price=20.0, quantity=1e7), 10.0, 0.0),
    ],
    ids=["dear", "price_mistyped", "quantity_mistyped"],
)
def test_an_order_line_that_cannot_be_what_it_says_is_worth_what_one_of_unknown_price_is(
    line: OrderLine, value: float, revenue: float, by_price: Workbench
) -> None:
    by_price.listed("ann", "shoe", "sock")
    by_price.take(ordered(by_price, "p", OrderLine(item_id="shoe", price=40.0), line))
    beside, reward = sent(by_price)
    assert (beside.value, beside.revenue) == (20.0, 40.0)
    assert (reward.item_id, reward.value, reward.revenue) == ("sock", value, revenue)
    # every worker learns what is written, and none judges anew
    assert heard(by_price) == [beside, reward]


def test_one_mistyped_price_does_not_drown_what_was_learned(tmp_path: Path) -> None:
    """Of two items only the second is bought; once, with the first, somebody typed too many zeros."""
    rows = np.eye(2, dtype=np.float32)
    rows = np.pad(rows, ((0, 0), (0, len(FEATURES) - 2)))
    bench = Workbench(tmp_path, reward_price_exponent=1.0, reward_price_unit=20.0)
    live = LivePolicies(bench.models, Shares({"thompson": 1.0}), settings={"thompson": {"exploration": 0.05}})
    bench.models.listeners.append(live)
    for n in range(200):
        bench.clock.now += 3600.0
        bench.listed("ann", "shoe", "sock", list_id=f"l{n}", features=pack_rows(rows, STAMP))
        bought = OrderLine(item_id="sock", price=20.0)
        if n == 150:
            bought = OrderLine(item_id="shoe", price=1e9)
        bench.take(ordered(bench, f"p{n}", bought))
    orders = [live.policies["thompson"].decide(rows, 2, seed).order.tolist() for seed in range(50)]
    assert orders.count([1, 0]) == 50


def test_a_reward_that_a_policy_cannot_take_stops_nothing(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object, reward: Reward) -> None:
        raise ValueError(reward.item_id)

    monkeypatch.setattr(Hearing, "hear_reward", fail)
    workbench.listed("ann", "shoe")
    workbench.take(workbench.click("ann", "shoe"))
    assert len(sent(workbench)) == 1
    assert workbench.count("rewards_dropped_total") == 1


def test_behind_a_backlog_the_click_on_the_list_that_was_read_finds_it(workbench: Workbench) -> None:
    began = workbench.clock.now
    lists = [f"l{number}" for number in range(25)]
    # the worker is a minute behind: it makes list after list, and what was done with the first is still to come
    for number, list_id in enumerate(lists):
        workbench.clock.now = began + 60.0 + number
        workbench.listed("ann", "shoe", "sock", list_id=list_id)
        click = workbench.click("ann", f"elsewhere {number}")
        assert workbench.events.handle(workbench.message(click, timestamp=began + number)) is None
    for number, list_id in enumerate(lists):
        click = workbench.click("ann", "sock", list_id=list_id)
        assert workbench.events.handle(workbench.message(click, timestamp=began + 61.0 + number)) is None
    assert [reward.list_id for reward in heard(workbench)] == lists
    # having caught up, it remembers few that nobody reacted to
    for number in range(25):
        workbench.clock.now = began + 200.0 + 60.0 * number
        workbench.listed("bob", "shoe", list_id=f"later {number}")
        workbench.take(workbench.click("bob", f"elsewhere {number}"))
    # these, and the one that was up when the newest event was sent
    assert len(workbench.memory.of("bob")) == workbench.settings.remembered_lists_per_user + 1
