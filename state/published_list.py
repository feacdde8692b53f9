"""One published list as it is remembered: what stood on it, and what is known of its fate."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from topics.records import NON_POSITIVE, RewardKind

UNKNOWN_ITEM: Final = ""
"""In the place of an item of which nothing is held; no item has this id."""


class PublishedList(msgspec.Struct, gc=False):
    """One published list, as compact as it goes.

    Attributes
    ----------
    list_id, policy
        Its name, and what ordered it.
    at
        When it was published first, seconds since the epoch.
    items
        Ids, best first.
    propensities
        A float64 an item; empty where all are 1.
    features
        A row an item of whatever the policy goes by; empty where it goes by none.
    search
        Whether it is of a search: then only a reaction that names it is matched with it.
    window_start
        When it was published last, or known to be shown: windows run from here.
    seen
        A bit an item, by its place: whether it is known to have been seen.
    rewarded
        For each kind of reaction a bit an item: whether it was rewarded. For impressions: whether one made it seen.
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
        """The place of an item, from 0; -1 where it is not on the list."""
        return self.items.index(item_id) if item_id in self.items else -1

    def propensity(self, rank: int) -> float:
        """The probability with which the policy put the item of a place there."""
        if not self.propensities:
            return 1.0
        return float(memoryview(self.propensities).cast("d")[rank])

    def feature_row(self, rank: int) -> bytes:
        """The features of the item of a place."""
        width = len(self.features) // len(self.items)
        return self.features[rank * width : (rank + 1) * width]

    def rewarded_mask(self, kind: RewardKind) -> int:
        """The items that got a reward of a kind, a bit a place."""
        return 0 if self.rewarded is None else self.rewarded.get(kind, 0)

    def has_positive_reaction(self, rank: int) -> bool:
        """Whether the shopper made something good of the item of a place: a dislike is no choice of it."""
        return any(
            masks >> rank & 1 for kind, masks in (self.rewarded or {}).items() if kind not in NON_POSITIVE
        )

    @property
    def has_reaction(self) -> bool:
        """Whether the shopper reacted to it, which is more than having seen it."""
        return self.rewarded is not None and (
            len(self.rewarded) > 1 or RewardKind.IMPRESSION not in self.rewarded
        )

    @property
    def is_truncated(self) -> bool:
        """Whether no more of it is held than what was reacted to."""
        return self.items[-1] == UNKNOWN_ITEM

    def truncate(self) -> "PublishedList":
        """The items that were reacted to, which later steps are matched with.

        Of all others nothing is held, and they count as seen: nobody can tell any more what was.

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
        """Take note of a reward: its kind and place, the places it made seen, its time."""
        outcome_mask = sum(1 << rank for rank in seen)
        self.seen |= outcome_mask
        if kind is RewardKind.IMPRESSION:
            self.window_start = max(self.window_start, ts)
        else:
            outcome_mask = 1 << position
        if self.rewarded is None:
            self.rewarded = {}
        self.rewarded[kind] = self.rewarded.get(kind, 0) | outcome_mask


def pack_propensities(propensities: Sequence[float]) -> bytes:
    """Propensities as `PublishedList.propensities` holds them.

    Examples
    --------
    >>> pack_propensities([1.0, 1.0]), len(pack_propensities([0.5, 0.25]))
    (b'', 16)
    """
    # The first place tells most policies that draw from those that do not.
    if not propensities or (propensities[0] == 1.0 and propensities.count(1.0) == len(propensities)):
        return b""
    return array("d", propensities).tobytes()
