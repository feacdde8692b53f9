"""Headrace's own log: the records of the topics ``lists`` and ``rewards``."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from stream_app.errors import UserError
from stream_app.experiment.feature_rows import WIDE, stamp_in
from stream_app.tools.evaluation.policies.rounds import NO_CANDIDATE, ListDesign, Rounds
from stream_app.tools.evaluation.progress import Tell
from stream_app.tools.feeds.files import lines, open_log_file
from topics.records import RecommendationList, Reward, RewardKind

_NO_REACTION: Final = frozenset({RewardKind.IMPRESSION, RewardKind.ERASURE})

VALUE: Final = "value"
REVENUE: Final = "revenue"
MEASURES: Final = (VALUE, REVENUE, *(str(kind) for kind in RewardKind if kind not in _NO_REACTION))
"""What a round can be measured by: worth by the settings, money, or whether a reaction of a kind came."""

T = TypeVar("T")

Raw = tuple[str, bytes]
"""Where a record stands, and its JSON."""

_LIST: Final = msgspec.json.Decoder(RecommendationList)
_REWARD: Final = msgspec.json.Decoder(Reward)
_LOGGED_REWARD: Final = msgspec.msgpack.Decoder(Reward)


class Shown(StrEnum):
    """Which places of a list count as shown."""

    AUTO = "auto"
    """`KNOWN` where the log has impressions, else `ALL`."""
    KNOWN = "known"
    """Those that an impression or a reaction tells of."""
    ALL = "all"
    """Every place of every list published."""


class Published(NamedTuple):
    """A log that was read.

    Attributes
    ----------
    rounds
        One a place shown.
    lists
        That they come from.
    shown
        What counted as shown: `Shown.KNOWN` or `Shown.ALL`.
    unlisted
        Rewards of lists that the log does not hold; they are left out.
    unlikely
        Places shown without a propensity above 0; they are left out.
    featureless
        Lists without features.
    outdated
        Lists with features of another version than the newest list's; they are left out.
    """

    rounds: Rounds
    lists: int
    shown: Shown
    unlisted: int
    unlikely: int
    featureless: int
    outdated: int


class _Version(NamedTuple):
    """Numbers an item of what is logged as features, and the stamp among them; 0 for none."""

    columns: int
    stamp: int


class _Reactions(NamedTuple):
    """What rewards tell of one list: items seen, and the measure by item."""

    seen: set[str]
    earned: dict[str, float]


def raw_lines(path: Path) -> Iterator[Raw]:
    """Records of a file of one JSON document a line, plain or gzip.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    with open_log_file(path) as stream:
        for number, line in enumerate(lines(stream), start=1):
            if line.strip():
                yield f"{path}:{number}", line


def read(
    lists: Iterable[Raw],
    rewards: Iterable[Raw],
    *,
    measure: str = VALUE,
    shown: Shown = Shown.AUTO,
    policy: str | None = None,
    limit: int | None = None,
    tell: Tell = lambda _: None,
) -> Published:
    """Join lists with their rewards.

    The candidates of a round are the items of its list: what another policy is asked is to order that list anew.
    Where lists are drawn from a larger pool, the logged propensities are those of the draw from the pool, and weights
    average above 1, which the figures show.

    Features mean the same on lists of one version alone (`stream_app.experiment.feature_rows`), so those of the
    newest list that has any count, and lists that have others are left out.

    Parameters
    ----------
    lists, rewards
        Records of the two topics; one that came twice counts once.
    measure
        One of `MEASURES`.
    shown
        Which places count as shown.
    policy
        Only lists of this policy.
    limit
        Only the first so many lists.
    tell
        Is told how many records are read.

    Raises
    ------
    UserError
        If a record is none of its topic, the measure is unknown, or no round is left.
    """
    if measure not in MEASURES:
        raise UserError(f"There is no reward {measure!r}; there are {', '.join(MEASURES)}.")
    done = 0

    def counted(records: Iterable[Raw]) -> Iterator[Raw]:
        nonlocal done
        for record in records:
            yield record
            done += 1
            tell(done)

    reactions, impressions = _reactions(counted(rewards), measure)
    if shown is Shown.AUTO:
        shown = Shown.KNOWN if impressions else Shown.ALL
    kept: dict[str, RecommendationList] = {}
    found: set[str] = set()
    for where, raw in counted(lists):
        one = _decode(_LIST, where, raw, "list")
        found.add(one.list_id)
        if (policy is None or one.policy == policy) and (shown is Shown.ALL or one.list_id in reactions):
            kept[one.list_id] = one
    in_order = sorted(kept.values(), key=lambda one: (one.generated_at, one.list_id))
    version = next((its for one in reversed(in_order) if (its := _version(one)) is not None), None)
    taken = [one for one in in_order if _version(one) in {None, version}]
    outdated = len(in_order) - len(taken)
    taken = taken[:limit]
    rounds, unlikely, featureless = _rounds(taken, version or _Version(0, 0), reactions, shown)
    if not len(rounds):
        left = f" {outdated:,} lists have features of another version than the newest." if outdated else ""
        raise UserError(
            "The log holds no place that was shown with a propensity, so there is nothing to evaluate: "
            f"are lists and rewards of the same time?{left}"
        )
    return Published(
        rounds, len(taken), shown, len(reactions.keys() - found), unlikely, featureless, outdated
    )


def _reactions(rewards: Iterable[Raw], measure: str) -> tuple[dict[str, _Reactions], bool]:
    found: dict[str, _Reactions] = {}
    taken: set[tuple[int, int, int, int]] = set()
    impressions = False
    for where, raw in rewards:
        # files have JSON, the topic has msgpack, where a map never begins with a brace
        decoder = _REWARD if raw.lstrip()[:1] == b"{" else _LOGGED_REWARD
        reward = _decode(decoder, where, raw, "reward")
        name = (reward.source, reward.partition, reward.offset, reward.line)
        if reward.kind is RewardKind.ERASURE or name in taken:
            continue
        taken.add(name)
        of = found.setdefault(reward.list_id, _Reactions(set(), {}))
        of.seen.update(reward.seen)
        if reward.kind is RewardKind.IMPRESSION:
            impressions = True
            continue
        of.seen.add(reward.item_id)
        if measure == VALUE:
            of.earned[reward.item_id] = of.earned.get(reward.item_id, 0.0) + reward.value
        elif measure == REVENUE:
            of.earned[reward.item_id] = of.earned.get(reward.item_id, 0.0) + reward.revenue
        elif reward.kind == measure:
            of.earned[reward.item_id] = 1.0
    return found, impressions


def _version(one: RecommendationList) -> _Version | None:
    """Which features a list has; None where it has none."""
    if not one.items or not one.features:
        return None
    return _Version(len(one.features) // (WIDE * len(one.items)), stamp_in(one.features))


def _rounds(
    lists: list[RecommendationList], version: _Version, reactions: dict[str, _Reactions], shown: Shown
) -> tuple[Rounds, int, int]:
    names: dict[str, int] = {}
    policies: dict[str, int] = {}
    keys: dict[str, int] = {}
    longest = max((len(one.items) for one in lists), default=0)
    columns, stamp = version
    # the first column of stamped rows is the stamp
    skipped = int(bool(stamp))
    width = columns - skipped
    features = np.zeros((len(lists), longest, width), np.float32)
    candidates = np.full((len(lists), longest), NO_CANDIDATE, np.int32)
    rows: list[tuple[int, int, float, float]] = []  # list, place, propensity, reward
    nothing = _Reactions(set(), {})
    unlikely = featureless = 0
    for at, one in enumerate(lists):
        count = len(one.items)
        candidates[at, :count] = [names.setdefault(item.id, len(names)) for item in one.items]
        if one.features:
            known = np.frombuffer(one.features, np.float16)
            if known.size != count * columns:
                raise UserError(f"The features of list {one.list_id} do not fit its {count} items.")
            features[at, :count] = known.reshape(count, columns)[:, skipped:]
        else:
            featureless += 1
        policies.setdefault(one.policy, len(policies))
        keys.setdefault(one.key, len(keys))
        of = reactions.get(one.list_id, nothing)
        for place, item in enumerate(one.items):
            if shown is Shown.KNOWN and item.id not in of.seen:
                continue
            if not 0.0 < item.propensity <= 1.0:
                unlikely += 1
                continue
            rows.append((at, place, item.propensity, of.earned.get(item.id, 0.0)))
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
            groups=np.array([keys[one.key] for one in lists], np.int64)[of_list],
            policies=tuple(policies),
            policy=np.array([policies[one.policy] for one in lists], np.int32)[of_list],
            design=ListDesign(
                features=features,
                lists=of_list,
                positions=positions,
                places=int(positions.max(initial=-1)) + 1,
            ),
        ),
        unlikely,
        featureless,
    )


def _decode(
    decoder: msgspec.json.Decoder[T] | msgspec.msgpack.Decoder[T], where: str, raw: bytes, what: str
) -> T:
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {error}; that is no {what} as Headrace writes it.") from None
