"""Headrace's own log: records of the topics ``lists`` and ``rewards``."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.errors import UserError
from stream_app.experiment.feature_rows import BYTES_PER_VALUE, read_features_version
from stream_app.tools.evaluation.policies.rounds import NO_CANDIDATE, ListDesign, Rounds
from stream_app.tools.feeds.files import lines, open_log_file
from stream_app.tools.progress import UpdateProgress
from topics.records import RecommendationList, Reward, RewardKind

_NON_REACTION_KINDS: Final = frozenset({RewardKind.IMPRESSION, RewardKind.ERASURE})

VALUE: Final = "value"
REVENUE: Final = "revenue"
MEASURES: Final = (VALUE, REVENUE, *(str(kind) for kind in RewardKind if kind not in _NON_REACTION_KINDS))
"""Rewards of a round: value by the settings, revenue, or 1 for a reaction of a kind."""

T = TypeVar("T")

RawRecord = tuple[str, bytes]
"""Location of a record (for errors), and its bytes."""

_LIST_DECODER: Final = msgspec.json.Decoder(RecommendationList)
_REWARD_DECODER: Final = msgspec.json.Decoder(Reward)
_MSGPACK_REWARD_DECODER: Final = msgspec.msgpack.Decoder(Reward)


class ImpressionMode(StrEnum):
    """The positions of a list that count as displayed."""

    AUTO = "auto"
    """`KNOWN` where the log has impressions, else `ALL`."""
    KNOWN = "known"
    """Positions with an impression or a reaction."""
    ALL = "all"
    """Every position of every published list."""


class HeadraceLog(NamedTuple):
    """A log in memory.

    Attributes
    ----------
    rounds
        One round per displayed position.
    lists
        Number of lists that the rounds come from.
    impression_mode
        The mode in effect: `ImpressionMode.KNOWN` or `ImpressionMode.ALL`.
    n_unmatched_lists
        Lists with rewards that are not in the log; they are skipped.
    without_propensity
        Displayed items without a propensity above 0; they are skipped.
    outdated
        Lists with features of another version than the newest list; they are skipped.
    """

    rounds: Rounds
    lists: int
    impression_mode: ImpressionMode
    n_unmatched_lists: int
    without_propensity: int
    without_features: int
    outdated: int


class _FeaturesVersion(NamedTuple):
    """Logged values per item, and the version of the features; 0 for none."""

    columns: int
    features_version: int


class _ListReactions(NamedTuple):
    """Rewards of a list: items seen, and the reward by item."""

    seen: set[str]
    reward_by_item: dict[str, float]


def raw_lines(path: Path) -> Iterator[RawRecord]:
    """Read the records of a file with one JSON document a line, plain or gzip.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    with open_log_file(path) as stream:
        for number, line in enumerate(lines(stream), start=1):
            if line.strip():
                yield f"{path}:{number}", line


def read(
    lists: Iterable[RawRecord],
    rewards: Iterable[RawRecord],
    *,
    measure: str = VALUE,
    impression_mode: ImpressionMode = ImpressionMode.AUTO,
    policy: str | None = None,
    limit: int | None = None,
    update_progress: UpdateProgress = lambda _: None,
) -> HeadraceLog:
    """Join lists with their rewards.

    The candidates of a round are the items of its list: another policy reorders that list. If lists are drawn from a
    larger pool, the logged propensities are those of the draw from the pool, and the mean weight is above 1, which
    the results show.

    Features are comparable within one version alone (`stream_app.experiment.feature_rows`). The version is that of
    the newest list with features; lists with another version are skipped.

    Parameters
    ----------
    lists, rewards
        Records of the two topics; duplicates count once.
    measure
        One of `MEASURES`.
    policy
        Only lists of this policy.
    limit
        Maximum number of lists, the oldest first.

    Raises
    ------
    UserError
        If a record is invalid, the measure is unknown, or no round is left.
    """
    if measure not in MEASURES:
        raise UserError(f"There is no reward {measure!r}; there are {', '.join(MEASURES)}.")
    numbers = count(1)
    reactions, impressions = _reactions(_counted(rewards, numbers, update_progress), measure)
    if impression_mode is ImpressionMode.AUTO:
        impression_mode = ImpressionMode.KNOWN if impressions else ImpressionMode.ALL
    sorted_lists, read_ids = _collect_lists(
        _counted(lists, numbers, update_progress), reactions, policy, impression_mode
    )
    version = _newest_version(sorted_lists)
    accepted = [each for each in sorted_lists if _features_version(each) in {None, version}]
    outdated = len(sorted_lists) - len(accepted)
    accepted = accepted[:limit]
    rounds, without_propensity, without_features = _rounds(
        accepted, version or _FeaturesVersion(0, 0), reactions, impression_mode
    )
    if not len(rounds):
        raise _no_rounds(outdated)
    return HeadraceLog(
        rounds,
        len(accepted),
        impression_mode,
        len(reactions.keys() - read_ids),
        without_propensity,
        without_features,
        outdated,
    )


def _counted(
    records: Iterable[RawRecord], numbers: Iterator[int], update_progress: UpdateProgress
) -> Iterator[RawRecord]:
    for record in records:
        yield record
        update_progress(next(numbers))


def _collect_lists(
    lists: Iterable[RawRecord],
    reactions: dict[str, _ListReactions],
    policy: str | None,
    impression_mode: ImpressionMode,
) -> tuple[list[RecommendationList], set[str]]:
    """The lists to evaluate, the oldest first, and the ids of all lists read."""
    lists_by_id: dict[str, RecommendationList] = {}
    read_ids: set[str] = set()
    for location, raw in lists:
        published_list = _decode(_LIST_DECODER, location, raw, "list")
        read_ids.add(published_list.list_id)
        if (policy is None or published_list.policy == policy) and (
            impression_mode is ImpressionMode.ALL or published_list.list_id in reactions
        ):
            lists_by_id[published_list.list_id] = published_list
    return sorted(lists_by_id.values(), key=lambda each: (each.generated_at, each.list_id)), read_ids


def _newest_version(sorted_lists: list[RecommendationList]) -> _FeaturesVersion | None:
    versions = (_features_version(each) for each in reversed(sorted_lists))
    return next((version for version in versions if version is not None), None)


def _no_rounds(outdated: int) -> UserError:
    note = f" {outdated:,} lists have features of another version than the newest." if outdated else ""
    return UserError(
        "The log has no displayed item with a propensity, so there is nothing to evaluate: "
        f"are lists and rewards from the same time?{note}"
    )


def _reactions(rewards: Iterable[RawRecord], measure: str) -> tuple[dict[str, _ListReactions], bool]:
    collected: dict[str, _ListReactions] = {}
    accepted: set[tuple[int, int, int, int]] = set()
    impressions = False
    for location, raw in rewards:
        # files have JSON, the topic has msgpack, whose maps never start with a brace
        decoder = _REWARD_DECODER if raw.lstrip()[:1] == b"{" else _MSGPACK_REWARD_DECODER
        reward = _decode(decoder, location, raw, "reward")
        name = (reward.source, reward.partition, reward.offset, reward.line)
        if reward.kind is RewardKind.ERASURE or name in accepted:
            continue
        accepted.add(name)
        list_reactions = collected.setdefault(reward.list_id, _ListReactions(set(), {}))
        list_reactions.seen.update(reward.seen)
        if reward.kind is RewardKind.IMPRESSION:
            impressions = True
            continue
        list_reactions.seen.add(reward.item_id)
        reward_by_item = list_reactions.reward_by_item
        if measure in {VALUE, REVENUE}:
            amount = reward.value if measure == VALUE else reward.revenue
            reward_by_item[reward.item_id] = reward_by_item.get(reward.item_id, 0.0) + amount
        elif reward.kind == measure:
            reward_by_item[reward.item_id] = 1.0
    return collected, impressions


def _features_version(published_list: RecommendationList) -> _FeaturesVersion | None:
    """Version of the features of a list; None without features."""
    if not published_list.items or not published_list.features:
        return None
    return _FeaturesVersion(
        len(published_list.features) // (BYTES_PER_VALUE * len(published_list.items)),
        read_features_version(published_list.features),
    )


def _unpack_features(published_list: RecommendationList, columns: int) -> NDArray[np.float16]:
    """Logged values of each item, shape (items, columns)."""
    n_items = len(published_list.items)
    values = np.frombuffer(published_list.features, np.float16)
    if values.size != n_items * columns:
        raise UserError(f"The features of list {published_list.list_id} do not fit its {n_items} items.")
    return values.reshape(n_items, columns)


def _rounds(
    lists: list[RecommendationList],
    version: _FeaturesVersion,
    reactions: dict[str, _ListReactions],
    impression_mode: ImpressionMode,
) -> tuple[Rounds, int, int]:
    names: dict[str, int] = {}
    policies: dict[str, int] = {}
    keys: dict[str, int] = {}
    max_length = max((len(published_list.items) for published_list in lists), default=0)
    columns, features_version = version
    # the first column of rows with a version is the version
    n_version_columns = int(bool(features_version))
    width = columns - n_version_columns
    features = np.zeros((len(lists), max_length, width), np.float32)
    candidates = np.full((len(lists), max_length), NO_CANDIDATE, np.int32)
    rows: list[tuple[int, int, float, float]] = []  # list, rank, propensity, reward
    no_reactions = _ListReactions(set(), {})
    without_propensity = without_features = 0
    for index, published_list in enumerate(lists):
        n_items = len(published_list.items)
        candidates[index, :n_items] = [names.setdefault(item.id, len(names)) for item in published_list.items]
        if published_list.features:
            features[index, :n_items] = _unpack_features(published_list, columns)[:, n_version_columns:]
        else:
            without_features += 1
        policies.setdefault(published_list.policy, len(policies))
        keys.setdefault(published_list.key, len(keys))
        list_reactions = reactions.get(published_list.list_id, no_reactions)
        for rank, item in enumerate(published_list.items):
            if impression_mode is ImpressionMode.KNOWN and item.id not in list_reactions.seen:
                continue
            if not 0.0 < item.propensity <= 1.0:
                without_propensity += 1
                continue
            rows.append((index, rank, item.propensity, list_reactions.reward_by_item.get(item.id, 0.0)))
    of_list = np.array([row[0] for row in rows], np.int64)
    positions = np.array([row[1] for row in rows], np.int32)
    return (
        Rounds(
            names=tuple(names),
            candidates=candidates[of_list],
            chosen=positions,
            positions=positions,
            propensities=np.array([row[2] for row in rows]),
            rewards=np.array([row[3] for row in rows]),
            groups=np.array([keys[published_list.key] for published_list in lists], np.int64)[of_list],
            policies=tuple(policies),
            policy=np.array([policies[published_list.policy] for published_list in lists], np.int32)[of_list],
            design=ListDesign(
                features=features,
                lists=of_list,
                positions=positions,
                n_positions=int(positions.max(initial=-1)) + 1,
            ),
        ),
        without_propensity,
        without_features,
    )


def _decode(
    decoder: msgspec.json.Decoder[T] | msgspec.msgpack.Decoder[T], location: str, raw: bytes, what: str
) -> T:
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{location}: {error}; this is not a {what} written by Headrace.") from None
