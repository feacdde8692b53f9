"""One published list: its items and their outcomes."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from topics.records import NON_POSITIVE, RewardKind

UNKNOWN_ITEM: Final = ""
"""Placeholder of an item that a truncated list no longer holds; no item has this id."""


class PublishedList(msgspec.Struct, gc=False):
    """One published list in compact form.

    Attributes
    ----------
    list_id, policy
        Its id, and the policy that ordered it.
    at
        Time of first publication, seconds since the epoch.
    items
        Item ids, best first.
    propensities
        One float64 per item; empty if all are 1.
    features
        One feature row of the policy per item; empty if the policy uses no features.
    search
        Whether it is the list of a search; such a list matches only reactions that name it.
    window_start
        Time of the last publication or impression: attribution windows start here.
    seen
        One bit per rank: whether the item was seen.
    rewarded
        One bit per rank for each kind of reaction: whether the item has this reward. For impressions: whether an
        impression event marked it as seen.
    """

    list_id: str
    policy: str
    at: float
    items: tuple[str, ...]
    propensities: bytes = b""
    features: bytes = b""
    search: bool = False
    window_start: float = 0.0
    seen: int = 0
    rewarded: dict[RewardKind, int] | None = None

    def rank(self, item_id: str) -> int:
        """The rank of an item, from 0; -1 if it is not on the list."""
        return self.items.index(item_id) if item_id in self.items else -1

    def propensity(self, rank: int) -> float:
        """The probability with which the policy put the item at this rank."""
        if not self.propensities:
            return 1.0
        return float(memoryview(self.propensities).cast("d")[rank])

    def feature_row(self, rank: int) -> bytes:
        """The feature row of the item at a rank."""
        width = len(self.features) // len(self.items)
        return self.features[rank * width : (rank + 1) * width]

    def rewarded_mask(self, kind: RewardKind) -> int:
        """The items with a reward of a kind, one bit per rank."""
        return 0 if self.rewarded is None else self.rewarded.get(kind, 0)

    def has_positive_reaction(self, rank: int) -> bool:
        """Whether the item at a rank has a positive reaction; a dislike or hide is not positive."""
        return any(
            masks >> rank & 1 for kind, masks in (self.rewarded or {}).items() if kind not in NON_POSITIVE
        )

    @property
    def has_reaction(self) -> bool:
        """Whether the list has a reaction; an impression is not one."""
        return self.rewarded is not None and (
            len(self.rewarded) > 1 or RewardKind.IMPRESSION not in self.rewarded
        )

    @property
    def is_truncated(self) -> bool:
        """Whether the list holds only the items with a reaction."""
        return self.items[-1] == UNKNOWN_ITEM

    def truncate(self) -> "PublishedList":
        """The list reduced to the items with a reaction, to which later reactions can be attributed.

        All items count as seen, since exposure of the removed items is no longer known.

        Examples
        --------
        >>> listed = PublishedList("l", "fixed", 100.0, ("shoe", "sock", "hat"))
        >>> listed.apply_outcome(RewardKind.CLICK, 1, (0, 1), 110.0)
        >>> listed.truncate().items
        ('', 'sock', '')
        """
        has_reaction = 0
        for kind, masks in (self.rewarded or {}).items():
            if kind is not RewardKind.IMPRESSION:
                has_reaction |= masks
        length = min(has_reaction.bit_length(), len(self.items))
        retained = [bool(has_reaction >> at & 1) for at in range(length)] + [False]
        zero_row = bytes(len(self.features) // len(self.items))
        return PublishedList(
            self.list_id,
            self.policy,
            self.at,
            tuple(
                [self.items[at] if is_retained else UNKNOWN_ITEM for at, is_retained in enumerate(retained)]
            ),
            pack_propensities(
                [self.propensity(at) if is_retained else 1.0 for at, is_retained in enumerate(retained)]
            ),
            b"".join(
                [self.feature_row(at) if is_retained else zero_row for at, is_retained in enumerate(retained)]
            ),
            self.search,
            self.window_start,
            (1 << len(retained)) - 1,
            self.rewarded,
        )

    def apply_outcome(self, kind: RewardKind, position: int, seen: Iterable[int], ts: float) -> None:
        """Apply the outcome of a reward: its kind and rank, the ranks it marks as seen, its time."""
        outcome_mask = sum(1 << rank for rank in seen)
        self.seen |= outcome_mask
        if kind is RewardKind.IMPRESSION:
            self.window_start = max(self.window_start, ts)
        else:
            outcome_mask = 1 << position if position >= 0 else 0
        if self.rewarded is None:
            self.rewarded = {}
        self.rewarded[kind] = self.rewarded.get(kind, 0) | outcome_mask


def pack_propensities(propensities: Sequence[float]) -> bytes:
    """Encode propensities for `PublishedList.propensities`.

    Examples
    --------
    >>> pack_propensities([1.0, 1.0]), len(pack_propensities([0.5, 0.25]))
    (b'', 16)
    """
    # The first rank distinguishes most stochastic policies from deterministic ones, without a scan.
    if not propensities or (propensities[0] == 1.0 and propensities.count(1.0) == len(propensities)):
        return b""
    return array("d", propensities).tobytes()
