"""The rules that every list satisfies, as plain data: light, so that settings can check them.

`stream_app.ranking.diversity` applies them.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, get_args

GroupKind = Literal["new", "long_tail", "category", "brand", "seller"]
"""Property that defines a group of items."""

NEW_ITEM_SECONDS: Final = 86_400.0
"""An item is new until this long after its first interaction."""

HEAD_SHARE: Final = 0.8
"""Share of all interactions that the most popular items, the head, have; all other items are the long tail."""

MAX_FLOORS: Final = 32
"""Maximum number of groups with a floor."""

_FLOOR_POOL_FACTOR: Final = 10
_RERANK_POOL_FACTOR: Final = 3
_MAX_POOL: Final = 400


class Floor(NamedTuple):
    """Minimum number of items of a group on each list."""

    kind: GroupKind  # ``new``, ``long_tail``, or one of ``category``, ``brand`` and ``seller``
    name: str  # name of the category, brand or seller; empty for other kinds
    min_items: int  # minimum number of items, if there are as many candidates


class ListRules(NamedTuple):
    """Rules that a list satisfies besides relevance."""

    # weight of dissimilarity against relevance, from 0 (relevance alone) to 1 (dissimilarity alone)
    diversity: float = 0.0
    # max_per_category, max_per_brand, max_per_seller: maximum number of items of one narrowest category,
    # brand or seller; 0 for no cap
    max_per_category: int = 0
    max_per_brand: int = 0
    max_per_seller: int = 0
    floors: tuple[Floor, ...] = ()  # groups with a minimum number of items

    @property
    def disabled(self) -> bool:
        """Whether there are no rules."""
        return not (self.diversity or self.floors or any(self.caps))

    @property
    def caps(self) -> tuple[int, int, int]:
        """The caps by category, brand and seller."""
        return self.max_per_category, self.max_per_brand, self.max_per_seller

    def pool_size(self, length: int) -> int:
        """Number of candidates to select a list of `length` from; members of a floor's group may rank low.

        Examples
        --------
        >>> [rules.pool_size(20) for rules in (ListRules(), ListRules(diversity=0.3), ListRules(max_per_brand=2))]
        [20, 60, 60]
        >>> ListRules(floors=parse_floors("new:2")).pool_size(20)
        200
        """
        if self.disabled:
            return length
        return min(
            max(length, _MAX_POOL), length * (_FLOOR_POOL_FACTOR if self.floors else _RERANK_POOL_FACTOR)
        )


NO_RULES: Final = ListRules()


def parse_floors(text: str) -> tuple[Floor, ...]:
    """Parse floors as in settings: comma-separated, each a group, a colon and a number of items.

    Parameters
    ----------
    text
        Such as ``new:2,long_tail:1,brand:acme:1,category:shoes:2``. A name may contain colons, but no comma.

    Raises
    ------
    ValueError
        If the text is invalid; the message names the part and the expected format.

    Examples
    --------
    >>> parse_floors("new:2, brand:acme:1")
    (Floor(kind='new', name='', min_items=2), Floor(kind='brand', name='acme', min_items=1))
    >>> parse_floors("fresh:2")
    Traceback (most recent call last):
    ValueError: there is no group 'fresh', only new, long_tail, category:NAME, brand:NAME and seller:NAME
    """
    parsed: dict[tuple[GroupKind, str], Floor] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        group, _, count = part.rpartition(":")
        kind_name, separator, name = group.partition(":")
        kind = _KINDS.get(kind_name.strip())
        if not group:
            raise ValueError(f"{part!r} has no number of items: write it as GROUP:ITEMS")
        if kind is None:
            raise ValueError(
                f"there is no group {kind_name.strip()!r}, only new, long_tail, category:NAME, brand:NAME "
                "and seller:NAME"
            )
        if (kind in _LABEL_KINDS) != bool(separator and name.strip()):
            expected_format = f"{kind}:NAME:ITEMS" if kind in _LABEL_KINDS else f"{kind}:ITEMS"
            raise ValueError(f"{part!r} is not in the format {expected_format}")
        if not count.strip().isascii() or not count.strip().isdigit() or int(count) == 0:
            raise ValueError(f"{part!r} has {count.strip()!r} instead of a number of items above 0")
        key = (kind, name.strip())
        if key in parsed:
            raise ValueError(f"{group!r} is given twice")
        parsed[key] = Floor(*key, int(count))
    if len(parsed) > MAX_FLOORS:
        raise ValueError(f"{len(parsed)} groups have a floor; at most {MAX_FLOORS} are possible")
    return tuple(parsed.values())


_KINDS: Final[Mapping[str, GroupKind]] = {kind: kind for kind in get_args(GroupKind)}
_LABEL_KINDS: Final = frozenset({"category", "brand", "seller"})
