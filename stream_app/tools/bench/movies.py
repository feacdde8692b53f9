"""The films of MovieLens 100K with their titles, and choices of films that no user has rated before."""

import csv
import gzip
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from stream_app.errors import UserError
from stream_app.tools.bench.worded_shop import ColdChoice
from topics.events import CatalogItem

LIKED: Final = 4.0
"""Rating from which on a user likes a film."""

MAX_CONTEXT: Final = 8
"""Liked films of a context."""


class Movies(NamedTuple):
    """A catalog of films, and what users liked."""

    entries: list[CatalogItem]
    liked: dict[str, list[int]]  # numbers of films by user, in the order of time

    def cold_choices(self, count: int, *, seed: int, parts: int = 4) -> list[ColdChoice]:
        """Draw choices of films that count as new.

        The films are divided at random into parts, of which each in turn is new: its films are in no context. So
        every film is new once, and results do not depend on which ones are.
        """
        rng = np.random.default_rng(seed)
        part_of = rng.permutation(len(self.entries)) % parts
        found: list[ColdChoice] = []
        for films in self.liked.values():
            for part in range(parts):
                context: list[int] = []
                for film in films:
                    if part_of[film] != part:
                        context.append(film)
                    elif context:
                        found.append(ColdChoice(tuple(context[: -MAX_CONTEXT - 1 : -1]), film))
        drawn = rng.permutation(len(found))[:count]
        return [found[number] for number in drawn]


def read_movies(folder: Path) -> Movies:
    """Read `ml-100k.item.gz` and `ml-100k.inter.gz`, as RecBole distributes them.

    Raises
    ------
    UserError
        If a file cannot be read.
    """
    try:
        items, ratings = (_read_table(folder / f"ml-100k.{name}.gz") for name in ("item", "inter"))
    except (OSError, EOFError) as error:
        raise UserError(f"{folder} has no readable ml-100k.item.gz and ml-100k.inter.gz: {error}.") from None
    entries = [
        CatalogItem(
            ts=0, item_id=film, title=f"{title} {year}", categories=genres.split(), description=genres
        )
        for film, title, year, genres in items
    ]
    numbers = {entry.item_id: number for number, entry in enumerate(entries)}
    liked: dict[str, list[int]] = defaultdict(list)
    for user, film, rating, _ in sorted(ratings, key=lambda row: float(row[3])):
        if float(rating) >= LIKED:
            liked[user].append(numbers[film])
    return Movies(entries, dict(liked))


def _read_table(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
