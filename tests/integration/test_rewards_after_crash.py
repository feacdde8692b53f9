"""Rewards are counted exactly once, even if a worker is killed while it attributes them."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pytest

from state.list_store import MAX_BACKLOG_FACTOR
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import RATE, SETTINGS, kill_mid_run
from tests.support.generated_log import generate_log
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord, sent, to_record
from tests.support.log_feeder import LogFeeder
from tests.support.reward_log import rewards_on_log
from tests.support.run_outcome import wait_until_settled
from tests.support.worker_handle import WorkerHandle
from topics.catalog import LISTS
from topics.events import Action, Click, Event, Feedback, FeedbackKind, Impression, OrderLine, Purchase
from topics.records import RecommendationList, RewardKind

EVENTS: Final = 6_000
"""Number of events before the reactions."""


class Reactions(NamedTuple):
    """Reactions of users to their lists, some without a `list_id`.

    Users without a `list_id` react to an item that they had not clicked: an earlier click may have been a reward of
    an earlier list, depending on milliseconds, and each item has one click reward unless the event names the list.
    They react once: a list published after a reaction would be the current list for a second one.
    """

    before_crash: list[KafkaRecord]
    """Reactions without `list_id`, sent before the first kill: attributed to the current list."""
    during_crash: list[KafkaRecord]
    """Reactions with `list_id`, and some without, sent while the worker is killed and restarted."""
    without_list_id_reactions: set[tuple[str, str]]
    """User and item of the reactions without `list_id` during the crash. A worker publishes new lists when it starts,
    so each is attributed either to that list or to the one before."""


def reactions(lists: dict[str, RecommendationList], clicked: set[tuple[str, str]]) -> Reactions:
    numbers = count()
    before_crash: list[Event] = []
    without_list_id_reactions: set[tuple[str, str]] = set()
    events: list[Event] = []
    now = int(time.time() * 1000)

    def common(user: str) -> dict[str, Any]:
        return {"event_id": f"r{next(numbers)}", "user_id": user, "ts": now}

    for user, listed in sorted(lists.items()):
        user_number = int(user.removeprefix("user-"))
        items = [item.id for item in listed.items]
        lower_item = items[3 + user_number % 7]
        # Impressions without items: the minimum that a shop sends.
        without_list_id, without_list = user_number % 3 == 0, user_number % 6 == 0
        if user_number % 5 == 0 and not without_list:
            events.append(Impression(list_id=listed.list_id, **common(user)))
        if without_list_id:
            fresh = [item for item in items[3:] if (user, item) not in clicked]
            for item in fresh[:1]:
                click = Click(item_id=item, **common(user))
                if without_list:
                    without_list_id_reactions.add((user, item))
                    # Sent twice, possibly once before and once after the kill.
                    events += [click, click]
                else:
                    before_crash.append(click)
            continue
        list_reference: dict[str, Any] = {"list_id": listed.list_id}
        events += [
            Click(item_id=lower_item, **common(user), **list_reference),
            Click(item_id=lower_item, action=Action.DETAIL, **common(user), **list_reference),
            Click(item_id=items[0], action=Action.CART, **common(user), **list_reference),
            Click(item_id="on no list", **common(user), **list_reference),
        ]
        if user_number % 2:
            lines = [
                OrderLine(item_id=item, price=10.0, quantity=2)
                for item in (items[0], "on no list", lower_item)
            ]
            events.append(Purchase(order_id=f"o{user_number}", items=lines, **common(user), **list_reference))
        if user_number % 4 == 1:
            events.append(
                Feedback(item_id=items[1], kind=FeedbackKind.HIDE, **common(user), **list_reference)
            )
        # A duplicate.
        events.append(events[-1])
    np.random.default_rng(3).shuffle(events)
    return Reactions(
        [to_record(event) for event in before_crash],
        [to_record(event) for event in events],
        without_list_id_reactions,
    )


def clicked_in(records: Sequence[KafkaRecord]) -> set[tuple[str, str]]:
    """(User, clicked item) of the records."""
    observed = [msgspec.json.decode(each.value) for each in records if each.value is not None]
    return {
        (each["user_id"], each["item_id"]) for each in observed if "item_id" in each and "user_id" in each
    }


class ObservedRewards(NamedTuple):
    """The rewards as read by a consumer that drops duplicates by watermark."""

    lists: dict[str, tuple[str, ...]]
    """The users' lists before the reactions: list id, then items."""
    rewards: dict[tuple[str, str, str, int], tuple[float, float, int]]
    """(Value, revenue, position) by user, list, kind and item, and line; -1 is the position of an impression."""
    positions_seen: dict[tuple[str, str], list[int]]
    """Positions of displayed items, by user and list."""
    records: int
    """Number of records, duplicates included."""
    without_list_id_reactions: dict[tuple[str, str], int]
    """Number of rewards of each reaction without `list_id` during the crash, for any list."""


def read_rewards(
    environment: IntegrationEnvironment,
    lists: dict[str, RecommendationList],
    without_list_id_reactions: set[tuple[str, str]],
) -> ObservedRewards:
    displayed_lists = {
        user: (each.list_id, *(item.id for item in each.items)) for user, each in lists.items()
    }
    rewards: dict[tuple[str, str, str, int], tuple[float, float, int]] = {}
    positions_seen: dict[tuple[str, str], list[int]] = {}
    records = 0
    rewarded = dict.fromkeys(sorted(without_list_id_reactions), 0)
    for reward, is_new in rewards_on_log(environment):
        without_list = (reward.user_id, reward.item_id) in without_list_id_reactions
        # Rewards of the first events: their list depends on milliseconds.
        of_previous_list = (
            not without_list and reward.list_id != displayed_lists.get(reward.user_id, ("",))[0]
        )
        records += not of_previous_list
        if not is_new:
            continue
        if without_list:
            assert (reward.kind, reward.value) == (RewardKind.CLICK, 1.0)
            rewarded[reward.user_id, reward.item_id] += 1
            continue
        if of_previous_list:
            continue
        name = (reward.user_id, reward.list_id, f"{reward.kind} {reward.item_id}", reward.line)
        assert name not in rewards, f"{name} was rewarded twice"
        rewards[name] = (reward.value, reward.revenue, reward.position)
        positions_seen.setdefault((reward.user_id, reward.list_id), []).extend(reward.seen_positions)
    return ObservedRewards(displayed_lists, rewards, positions_seen, records, rewarded)


def run(
    environment: IntegrationEnvironment,
    *,
    kills: int = 0,
    folder_survives: bool = True,
    moments: Sequence[str] = (),
    disturb: Callable[[WorkerHandle, LogFeeder], WorkerHandle] | None = None,
) -> ObservedRewards:
    """Publish lists for all users, then send their reactions while the worker is killed.

    Parameters
    ----------
    kills
        How often it is killed at any moment.
    folder_survives
        Whether the worker that follows has the folder of the killed one.
    moments
        Further kills, at moments of `tests.support.faulty_worker`.
    disturb
        What else happens while the reactions are sent; it is given the worker and returns the last one.
    """
    log = generate_log(EVENTS)
    worker = environment.start_worker().wait_until_ready()
    with LogFeeder(environment, log.records, rate=2 * RATE):
        pass
    worker = wait_until_settled(environment, worker, log)
    lists = {user: each for user, each in environment.user_lists(log.users).items() if len(each.items) >= 10}
    assert len(lists) > 200
    user_reactions = reactions(lists, clicked_in(log.records))
    environment.send(user_reactions.before_crash)
    worker.wait_until(lambda: environment.uncommitted() == 0, "the first reactions to be committed")
    with LogFeeder(
        environment, user_reactions.during_crash, rate=RATE / 2, until_fraction=0.1 if moments else 0.4
    ) as feed:
        if moments:
            worker.kill()
        for number, moment in enumerate(moments, start=1):
            worker = environment.start_worker(1, f"kill={moment}")
            feed.advance_to(number / (len(moments) + 1))
            worker.wait_until_killed(f"death {moment}")
        if moments:
            worker = environment.start_worker().wait_until_ready()
        if disturb is not None:
            worker = disturb(worker, feed)
        for kill in range(kills):
            worker.wait_until(
                partial(has_rewarded, worker, 100), "the worker to attribute rewards", seconds=240
            )
            until_fraction = 0.8 if kill < kills - 1 else 1.0
            worker = kill_mid_run(environment, worker, feed, until_fraction, folder_survives=folder_survives)
    worker.wait_until(lambda: environment.uncommitted() == 0, "all reactions to be committed", seconds=240)
    assert worker.terminate() == 0, worker.log
    return read_rewards(environment, lists, user_reactions.without_list_id_reactions)


def has_rewarded(worker: WorkerHandle, expected: float) -> bool:
    return worker.metric("headrace_rewards_total") > expected


@pytest.fixture(scope="module")
def reference_rewards(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> ObservedRewards:
    """Rewards of a run without a crash."""
    with clean_environment(servers, tmp_path_factory.mktemp("reference"), **SETTINGS) as environment:
        return run(environment, kills=0, folder_survives=True)


@pytest.mark.parametrize(
    ("kills", "folder_survives"), [(2, True), (1, False)], ids=["twice_same_folder", "once_empty_folder"]
)
def test_a_killed_worker_produces_the_same_rewards_as_the_reference_run(
    servers: EmbeddedServers,
    tmp_path: Path,
    reference_rewards: ObservedRewards,
    *,
    kills: int,
    folder_survives: bool,
) -> None:
    expected = reference_rewards
    check_reference(expected)
    with clean_environment(servers, tmp_path / "killed", **SETTINGS, snapshot_interval=1.0) as environment:
        actual = run(environment, kills=kills, folder_survives=folder_survives)
    assert_same_rewards(actual, expected)


def check_reference(expected: ObservedRewards) -> None:
    """Check that a reference run has rewards of all kinds, each once."""
    assert expected.records - len(expected.without_list_id_reactions) == len(expected.rewards) > 300
    assert len(expected.without_list_id_reactions) > 50
    assert all(len(positions) == len(set(positions)) for positions in expected.positions_seen.values())


def assert_same_rewards(actual: ObservedRewards, expected: ObservedRewards) -> None:
    """Compare the rewards of a run with those of the reference run."""
    assert actual.lists == expected.lists
    for observed in (expected, actual):
        not_rewarded_once = {
            user_id: times for user_id, times in observed.without_list_id_reactions.items() if times != 1
        }
        assert not not_rewarded_once, (
            f"of {len(observed.without_list_id_reactions)} reactions without list_id, these were not rewarded once: "
            f"{not_rewarded_once}"
        )
    assert actual.without_list_id_reactions.keys() == expected.without_list_id_reactions.keys()
    missing, extra = (
        expected.rewards.keys() - actual.rewards.keys(),
        actual.rewards.keys() - expected.rewards.keys(),
    )
    assert not missing, (
        f"{len(missing)} of {len(expected.rewards)} are missing, {sorted(missing)[:3]} among them"
    )
    assert not extra, f"{len(extra)} are extra to {len(expected.rewards)}, {sorted(extra)[:3]} among them"
    assert actual.rewards == expected.rewards
    assert {name: sorted(positions) for name, positions in actual.positions_seen.items()} == {
        name: sorted(positions) for name, positions in expected.positions_seen.items()
    }


def test_a_purchase_is_attributed_to_its_click_after_list_eviction_and_a_crash(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    # Less than the lists of the buyers, which stay until their clicks are processed, in whichever order the
    # partitions are read. The others' lists, more than are retained in any case, then evict them.
    max_retained_lists = 100
    buyers, others = (
        [f"{user_id}-{n}" for n in range(many)]
        for user_id, many in (("buyer", 40), ("other", (MAX_BACKLOG_FACTOR + 1) * max_retained_lists))
    )
    with clean_environment(
        servers, tmp_path, **SETTINGS, retained_lists=max_retained_lists, reward_require_list_id=True
    ) as environment:
        worker = environment.start_worker().wait_until_ready()

        def send_and_wait(*records: KafkaRecord) -> None:
            environment.send(records)
            worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed")

        for step in range(2):
            send_and_wait(
                *(sent(Click, user_id, item_id=f"item {(n + step) % 30}") for n, user_id in enumerate(buyers))
            )
        worker.wait_until(
            lambda: len(environment.user_lists(buyers)) == len(buyers), "all users to have a list"
        )
        lists = environment.user_lists(buyers)
        send_and_wait(
            *(
                sent(Click, user_id, item_id=each.items[1].id, list_id=each.list_id)
                for user_id, each in lists.items()
            )
        )
        send_and_wait(*(sent(Click, user_id, item_id=f"item {n % 30}") for n, user_id in enumerate(others)))
        worker.wait_until(
            lambda: len(environment.user_lists(others)) == len(others), "all users to have a list"
        )
        worker.kill()
        worker = environment.start_worker().wait_until_ready()
        for n, (user_id, each) in enumerate(lists.items()):
            line = OrderLine(item_id=each.items[1].id, price=10.0, quantity=1)
            list_reference: dict[str, Any] = {"list_id": each.list_id} if n % 2 else {}
            environment.send(
                [sent(Purchase, user_id, order_id=f"o{user_id}", items=[line], **list_reference)]
            )
        worker.wait_until(lambda: environment.uncommitted() == 0, "all orders to be committed")
        assert worker.terminate() == 0, worker.log
        rewards = [each for each, _ in rewards_on_log(environment)]
    purchase_rewards = {
        each.user_id: (each.list_id, each.position) for each in rewards if each.kind is RewardKind.PURCHASE
    }
    assert purchase_rewards == {user_id: (each.list_id, 1) for user_id, each in lists.items()}


def test_clicks_of_a_backlog_find_lists_beyond_the_limit_after_a_crash(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    users = [f"user-{n}" for n in range(60)]
    # Less than the users have lists. Each has two (one after its view, and one at the start; none is ranked again),
    # which is less than a backlog may have.
    max_retained_lists = 50
    with clean_environment(
        servers,
        tmp_path,
        **SETTINGS,
        retained_lists=max_retained_lists,
        reward_require_list_id=True,
        degraded_ranking=False,
    ) as environment:
        worker = environment.start_worker().wait_until_ready()
        now = int(time.time() * 1000)

        def clicks(name: str, **fields: Any) -> list[KafkaRecord]:
            return [
                to_record(
                    Click(
                        event_id=f"{name}-{user_id}",
                        user_id=user_id,
                        ts=now,
                        **{key: value(n, user_id) for key, value in fields.items()},
                    )
                )
                for n, user_id in enumerate(users)
            ]

        environment.send(clicks("view", item_id=lambda n, _: f"item {n % 10}"))
        worker.wait_until(
            lambda: environment.uncommitted() == 0 and len(environment.user_lists(users)) == len(users),
            "all users to have a list",
        )
        worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no pending user")
        lists = environment.user_lists(users)

        def are_logged() -> bool:
            logged = b"".join(each.value or b"" for each in environment.read(LISTS.name))
            return all(each.list_id.encode() in logged for each in lists.values())

        worker.wait_until(are_logged, "all lists to be on their log")
        worker.kill()
        environment.send(
            clicks(
                "reaction",
                item_id=lambda _, user_id: lists[user_id].items[0].id,
                list_id=lambda _, user_id: lists[user_id].list_id,
            )
        )
        worker = environment.start_worker().wait_until_ready()
        worker.wait_until(lambda: environment.uncommitted() == 0, "all clicks to be committed")
        rewards = [each for each, _ in rewards_on_log(environment)]
    assert {each.user_id: each.list_id for each in rewards} == {
        user_id: each.list_id for user_id, each in lists.items()
    }
