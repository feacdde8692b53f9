"""Headrace's own lists and rewards, joined into rounds."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.experiment.feature_rows import pack_rows, stamp_of
from stream_app.tools.evaluation.policies import headrace_log as published
from stream_app.tools.evaluation.policies.headrace_log import Published, Raw, Shown
from stream_app.tools.evaluation.policies.policy_evaluation import PolicyEvaluation, Target
from stream_app.tools.evaluation.policies.rounds import ListDesign
from stream_app.tools.evaluation.policies.verdicts import Finding
from topics.records import ListedItem, Reason, RecommendationList, Reward, RewardKind, Source


def published_list(
    number: int,
    items: Sequence[str],
    *,
    propensity: float = 0.5,
    policy: str = "thompson",
    features: Sequence[Sequence[float]] = (),
) -> RecommendationList:
    return RecommendationList(
        list_id=f"list-{number}",
        key=f"recs:user-{number // 2}",
        generated_at=f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",
        policy=policy,
        model_version=1,
        items=tuple(ListedItem(item, 1.0, propensity, Reason("popular")) for item in items),
        features=np.array(features, np.float16).tobytes(),
    )


def reward(number: int, kind: RewardKind, item: str = "", *, offset: int = 0, **others: object) -> Reward:
    return msgspec.structs.replace(
        Reward(
            source=Source.CLICK, partition=0, offset=offset, line=0, ts=1.0, user_id="u",
            list_id=f"list-{number}", policy="thompson", kind=kind, item_id=item,
        ),
        **others,
    )  # fmt: skip


def raw(records: Sequence[RecommendationList | Reward]) -> list[Raw]:
    return [(f"here:{at}", msgspec.json.encode(record)) for at, record in enumerate(records)]


CLICK = reward(0, RewardKind.CLICK, "b", value=1.0, seen=("a", "b"))
LISTS = raw([published_list(0, "abc", features=[[1], [2], [3]]), published_list(1, "cab")])


def told(read: Published) -> list[tuple[str, int, float]]:
    rounds = read.rounds
    names = [rounds.names[item] for item in rounds.items]
    return list(zip(names, rounds.positions.tolist(), rounds.rewards.tolist(), strict=True))


def test_without_impressions_every_place_of_every_list_counts() -> None:
    read = published.read(LISTS, raw([CLICK]))
    assert read.shown is Shown.ALL
    assert told(read) == [("a", 0, 0), ("b", 1, 1), ("c", 2, 0), ("c", 0, 0), ("a", 1, 0), ("b", 2, 0)]
    assert (read.lists, read.featureless) == (2, 1)


def test_with_impressions_only_what_was_seen_counts() -> None:
    shown = reward(1, RewardKind.IMPRESSION, seen=("c",), offset=3)
    read = published.read(LISTS, raw([CLICK, shown]))
    assert read.shown is Shown.KNOWN
    assert told(read) == [("a", 0, 0), ("b", 1, 1), ("c", 0, 0)]


def test_a_reward_that_came_twice_counts_once() -> None:
    assert told(published.read(LISTS, raw([CLICK, CLICK]), shown=Shown.KNOWN)) == [("a", 0, 0), ("b", 1, 1)]


def test_a_reward_that_was_made_again_of_another_list_counts_once() -> None:
    # a dying worker's record and its successor's are of one line of one event, whatever list each matched it with
    again = msgspec.structs.replace(CLICK, list_id="list-1")
    read = published.read(LISTS, raw([CLICK, again]), shown=Shown.KNOWN)
    assert told(read) == [("a", 0, 0), ("b", 1, 1)]


def test_an_erasure_among_the_rewards_is_none() -> None:
    erasure = msgspec.structs.replace(
        CLICK, kind=RewardKind.ERASURE, list_id="", policy="", source=Source.ERASURE
    )
    read = published.read(LISTS, raw([CLICK, erasure]), shown=Shown.KNOWN)
    assert (told(read), read.unlisted) == ([("a", 0, 0), ("b", 1, 1)], 0)
    with pytest.raises(UserError, match="no reward 'erasure'"):
        published.read(LISTS, [], measure="erasure")


def test_a_list_that_came_twice_counts_once() -> None:
    assert published.read([*LISTS, *LISTS], raw([CLICK])).lists == 2


@pytest.mark.parametrize(
    ("measure", "expected"),
    [("value", 4.0), ("revenue", 30.0), ("click", 1.0), ("purchase", 1.0), ("cart", 0.0)],
)
def test_a_round_is_measured_as_asked(measure: str, expected: float) -> None:
    bought = reward(0, RewardKind.PURCHASE, "b", value=3.0, revenue=30.0, offset=1)
    read = published.read(LISTS, raw([CLICK, bought]), measure=measure, shown=Shown.KNOWN)
    assert told(read)[1] == ("b", 1, expected)


def test_there_are_no_other_measures() -> None:
    with pytest.raises(UserError, match="no reward 'clicks'; there are value, revenue, click"):
        published.read(LISTS, [], measure="clicks")


def test_features_are_those_of_each_candidate() -> None:
    design = published.read(LISTS, []).rounds.design
    assert design.at(np.array([1]))[0].tolist() == [[0, 1, 0, 1], [0, 1, 0, 2], [0, 1, 0, 3]]
    assert design.at(np.array([3]))[0, :, 3].tolist() == [0, 0, 0]


def test_lists_of_one_shopper_are_one_group_and_policies_are_kept_apart() -> None:
    records = raw([published_list(0, "ab"), published_list(1, "ab", policy="fixed"), published_list(2, "ab")])
    rounds = published.read(records, []).rounds
    assert rounds.groups.tolist() == [0, 0, 0, 0, 1, 1]
    assert [rounds.policies[each] for each in rounds.policy[::2]] == ["thompson", "fixed", "thompson"]
    assert published.read(records, [], policy="fixed").lists == 1


def test_lists_are_put_in_the_order_of_time_whatever_partition_they_were_read_from() -> None:
    rounds = published.read(LISTS[::-1], []).rounds
    assert [rounds.names[item] for item in rounds.items] == [*"abc", *"cab"]
    assert published.read(LISTS[::-1], [], limit=1).rounds.names == ("a", "b", "c")


def test_rewards_of_lists_that_are_gone_and_places_without_propensity_are_counted() -> None:
    records = raw([published_list(0, "ab"), published_list(1, "ab", propensity=0.0)])
    read = published.read(records, raw([reward(9, RewardKind.CLICK, "a")]))
    assert (read.unlisted, read.unlikely, len(read.rounds)) == (1, 2, 2)


def test_what_is_no_record_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_text(LISTS[0][1].decode() + '\n{"list_id": 1}\n')
    with pytest.raises(UserError, match=r"lists.jsonl:2: .*list_id.*that is no list as Headrace writes it"):
        published.read(published.raw_lines(path), [])
    with pytest.raises(UserError, match=r"here:0: .*that is no reward"):
        published.read(LISTS, [("here:0", json.dumps({}).encode())])


def test_the_stamp_of_features_is_none_of_them() -> None:
    rows = np.array([[1, 4], [2, 5], [3, 6]], np.float32)
    stamped = [
        msgspec.structs.replace(published_list(0, "abc"), features=pack_rows(rows, stamp))
        for stamp in (stamp_of(["price", "age"]), stamp_of(["age", "price"]))
    ]
    design = published.read(raw(stamped[:1]), []).rounds.design
    assert isinstance(design, ListDesign)
    assert design.features.tolist() == [rows.tolist()]


def of_version(number: int, names: Sequence[str]) -> RecommendationList:
    rows = np.full((2, len(names)), number, np.float32)
    return msgspec.structs.replace(published_list(number, "ab"), features=pack_rows(rows, stamp_of(names)))


@pytest.mark.parametrize("earlier", [("age", "price"), ("price",)], ids=["as many", "fewer"])
def test_of_two_versions_of_features_the_newer_lists_count_and_the_others_are_told(
    earlier: tuple[str, ...],
) -> None:
    records = [of_version(number, earlier) for number in range(3)]
    records += [of_version(number, ("price", "age")) for number in (3, 4)]
    records.append(published_list(5, "ab"))
    read = published.read(raw(records[::-1]), [])
    assert (read.lists, read.outdated, read.featureless) == (3, 3, 1)
    assert isinstance(read.rounds.design, ListDesign)
    assert read.rounds.design.features[:, 0].tolist() == [[3, 3], [4, 4], [0, 0]]
    # of the first lists those count that are of use
    assert published.read(raw(records), [], limit=1).rounds.design.at(np.array([0]))[0, 0, 2:].tolist() == [
        3,
        3,
    ]


def test_where_nothing_was_seen_of_the_newest_version_it_says_why() -> None:
    unlikely = [
        msgspec.structs.replace(item, propensity=0.0) for item in of_version(1, ("price", "age")).items
    ]
    newest = msgspec.structs.replace(of_version(1, ("price", "age")), items=tuple(unlikely))
    with pytest.raises(
        UserError, match=r"no place that was shown .*\? 1 lists have features of another version"
    ):
        published.read(raw([of_version(0, ("price",)), newest]), [])


def test_features_that_do_not_fit_are_refused() -> None:
    odd = msgspec.structs.replace(published_list(0, "ab"), features=b"\0" * 6)
    with pytest.raises(UserError, match="list-0 do not fit its 2 items"):
        published.read(raw([odd]), [])


def test_a_log_without_rounds_is_refused() -> None:
    with pytest.raises(UserError, match="holds no place that was shown"):
        published.read([], [])


def shuffled(count: int) -> Published:
    """Lists of three items in uniformly random order; a, with the largest feature, is clicked far more often."""
    rng = np.random.default_rng(4)
    orders = list(itertools.permutations("abc"))
    worth = {"a": 2.0, "b": 1.0, "c": 0.0}
    lists, rewards = [], []
    for number in range(count):
        items = orders[rng.integers(len(orders))]
        features = [[worth[item]] for item in items]
        lists.append(published_list(number, items, propensity=1 / 3, policy="shuffle", features=features))
        for place, item in enumerate(items):
            # the second place is worth half of the first, the third a quarter
            if rng.random() < 0.3 * worth[item] / 2 / 2**place:
                rewards.append(reward(number, RewardKind.CLICK, item, value=1.0, offset=number, line=place))
    return published.read(raw(lists), raw(rewards))


def test_what_another_order_would_have_earned_is_found() -> None:
    found = PolicyEvaluation(shuffled(3000).rounds).run([Target.UNIFORM, Target.GREEDY])
    greedy = found.targets["greedy"]
    truth = (0.3 + 0.3 / 2 / 2 + 0.0) / 3  # a first, b second, c third; a round is a place
    for name, estimate in greedy.estimates.items():
        if name != "dm":  # the model has no term for a place that multiplies
            assert estimate.value.low < truth < estimate.value.high
    assert greedy.verdict.finding is Finding.BETTER
    assert greedy.mean_weight.low < 1.0 < greedy.mean_weight.high
    assert found.targets["uniform"].verdict.finding is Finding.SAME
