"""Headrace's own lists and rewards, joined into rounds."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.experiment.feature_rows import features_version_of, pack_rows
from stream_app.tools.evaluation.policies import headrace_log
from stream_app.tools.evaluation.policies.headrace_log import HeadraceLog, ImpressionMode, RawRecord
from stream_app.tools.evaluation.policies.policy_evaluation import PolicyEvaluation, TargetName
from stream_app.tools.evaluation.policies.rounds import ListDesign
from stream_app.tools.evaluation.policies.verdicts import VerdictKind
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


def raw(records: Sequence[RecommendationList | Reward]) -> list[RawRecord]:
    return [(f"here:{at}", msgspec.json.encode(record)) for at, record in enumerate(records)]


CLICK = reward(0, RewardKind.CLICK, "b", value=1.0, seen=("a", "b"))
LISTS = raw([published_list(0, "abc", features=[[1], [2], [3]]), published_list(1, "cab")])


def rounds_of(read: HeadraceLog) -> list[tuple[str, int, float]]:
    rounds = read.rounds
    names = [rounds.names[item] for item in rounds.items]
    return list(zip(names, rounds.positions.tolist(), rounds.rewards.tolist(), strict=True))


def test_without_impressions_every_rank_of_every_list_counts() -> None:
    read = headrace_log.read(LISTS, raw([CLICK]))
    assert read.impression_mode is ImpressionMode.ALL
    assert rounds_of(read) == [("a", 0, 0), ("b", 1, 1), ("c", 2, 0), ("c", 0, 0), ("a", 1, 0), ("b", 2, 0)]
    assert (read.lists, read.without_features) == (2, 1)


def test_with_impressions_only_seen_items_count() -> None:
    impression_mode = reward(1, RewardKind.IMPRESSION, seen=("c",), offset=3)
    read = headrace_log.read(LISTS, raw([CLICK, impression_mode]))
    assert read.impression_mode is ImpressionMode.KNOWN
    assert rounds_of(read) == [("a", 0, 0), ("b", 1, 1), ("c", 0, 0)]


def test_duplicate_reward_counts_once() -> None:
    assert rounds_of(headrace_log.read(LISTS, raw([CLICK, CLICK]), impression_mode=ImpressionMode.KNOWN)) == [
        ("a", 0, 0),
        ("b", 1, 1),
    ]


def test_reward_recomputed_for_another_list_counts_once() -> None:
    # the records of a crashed worker and its successor are of the same event line, whatever lists they name
    duplicate = msgspec.structs.replace(CLICK, list_id="list-1")
    read = headrace_log.read(LISTS, raw([CLICK, duplicate]), impression_mode=ImpressionMode.KNOWN)
    assert rounds_of(read) == [("a", 0, 0), ("b", 1, 1)]


def test_erasure_record_is_not_a_reward() -> None:
    erasure = msgspec.structs.replace(
        CLICK, kind=RewardKind.ERASURE, list_id="", policy="", source=Source.ERASURE
    )
    read = headrace_log.read(LISTS, raw([CLICK, erasure]), impression_mode=ImpressionMode.KNOWN)
    assert (rounds_of(read), read.n_unmatched_lists) == ([("a", 0, 0), ("b", 1, 1)], 0)
    with pytest.raises(UserError, match="no reward 'erasure'"):
        headrace_log.read(LISTS, [], measure="erasure")


def test_duplicate_list_counts_once() -> None:
    assert headrace_log.read([*LISTS, *LISTS], raw([CLICK])).lists == 2


@pytest.mark.parametrize(
    ("measure", "expected"),
    [("value", 4.0), ("revenue", 30.0), ("click", 1.0), ("purchase", 1.0), ("cart", 0.0)],
)
def test_reward_measure_is_configurable(measure: str, expected: float) -> None:
    purchase = reward(0, RewardKind.PURCHASE, "b", value=3.0, revenue=30.0, offset=1)
    read = headrace_log.read(
        LISTS, raw([CLICK, purchase]), measure=measure, impression_mode=ImpressionMode.KNOWN
    )
    assert rounds_of(read)[1] == ("b", 1, expected)


def test_unknown_measure_is_rejected() -> None:
    with pytest.raises(UserError, match="no reward 'clicks'; there are value, revenue, click"):
        headrace_log.read(LISTS, [], measure="clicks")


def test_features_are_those_of_each_candidate() -> None:
    design = headrace_log.read(LISTS, []).rounds.design
    assert design.candidate_features(np.array([1]))[0].tolist() == [[0, 1, 0, 1], [0, 1, 0, 2], [0, 1, 0, 3]]
    assert design.candidate_features(np.array([3]))[0, :, 3].tolist() == [0, 0, 0]


def test_lists_of_one_user_are_one_group() -> None:
    records = raw([published_list(0, "ab"), published_list(1, "ab", policy="fixed"), published_list(2, "ab")])
    rounds = headrace_log.read(records, []).rounds
    assert rounds.groups.tolist() == [0, 0, 0, 0, 1, 1]
    assert [rounds.policies[each] for each in rounds.policy[::2]] == ["thompson", "fixed", "thompson"]
    assert headrace_log.read(records, [], policy="fixed").lists == 1


def test_lists_are_sorted_by_time() -> None:
    rounds = headrace_log.read(LISTS[::-1], []).rounds
    assert [rounds.names[item] for item in rounds.items] == [*"abc", *"cab"]
    assert headrace_log.read(LISTS[::-1], [], limit=1).rounds.names == ("a", "b", "c")


def test_unmatched_rewards_and_items_without_propensity_are_counted() -> None:
    records = raw([published_list(0, "ab"), published_list(1, "ab", propensity=0.0)])
    read = headrace_log.read(records, raw([reward(9, RewardKind.CLICK, "a")]))
    assert (read.n_unmatched_lists, read.without_propensity, len(read.rounds)) == (1, 2, 2)


def test_invalid_record_is_reported_with_its_location(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_text(LISTS[0][1].decode() + '\n{"list_id": 1}\n')
    with pytest.raises(UserError, match=r"lists.jsonl:2: .*list_id.*this is not a list written by Headrace"):
        headrace_log.read(headrace_log.raw_lines(path), [])
    with pytest.raises(UserError, match=r"here:0: .*this is not a reward"):
        headrace_log.read(LISTS, [("here:0", json.dumps({}).encode())])


def test_features_version_is_not_a_feature() -> None:
    rows = np.array([[1, 4], [2, 5], [3, 6]], np.float32)
    stamped = [
        msgspec.structs.replace(published_list(0, "abc"), features=pack_rows(rows, features_version))
        for features_version in (features_version_of(["price", "age"]), features_version_of(["age", "price"]))
    ]
    design = headrace_log.read(raw(stamped[:1]), []).rounds.design
    assert isinstance(design, ListDesign)
    assert design.features.tolist() == [rows.tolist()]


def list_with_features(number: int, names: Sequence[str]) -> RecommendationList:
    rows = np.full((2, len(names)), number, np.float32)
    return msgspec.structs.replace(
        published_list(number, "ab"), features=pack_rows(rows, features_version_of(names))
    )


@pytest.mark.parametrize("older_names", [("age", "price"), ("price",)], ids=["as many", "fewer"])
def test_only_lists_with_the_newest_features_version_are_used(
    older_names: tuple[str, ...],
) -> None:
    records = [list_with_features(number, older_names) for number in range(3)]
    records += [list_with_features(number, ("price", "age")) for number in (3, 4)]
    records.append(published_list(5, "ab"))
    read = headrace_log.read(raw(records[::-1]), [])
    assert (read.lists, read.outdated, read.without_features) == (3, 3, 1)
    assert isinstance(read.rounds.design, ListDesign)
    assert read.rounds.design.features[:, 0].tolist() == [[3, 3], [4, 4], [0, 0]]
    # the limit counts lists with usable features
    assert headrace_log.read(raw(records), [], limit=1).rounds.design.candidate_features(np.array([0]))[
        0, 0, 2:
    ].tolist() == [
        3,
        3,
    ]


def test_error_mentions_outdated_lists() -> None:
    without_propensity = [
        msgspec.structs.replace(item, propensity=0.0)
        for item in list_with_features(1, ("price", "age")).items
    ]
    newest = msgspec.structs.replace(list_with_features(1, ("price", "age")), items=tuple(without_propensity))
    with pytest.raises(
        UserError, match=r"no displayed item with a propensity.*\? 1 lists have features of another version"
    ):
        headrace_log.read(raw([list_with_features(0, ("price",)), newest]), [])


def test_features_of_the_wrong_size_are_rejected() -> None:
    bad_list = msgspec.structs.replace(published_list(0, "ab"), features=b"\0" * 6)
    with pytest.raises(UserError, match="list-0 do not fit its 2 items"):
        headrace_log.read(raw([bad_list]), [])


def test_log_without_rounds_is_rejected() -> None:
    with pytest.raises(UserError, match="has no displayed item with a propensity"):
        headrace_log.read([], [])


def shuffled_log(count: int) -> HeadraceLog:
    """Lists of three items in uniformly random order; a, with the largest feature, has a much higher click rate."""
    rng = np.random.default_rng(4)
    orders = list(itertools.permutations("abc"))
    relevance = {"a": 2.0, "b": 1.0, "c": 0.0}
    lists, rewards = [], []
    for number in range(count):
        items = orders[rng.integers(len(orders))]
        features = [[relevance[item]] for item in items]
        lists.append(published_list(number, items, propensity=1 / 3, policy="shuffle", features=features))
        for rank, item in enumerate(items):
            # the second position has half the click rate of the first, the third a quarter
            if rng.random() < 0.3 * relevance[item] / 2 / 2**rank:
                rewards.append(reward(number, RewardKind.CLICK, item, value=1.0, offset=number, line=rank))
    return headrace_log.read(raw(lists), raw(rewards))


def test_value_of_another_order_is_estimated() -> None:
    result = PolicyEvaluation(shuffled_log(3000).rounds).run([TargetName.UNIFORM, TargetName.GREEDY])
    greedy = result.targets["greedy"]
    truth = (0.3 + 0.3 / 2 / 2 + 0.0) / 3  # a first, b second, c third; a round is a position
    for name, estimate in greedy.estimates.items():
        if name != "dm":  # the model has no multiplicative term for positions
            assert estimate.value.low < truth < estimate.value.high
    assert greedy.verdict.finding is VerdictKind.BETTER
    assert greedy.mean_weight.low < 1.0 < greedy.mean_weight.high
    assert result.targets["uniform"].verdict.finding is VerdictKind.SAME
