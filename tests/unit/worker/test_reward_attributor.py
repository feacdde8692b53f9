"""Rewards of reactions to published lists, from the event to the record, the models and the metrics."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
import pytest

from stream_app.experiment.assignment import Assignment
from stream_app.experiment.feature_rows import pack_rows
from stream_app.experiment.live_policies import LivePolicies
from stream_app.experiment.policy_features import FEATURES, FEATURES_VERSION
from stream_app.models.base import Items
from topics.catalog import REWARDS
from topics.events import Feedback, FeedbackKind, Impression, OrderLine, Purchase
from topics.records import Interaction, Reward, RewardKind, Source

if TYPE_CHECKING:
    from tests.support.in_memory_worker import InMemoryWorker
else:
    from tests.support.in_memory_worker import InMemoryWorker


class RecordingLearner:
    """A learner that records rewards and erasures."""

    name: ClassVar[str] = "recording"

    def __init__(self) -> None:
        self.rewards: list[Reward] = []
        self.forgotten_users: list[str] = []

    def on_interaction(self, interaction: Interaction) -> None:
        """Ignore interactions."""

    def on_reward(self, reward: Reward) -> None:
        self.rewards.append(reward)

    def forget_user(self, user: str) -> None:
        self.forgotten_users.append(user)

    def forget_items(self, items: Items) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None: ...

    def memory(self) -> int:
        return 0


@pytest.fixture
def worker(tmp_path: Path) -> InMemoryWorker:
    made = InMemoryWorker(tmp_path)
    made.models.learners.append(RecordingLearner())
    return made


def learned_rewards(worker: InMemoryWorker) -> list[Reward]:
    learner = worker.models.learner(RecordingLearner)
    assert learner is not None
    return learner.rewards


def sent(worker: InMemoryWorker) -> list[Reward]:
    values = [record.value for record in worker.producer.of(REWARDS)]
    return [msgspec.msgpack.decode(value, type=Reward) for value in values if value is not None]


def purchase(worker: InMemoryWorker, *items: str, **fields: Any) -> Purchase:
    lines = [OrderLine(item_id=item, price=20.0, quantity=2) for item in items]
    ts = int(worker.clock.now * 1000)
    return Purchase(event_id=f"p{'-'.join(items)}", user_id="ann", ts=ts, order_id="o", items=lines, **fields)


async def test_a_click_on_the_published_list_is_rewarded(worker: InMemoryWorker) -> None:
    for item in ("shoe", "sock", "hat"):
        worker.accept(worker.click("bob", item), worker.click("ann", item))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    document = worker.published("recs:user:{ann}")
    assert document is not None
    worker.clock.now += 7.5
    # The minimum that a shop sends: no list id.
    worker.accept(worker.click("ann", document.items[1].id))
    [reward] = sent(worker)
    assert (reward.list_id, reward.policy) == (document.list_id, document.policy)
    assert (reward.item_id, reward.position, reward.delay) == (document.items[1].id, 1, 7.5)
    assert reward.seen == tuple(item.id for item in document.items[:2])
    assert learned_rewards(worker) == [reward]


def test_a_reward_is_sent_to_the_users_partition_and_learned_immediately(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe", "sock")
    worker.events.handle(worker.message(worker.click("ann", "sock"), partition=3, offset=41))
    [record] = worker.producer.of(REWARDS)
    assert (record.partition, record.key) == (3, b"ann\xff0.3.41.0")
    [reward] = sent(worker)
    assert (reward.source, reward.partition, reward.offset, reward.line) == (Source.CLICK, 3, 41, 0)
    assert learned_rewards(worker) == [reward]
    assert worker.models.reward_watermarks == {(Source.CLICK, 3): (41, 0)}
    assert worker.count("rewards_folded_total") == 1


def test_delay_is_measured_by_broker_time_not_event_time(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe")
    worker.clock.now += 60
    old = worker.click("ann", "shoe", ts=int(worker.clock.now * 1000) - 86_400_000)
    worker.accept(old)
    [reward] = sent(worker)
    assert (reward.ts, reward.delay) == (worker.clock.now, 60.0)


def test_every_impression_and_reaction_is_attributed(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe", "sock", "hat")
    ts = int(worker.clock.now * 1000)
    worker.accept(
        worker.search("ann", "shoe", "shoe"),
        Impression(event_id="i", user_id="ann", ts=ts, list_id="l"),
        worker.click("ann", "sock"),
        purchase(worker, "sock", "scarf"),
        Feedback(event_id="f", user_id="ann", ts=ts, item_id="hat", kind=FeedbackKind.HIDE),
    )
    assert [(str(each.kind), each.item_id) for each in sent(worker)] == [
        ("impression", ""),
        ("click", "sock"),
        ("purchase", "sock"),
        ("hide", "hat"),
    ]


def test_a_duplicate_is_no_reaction(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe")
    click = worker.click("ann", "shoe")
    worker.accept(click)
    worker.add_published_list("ann", "shoe", list_id="l2")
    worker.accept(click)
    assert len(sent(worker)) == 1
    assert worker.count("unattributed_reactions_total", reason="repeated") == 0


def test_a_duplicate_that_is_read_again_is_no_reaction(worker: InMemoryWorker) -> None:
    click = worker.click("ann", "shoe")
    worker.accept(click)
    worker.add_published_list("ann", "shoe")
    duplicate = worker.message(click)
    worker.events.handle(duplicate)
    worker.events.handle(duplicate)
    assert sent(worker) == []


def test_an_event_without_a_logged_reward_is_rewarded_identically_on_replay(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe", "sock")
    message = worker.message(worker.click("ann", "sock"))
    worker.events.handle(message)
    # As after a crash: the lists are restored, the reward is missing.
    worker.list_store.forget("ann")
    worker.add_published_list("ann", "shoe", "sock")
    worker.events.handle(message)
    first, again = sent(worker)
    assert first == again
    assert learned_rewards(worker) == [first]
    assert worker.count("rewards_dropped_total") == 1


def test_an_event_with_a_logged_reward_is_not_rewarded_again(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe", "sock", "hat")
    worker.log_progress.last_rewarded[Source.PURCHASE, 0] = (0, 0)
    order = purchase(worker, "shoe", "sock", "scarf")
    worker.accept(order)
    # The first line has its reward, the second does not.
    assert [(each.item_id, each.line) for each in sent(worker)] == [("sock", 1)]
    worker.log_progress.last_rewarded[Source.CLICK, 0] = (5, 0)
    worker.events.handle(worker.message(worker.click("ann", "hat"), offset=4))
    assert len(sent(worker)) == 1


def test_a_replayed_event_is_not_counted_as_unattributed_again(worker: InMemoryWorker) -> None:
    message = worker.message(worker.click("ann", "shoe"))
    worker.events.handle(message)
    worker.events.handle(message)
    assert worker.count("unattributed_reactions_total", reason="no_list") == 1


def test_an_impression_of_an_unknown_list_is_not_counted_as_unattributed(worker: InMemoryWorker) -> None:
    ts = int(worker.clock.now * 1000)
    worker.accept(Impression(event_id="i", user_id="ann", ts=ts, surface="mail", items=["shoe"]))
    assert worker.count("unattributed_reactions_total", reason="no_list") == 0


async def test_events_of_an_erased_user_are_not_rewarded(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"), worker.click("bob", "shoe"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.erasure("ann"), worker.click("ann", "shoe"))
    assert [each.kind for each in sent(worker)] == [RewardKind.ERASURE]
    assert worker.count("unattributed_reactions_total", reason="no_list") == 3


def test_an_erasure_is_logged_after_the_users_rewards(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe")
    worker.events.handle(worker.message(worker.click("ann", "shoe"), partition=3))
    erasure = worker.message(worker.erasure("ann"), partition=3, offset=17)
    worker.events.handle(erasure)
    click, erasure_reward = sent(worker)
    keys = [(each.partition, each.key) for each in worker.producer.of(REWARDS)]
    assert keys == [(3, b"ann\xff0.3.0.0"), (3, b"ann\xff5.3.17.0")]
    assert (erasure_reward.source, erasure_reward.partition, erasure_reward.offset, erasure_reward.line) == (
        Source.ERASURE,
        3,
        17,
        0,
    )
    assert (erasure_reward.kind, erasure_reward.user_id, erasure_reward.list_id, erasure_reward.policy) == (
        RewardKind.ERASURE,
        "ann",
        "",
        "",
    )
    assert learned_rewards(worker) == [click]
    learner = worker.models.learner(RecordingLearner)
    assert learner is not None
    # Once for the interaction, once after the rewards.
    assert learner.forgotten_users == ["ann", "ann"]
    assert worker.count("rewards_total", kind="erasure", policy="") == 0


def test_an_erasure_already_logged_is_not_sent_again(worker: InMemoryWorker) -> None:
    worker.log_progress.last_rewarded[Source.ERASURE, 0] = (4, 0)
    worker.events.handle(worker.message(worker.erasure("ann"), offset=4))
    assert sent(worker) == []
    worker.events.handle(worker.message(worker.erasure("bob"), offset=5))
    assert [each.user_id for each in sent(worker)] == ["bob"]


def test_a_reaction_to_an_unpublished_list_is_unattributed(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe")
    worker.list_store.discard("ann", worker.list_store.lists_of("ann")[0])
    worker.accept(worker.click("ann", "shoe"))
    assert sent(worker) == []


def test_metrics_count_rewards_by_kind_and_policy(worker: InMemoryWorker) -> None:
    worker.add_published_list("ann", "shoe", "sock", "hat", policy="thompson")
    worker.clock.now += 3.0
    ts = int(worker.clock.now * 1000)
    worker.accept(
        worker.click("ann", "sock"),
        worker.click("ann", "sock"),
        worker.click("ann", "scarf"),
        purchase(worker, "sock"),
        Feedback(event_id="f", user_id="ann", ts=ts, item_id="hat", kind=FeedbackKind.DISLIKE),
    )
    count = worker.count
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
def price_weighted(tmp_path: Path) -> InMemoryWorker:
    """A worker whose purchase value is the price, after forty orders at the usual price."""
    made = InMemoryWorker(tmp_path, reward_price_exponent=1.0, reward_price_unit=20.0)
    made.models.learners.append(RecordingLearner())
    for n in range(40):
        made.accept(make_order(made, f"usual {n}", OrderLine(item_id="mug", price=20.0), user=f"user {n}"))
    return made


def make_order(worker: InMemoryWorker, event_id: str, *lines: OrderLine, user: str = "ann") -> Purchase:
    ts = int(worker.clock.now * 1000)
    return Purchase(event_id=event_id, user_id=user, ts=ts, order_id=event_id, items=list(lines))


@pytest.mark.parametrize(
    ("line", "value", "revenue"),
    [
        (OrderLine(item_id="sock", price=60.0), 30.0, 60.0),
        (OrderLine(item_id="sock", price=1e9), 10.0, 0.0),
        (OrderLine(item_id="sock", price=20.0, quantity=1e7), 10.0, 0.0),
    ],
    ids=["expensive", "price_mistyped", "quantity_mistyped"],
)
def test_an_outlier_order_line_counts_as_one_of_unknown_price(
    line: OrderLine, value: float, revenue: float, price_weighted: InMemoryWorker
) -> None:
    price_weighted.add_published_list("ann", "shoe", "sock")
    price_weighted.accept(make_order(price_weighted, "p", OrderLine(item_id="shoe", price=40.0), line))
    other_line, reward = sent(price_weighted)
    assert (other_line.value, other_line.revenue) == (20.0, 40.0)
    assert (reward.item_id, reward.value, reward.revenue) == ("sock", value, revenue)
    # All workers learn the logged values.
    assert learned_rewards(price_weighted) == [other_line, reward]


def test_one_mistyped_price_does_not_dominate_the_policy(tmp_path: Path) -> None:
    """Of two items only the second is bought; the first is bought once, at a mistyped price."""
    rows = np.eye(2, dtype=np.float32)
    rows = np.pad(rows, ((0, 0), (0, len(FEATURES) - 2)))
    worker = InMemoryWorker(tmp_path, reward_price_exponent=1.0, reward_price_unit=20.0)
    live = LivePolicies(
        worker.models, Assignment({"thompson": 1.0}), settings={"thompson": {"exploration": 0.05}}
    )
    worker.models.learners.append(live)
    for n in range(200):
        worker.clock.now += 3600.0
        worker.add_published_list(
            "ann", "shoe", "sock", list_id=f"l{n}", features=pack_rows(rows, FEATURES_VERSION)
        )
        bought = OrderLine(item_id="sock", price=20.0)
        if n == 150:
            bought = OrderLine(item_id="shoe", price=1e9)
        worker.accept(make_order(worker, f"p{n}", bought))
    orders = [live.policies["thompson"].decide(rows, 2, seed).order.tolist() for seed in range(50)]
    assert orders.count([1, 0]) == 50


def test_a_reward_that_a_policy_rejects_does_not_stop_processing(
    worker: InMemoryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object, reward: Reward) -> None:
        raise ValueError(reward.item_id)

    monkeypatch.setattr(RecordingLearner, "on_reward", fail)
    worker.add_published_list("ann", "shoe")
    worker.accept(worker.click("ann", "shoe"))
    assert len(sent(worker)) == 1
    assert worker.count("rewards_dropped_total") == 1


def test_a_click_is_attributed_to_its_list_despite_a_backlog(worker: InMemoryWorker) -> None:
    start = worker.clock.now
    lists = [f"l{number}" for number in range(25)]
    # The worker is a minute behind: it publishes many lists before it reads the reactions to the first.
    for number, list_id in enumerate(lists):
        worker.clock.now = start + 60.0 + number
        worker.add_published_list("ann", "shoe", "sock", list_id=list_id)
        click = worker.click("ann", f"elsewhere {number}")
        assert worker.events.handle(worker.message(click, timestamp=start + number)) is None
    for number, list_id in enumerate(lists):
        click = worker.click("ann", "sock", list_id=list_id)
        assert worker.events.handle(worker.message(click, timestamp=start + 61.0 + number)) is None
    assert [reward.list_id for reward in learned_rewards(worker)] == lists
    # After it has caught up, it retains few lists without a reaction.
    for number in range(25):
        worker.clock.now = start + 200.0 + 60.0 * number
        worker.add_published_list("bob", "shoe", list_id=f"later {number}")
        worker.accept(worker.click("bob", f"elsewhere {number}"))
    # These, and the list that was displayed at the newest event.
    assert len(worker.list_store.lists_of("bob")) == worker.settings.retained_lists_per_user + 1
