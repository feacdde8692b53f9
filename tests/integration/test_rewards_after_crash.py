"""Rewards are counted exactly once, though a worker dies by SIGKILL in the middle of them."""

import time
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pytest

from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import (
    ADDITIVE,
    RATE,
    Feed,
    Outgoing,
    Stage,
    Worker,
    clean_stage,
    kill_on_the_way,
    settle,
    shop_log,
)
from topics.catalog import REWARDS
from topics.events import Action, Click, Event, Feedback, FeedbackKind, Impression, OrderLine, Purchase
from topics.records import RecommendationList, Reward, RewardKind

EVENTS: Final = 6_000
"""Events that the lists come from."""

SETTINGS: Final = {"models": ADDITIVE, "fusion": "rrf"}
"""Lists are the same in each run."""

_decoder: Final = msgspec.msgpack.Decoder(Reward)


class Reactions(NamedTuple):
    """What shoppers do with the lists they have: some do not say which list, the others do.

    The first choose what they had not clicked: whether that was a reward, of a list of before, is a matter of
    milliseconds, and a click is one reward an item unless the list is named. Of them there is one reaction a
    shopper: a list made from a reaction is the last one for what comes after it.
    """

    before: list[Outgoing]
    """Without a list's name, and there before the worker first dies: so each is of the list they had."""
    all_along: list[Outgoing]
    """While the worker dies and starts again: those with a name, and some without."""
    unnamed: set[tuple[str, str]]
    """Shopper and item of these: a worker that starts makes lists anew, so each is of that list or of the one before,
    and of one alone."""


def reactions(lists: dict[str, RecommendationList], clicked: set[tuple[str, str]]) -> Reactions:
    numbers = count()
    before: list[Event] = []
    unnamed: set[tuple[str, str]] = set()
    events: list[Event] = []
    now = int(time.time() * 1000)

    def common(user: str) -> dict[str, Any]:
        return {"event_id": f"r{next(numbers)}", "user_id": user, "ts": now}

    for user, listed in sorted(lists.items()):
        at = int(user.removeprefix("user-"))
        items = [item.id for item in listed.items]
        deep = items[3 + at % 7]
        # the least a shop sends
        nameless, late = at % 3 == 0, at % 6 == 0
        if at % 5 == 0 and not late:
            events.append(Impression(list_id=listed.list_id, **common(user)))
        if nameless:
            fresh = [item for item in items[3:] if (user, item) not in clicked]
            for item in fresh[:1]:
                click = Click(item_id=item, **common(user))
                if late:
                    unnamed.add((user, item))
                    # a shop that sends twice, once before the worker dies and once after as may be
                    events += [click, click]
                else:
                    before.append(click)
            continue
        named: dict[str, Any] = {"list_id": listed.list_id}
        events += [
            Click(item_id=deep, **common(user), **named),
            Click(item_id=deep, action=Action.DETAIL, **common(user), **named),
            Click(item_id=items[0], action=Action.CART, **common(user), **named),
            Click(item_id="on no list", **common(user), **named),
        ]
        if at % 2:
            lines = [
                OrderLine(item_id=item, price=10.0, quantity=2) for item in (items[0], "on no list", deep)
            ]
            events.append(Purchase(order_id=f"o{at}", items=lines, **common(user), **named))
        if at % 4 == 1:
            events.append(Feedback(item_id=items[1], kind=FeedbackKind.HIDE, **common(user), **named))
        # a shop that sends twice
        events.append(events[-1])
    np.random.default_rng(3).shuffle(events)
    return Reactions(_records(before), _records(events), unnamed)


def clicked_in(records: Sequence[Outgoing]) -> set[tuple[str, str]]:
    """Shoppers and the items they clicked."""
    told = [msgspec.json.decode(each.value) for each in records if each.value is not None]
    return {(each["user_id"], each["item_id"]) for each in told if "item_id" in each and "user_id" in each}


def _records(events: list[Event]) -> list[Outgoing]:
    sent = [event_record(event) for event in events]
    return [Outgoing(each.topic, each.key, each.value) for each in sent]


class Told(NamedTuple):
    """What a consumer that drops by watermark makes of the rewards."""

    lists: dict[str, tuple[str, ...]]
    """What shoppers had before they reacted."""
    rewards: dict[tuple[str, str, str, int], tuple[float, float, int]]
    """Value, revenue and place, by shopper, list, kind and line; an impression's place is -1."""
    seen: dict[tuple[str, str], list[int]]
    """Places that were told to be seen, by shopper and list."""
    records: int
    """With those that were dropped."""
    unnamed: dict[tuple[str, str], int]
    """How often each of the late reactions that name no list was rewarded, of whichever list."""


def told_by(stage: Stage, lists: dict[str, RecommendationList], unnamed: set[tuple[str, str]]) -> Told:
    had = {user: (each.list_id, *(item.id for item in each.items)) for user, each in lists.items()}
    watermarks: dict[tuple[int, int], tuple[int, int]] = {}
    rewards: dict[tuple[str, str, str, int], tuple[float, float, int]] = {}
    seen: dict[tuple[str, str], list[int]] = {}
    records = 0
    rewarded = dict.fromkeys(sorted(unnamed), 0)
    for record in stage.read(REWARDS.name):
        assert record.value is not None
        reward = _decoder.decode(record.value)
        assert record.key == reward.user_id.encode()
        assert record.partition == reward.partition
        late = (reward.user_id, reward.item_id) in unnamed
        # Of the events that the lists come from: which list they met is a matter of milliseconds.
        of_before = not late and reward.list_id != had.get(reward.user_id, ("",))[0]
        records += not of_before
        source, line = (int(reward.source), reward.partition), (reward.offset, reward.line)
        if line <= watermarks.get(source, (-1, -1)):
            continue
        watermarks[source] = line
        if late:
            assert (reward.kind, reward.value) == (RewardKind.CLICK, 1.0)
            rewarded[reward.user_id, reward.item_id] += 1
            continue
        if of_before:
            continue
        name = (reward.user_id, reward.list_id, f"{reward.kind} {reward.item_id}", reward.line)
        assert name not in rewards, f"{name} was rewarded twice"
        rewards[name] = (reward.value, reward.revenue, reward.position)
        seen.setdefault((reward.user_id, reward.list_id), []).extend(reward.seen_positions)
    return Told(had, rewards, seen, records, rewarded)


def run(stage: Stage, *, kills: int, folder_survives: bool) -> Told:
    """Lists for everybody, then all their reactions at once; the worker dies on the way."""
    log = shop_log(EVENTS)
    worker = stage.start_worker().await_ready()
    with Feed(stage, log.records, rate=2 * RATE):
        pass
    worker = settle(stage, worker, log)
    lists = {user: each for user, each in stage.lists_of(log.users).items() if len(each.items) >= 10}
    assert len(lists) > 200
    done = reactions(lists, clicked_in(log.records))
    stage.send(done.before)
    with Feed(stage, done.all_along, rate=RATE / 2, upto=0.4) as feed:
        for kill in range(kills):
            worker.wait_until(partial(has_rewarded, worker, 100), "the worker to reward", seconds=90)
            upto = 0.8 if kill < kills - 1 else 1.0
            worker = kill_on_the_way(stage, worker, feed, upto, folder_survives=folder_survives)
    worker.wait_until(lambda: stage.uncommitted() == 0, "all reactions to be handled", seconds=90)
    assert worker.terminate() == 0, worker.log
    return told_by(stage, lists, done.unnamed)


def has_rewarded(worker: Worker, wanted: float) -> bool:
    return worker.metric("headrace_rewards_total") > wanted


@pytest.fixture(scope="module")
def undisturbed(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What a worker makes of the same that nothing happens to."""
    with clean_stage(servers, tmp_path_factory.mktemp("undisturbed"), **SETTINGS) as stage:
        return run(stage, kills=0, folder_survives=True)


@pytest.mark.parametrize(
    ("kills", "folder_survives"), [(2, True), (1, False)], ids=["twice_same_folder", "once_empty_folder"]
)
def test_a_killed_worker_rewards_what_an_undisturbed_one_does_once(
    servers: EmbeddedServers, tmp_path: Path, undisturbed: Told, *, kills: int, folder_survives: bool
) -> None:
    wanted = undisturbed
    assert wanted.records - len(wanted.unnamed) == len(wanted.rewards) > 300
    assert len(wanted.unnamed) > 50
    assert all(len(places) == len(set(places)) for places in wanted.seen.values())
    with clean_stage(servers, tmp_path / "killed", **SETTINGS, snapshot_interval=1.0) as stage:
        found = run(stage, kills=kills, folder_survives=folder_survives)
    assert found.lists == wanted.lists
    for told in (wanted, found):
        amiss = {who: times for who, times in told.unnamed.items() if times != 1}
        assert not amiss, f"of {len(told.unnamed)} that name no list these were not rewarded once: {amiss}"
    assert found.unnamed.keys() == wanted.unnamed.keys()
    missing, extra = (
        wanted.rewards.keys() - found.rewards.keys(),
        found.rewards.keys() - wanted.rewards.keys(),
    )
    assert not missing, (
        f"{len(missing)} of {len(wanted.rewards)} are missing, {sorted(missing)[:3]} among them"
    )
    assert not extra, (
        f"{len(extra)} besides {len(wanted.rewards)} are too many, {sorted(extra)[:3]} among them"
    )
    assert found.rewards == wanted.rewards
    assert {name: sorted(places) for name, places in found.seen.items()} == {
        name: sorted(places) for name, places in wanted.seen.items()
    }


def test_a_purchase_finds_its_click_though_others_had_more_lists_than_are_remembered_and_the_worker_died(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    numbers = count()

    def sent(event_type: type[Event], user: str, **fields: Any) -> Outgoing:
        event = event_type(event_id=f"p{next(numbers)}", user_id=user, ts=int(time.time() * 1000), **fields)  # type: ignore[call-arg]
        return _records([event])[0]

    bound = 100
    buyers, others = (
        [f"{who}-{n}" for n in range(many)] for who, many in (("buyer", 40), ("other", 2 * bound))
    )
    with clean_stage(servers, tmp_path, **SETTINGS, remembered_lists=bound, reward_named_only=True) as stage:
        worker = stage.start_worker().await_ready()

        def take(*records: Outgoing) -> None:
            stage.send(records)
            worker.wait_until(lambda: stage.uncommitted() == 0, "all to be taken")

        for step in range(2):
            take(*(sent(Click, who, item_id=f"item {(n + step) % 30}") for n, who in enumerate(buyers)))
        worker.wait_until(lambda: len(stage.lists_of(buyers)) == len(buyers), "everybody to have a list")
        lists = stage.lists_of(buyers)
        take(
            *(sent(Click, who, item_id=each.items[1].id, list_id=each.list_id) for who, each in lists.items())
        )
        take(*(sent(Click, who, item_id=f"item {n % 30}") for n, who in enumerate(others)))
        worker.wait_until(lambda: len(stage.lists_of(others)) == len(others), "everybody to have a list")
        worker.kill()
        worker = stage.start_worker().await_ready()
        for n, (who, each) in enumerate(lists.items()):
            line = OrderLine(item_id=each.items[1].id, price=10.0, quantity=1)
            named = {"list_id": each.list_id} if n % 2 else {}
            stage.send([sent(Purchase, who, order_id=f"o{who}", items=[line], **named)])
        worker.wait_until(lambda: stage.uncommitted() == 0, "all orders to be taken")
        assert worker.terminate() == 0, worker.log
        rewards = [_decoder.decode(record.value or b"") for record in stage.read(REWARDS.name)]
    bought = {
        each.user_id: (each.list_id, each.position) for each in rewards if each.kind is RewardKind.PURCHASE
    }
    assert bought == {who: (each.list_id, 1) for who, each in lists.items()}
