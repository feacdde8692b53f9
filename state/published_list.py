"""One published list as it is remembered: what stood on it, and what is known of its fate."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from topics.records import NO_CHOICE, RewardKind

UNKNOWN: Final = ""
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
    since
        When it was published last, or known to be shown: windows run from here.
    seen
        A bit an item, by its place: whether it is known to have been seen.
    given
        For each kind of reaction a bit an item: whether it was rewarded. For impressions: whether one made it seen.
    """

    list_id: str
    policy: str
    at: float
    items: tuple[str, ...]
    propensities: bytes = b""
    features: bytes = b""
    search: bool = False
    since: float = 0.0
    seen: int = 0
    given: dict[RewardKind, int] | None = None

    def place(self, item_id: str) -> int:
        """The place of an item, from 0; -1 where it is not on the list."""
        return self.items.index(item_id) if item_id in self.items else -1

    def propensity(self, place: int) -> float:
        """The probability with which the policy put the item of a place there."""
        if not self.propensities:
            return 1.0
        return float(memoryview(self.propensities).cast("d")[place])

    def row(self, place: int) -> bytes:
        """The features of the item of a place."""
        width = len(self.features) // len(self.items)
        return self.features[place * width : (place + 1) * width]

    def was_given(self, kind: RewardKind) -> int:
        """The items that got a reward of a kind, a bit a place."""
        return 0 if self.given is None else self.given.get(kind, 0)

    def reacted_to(self, place: int) -> bool:
        """Whether the shopper made something good of the item of a place: a dislike is no choice of it."""
        return any(
            places >> place & 1 for kind, places in (self.given or {}).items() if kind not in NO_CHOICE
        )

    @property
    def reacted(self) -> bool:
        """Whether the shopper reacted to it, which is more than having seen it."""
        return self.given is not None and (len(self.given) > 1 or RewardKind.IMPRESSION not in self.given)

    @property
    def is_remnant(self) -> bool:
        """Whether no more of it is held than what was reacted to."""
        return self.items[-1] == UNKNOWN

    def remnant(self) -> "PublishedList":
        """The items that were reacted to, which later steps are matched with.

        Of all others nothing is held, and they count as seen: nobody can tell any more what was.

        Examples
        --------
        >>> listed = PublishedList("l", "fixed", 100.0, ("shoe", "sock", "hat"))
        >>> listed.mark(RewardKind.CLICK, 1, (0, 1), 110.0)
        >>> listed.remnant().items
        ('', 'sock', '')
        """
        reacted = 0
        for kind, places in (self.given or {}).items():
            if kind is not RewardKind.IMPRESSION:
                reacted |= places
        length = min(reacted.bit_length(), len(self.items))
        held = [bool(reacted >> at & 1) for at in range(length)] + [False]
        nothing = bytes(len(self.features) // len(self.items))
        return PublishedList(
            self.list_id,
            self.policy,
            self.at,
            tuple([self.items[at] if is_held else UNKNOWN for at, is_held in enumerate(held)]),
            packed([self.propensity(at) if is_held else 1.0 for at, is_held in enumerate(held)]),
            b"".join([self.row(at) if is_held else nothing for at, is_held in enumerate(held)]),
            self.search,
            self.since,
            (1 << len(held)) - 1,
            self.given,
        )

    def mark(self, kind: RewardKind, position: int, seen: Iterable[int], ts: float) -> None:
        """Take note of a reward: its kind and place, the places it made seen, its time."""
        shown = sum(1 << place for place in seen)
        self.seen |= shown
        if kind is RewardKind.IMPRESSION:
            self.since = max(self.since, ts)
        else:
            shown = 1 << position
        if self.given is None:
            self.given = {}
        self.given[kind] = self.given.get(kind, 0) | shown


def packed(propensities: Sequence[float]) -> bytes:
    """Propensities as `PublishedList.propensities` holds them.

    Examples
    --------
    >>> packed([1.0, 1.0]), len(packed([0.5, 0.25]))
    (b'', 16)
    """
    # The first place tells most policies that draw from those that do not.
    if not propensities or (propensities[0] == 1.0 and propensities.count(1.0) == len(propensities)):
        return b""
    return array("d", propensities).tobytes()
