"""A shop cut into several, for the benchmark of federations: each has items of its own, and sessions with them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import msgspec
import numpy as np

from stream_app.models.item_content import ItemContent
from stream_app.tools.bench.worded_shop import DEPARTMENTS, WordedShop
from stream_app.tools.evaluation.session_files import (
    Session,
    SessionClock,
    TimedSession,
    read_sessions,
    validation_split,
)
from topics.events import CatalogItem

SESSIONS_PER_DAY: Final = 4_000.0
_SWEEPS: Final = 5
_TEXT_DIMENSIONS: Final = 64
_GENERATED_ITEMS: Final = 4_000


class ShopCut(NamedTuple):
    """One of the shops.

    Attributes
    ----------
    train, test
        Sessions with items of this shop alone, oldest first.
    entries
        Its catalog; empty if nothing is known.
    content
        Computes the contents of the entries; None without entries.
    """

    items: frozenset[str]
    train: list[TimedSession]
    test: list[TimedSession]
    entries: list[CatalogItem]
    content: ItemContent | None


def item_groups(sessions: Sequence[Session], n_groups: int) -> dict[str, int]:
    """Groups of items that are clicked together, of about equal numbers of clicks.

    Items take the label that most of their neighbors in sessions have (label propagation), unless it has too many
    clicks; then labels are dealt to the groups, the largest first.

    References
    ----------
    Raghavan, Albert, Kumara: Near linear time algorithm to detect community structures in large-scale networks,
    Physical Review E 2007.

    Examples
    --------
    >>> item_groups([["a", "b"], ["b", "a"], ["x", "y"], ["y", "x"]], 2)
    {'a': 0, 'b': 0, 'x': 1, 'y': 1}
    """
    clicks = Counter(item for session in sessions for item in session)
    neighbors: dict[str, Counter[str]] = defaultdict(Counter)
    for session in sessions:
        for one, other in pairwise(session):
            if one != other:
                neighbors[one][other] += 1
                neighbors[other][one] += 1
    largest = sum(clicks.values()) / (2 * n_groups)
    label, size = {item: item for item in clicks}, Counter(clicks)
    for _ in range(_SWEEPS):
        for item, n_clicks in clicks.most_common():
            votes: Counter[str] = Counter()
            for other, count in neighbors[item].items():
                votes[label[other]] += count
            allowed = [
                (count, name) for name, count in votes.items() if size[name] + n_clicks <= max(largest, 4)
            ]
            if allowed:
                size[label[item]] -= n_clicks
                label[item] = max(allowed)[1]
                size[label[item]] += n_clicks
    group_of: dict[str, int] = {}
    load = [0] * n_groups
    for name, n_clicks in size.most_common():
        group_of[name] = load.index(min(load))
        load[group_of[name]] += n_clicks
    return {item: group_of[name] for item, name in label.items()}


def _deal(
    train: Sequence[Session],
    test: Sequence[Session],
    group_of: Mapping[str, int],
    n_shops: int,
    entries: Sequence[CatalogItem] = (),
    content: ItemContent | None = None,
) -> list[ShopCut]:
    """Give each shop the parts of the sessions with its items, if two clicks or more are left."""
    shops = [
        ShopCut(
            frozenset(item for item, group in group_of.items() if group == number),
            [],
            [],
            [entry for entry in entries if group_of.get(entry.item_id) == number],
            content,
        )
        for number in range(n_shops)
    ]
    clock = SessionClock(SESSIONS_PER_DAY)
    for part, sessions in (("train", train), ("test", test)):
        for session in sessions:
            counts = Counter(group_of[item] for item in session if item in group_of)
            if not counts:
                continue
            number = counts.most_common(1)[0][0]
            kept = [item for item in session if group_of.get(item) == number]
            if len(kept) > 1:
                getattr(shops[number], part).append(clock.timed_session(kept))
    return shops


def cut_sessions(path: Path, limit: int, validation_tail: int, n_shops: int) -> list[ShopCut]:
    """Cut a session file by groups of items that are clicked together in its train part."""
    split = validation_split(read_sessions(path), validation_tail, limit)
    return _deal(split.train, split.test, item_groups(split.train, n_shops), n_shops)


def cut_generated_shop(sessions: int, validation_tail: int, n_shops: int, seed: int) -> list[ShopCut]:
    """Cut a generated shop by departments; texts are known, and a tenth of the items is in test sessions alone."""
    shop = WordedShop(_GENERATED_ITEMS, usual_names=0.5, seed=seed)
    departments = {name: number for number, name in enumerate(DEPARTMENTS) if number < n_shops}
    entries = [msgspec.structs.replace(each, text_embedding=_embed(each.title)) for each in shop.entries]
    group_of = {
        each.item_id: departments[each.categories[0]] for each in entries if each.categories[0] in departments
    }
    old = round(0.9 * len(entries))
    train = [[entries[item].item_id for item in shop.session(old)] for _ in range(sessions)]
    test = [[entries[item].item_id for item in shop.session(len(entries))] for _ in range(validation_tail)]
    return _deal(train, test, group_of, n_shops, entries, ItemContent(_TEXT_DIMENSIONS))


def _embed(title: str | None) -> list[float]:
    """The sum of a fixed random vector for each word: the text encoder that all shops share."""
    vector = np.zeros(_TEXT_DIMENSIONS)
    for word in (title or "").lower().split():
        vector += np.random.default_rng(crc32(word.encode())).standard_normal(_TEXT_DIMENSIONS)
    return [float(value) for value in vector]
