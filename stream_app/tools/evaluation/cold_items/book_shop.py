"""A generated bookshop: other words, other pictures and other behavior than `stream_app.tools.bench.worded_shop`."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Matrix, Scores
from stream_app.tools.evaluation.cold_items.book_covers import draw_cover
from stream_app.tools.evaluation.cold_items.book_topics import COUNTRIES, FORMATS, LOOKS, PUBLISHERS, TOPICS
from stream_app.tools.evaluation.cold_items.shops import ShopSession
from topics.events import CatalogItem

_NEARNESS: Final = 5.0
"""How much more often a near book follows: odds are exp(this times the product of the vectors)."""

_CONTINUED: Final = 0.85
"""Share of the choices that are near the book before; the others begin a new subject."""

_LOOK_WEIGHT: Final = 0.6


class BookShop:
    """Books on two topics each, of users with lasting tastes who walk from a book to a near one.

    Titles have words of the topics, drawn from a dozen each, so that books on the same topic seldom share a word.
    Popularity differs. The tastes of a country differ from those of others. Publishers print every topic, formats
    mean nothing.

    Parameters
    ----------
    items, users
        Their numbers.
    seed
        Of everything that is drawn.

    Attributes
    ----------
    entries : list of CatalogItem
        The catalog, by item number.
    """

    name: Final = "books"

    def __init__(self, items: int, users: int, seed: int) -> None:
        self._seed = seed
        rng = np.random.default_rng([seed, 20])
        n_topics = len(TOPICS)
        self._first = rng.integers(n_topics, size=items)
        self._second = (self._first + rng.integers(1, n_topics, size=items)) % n_topics
        self._share = rng.uniform(0.55, 0.95, items)
        self._look = rng.integers(len(LOOKS), size=items)
        self._popularity: Scores = rng.lognormal(0.0, 0.7, items).astype(np.float32)
        self._vectors = self._make_vectors()
        self.entries: Final = [self._entry(number, rng) for number in range(items)]
        self._rng = np.random.default_rng([seed, 21])
        self._countries = self._rng.integers(len(COUNTRIES), size=users)
        of_countries = self._rng.dirichlet(np.full(n_topics, 0.3), len(COUNTRIES))
        # each user likes a few topics, more often those of the country
        concentration = 0.05 + 3.0 * of_countries[self._countries]
        gammas = self._rng.gamma(concentration) + 1e-9
        self._tastes: NDArray[np.float64] = gammas / gammas.sum(axis=1, keepdims=True)

    def pictures(self) -> Iterator[bytes]:
        """A cover of each book.

        Raises
        ------
        UserError
            If Pillow is not installed.
        """
        rng = np.random.default_rng([self._seed, 22])
        columns = (self._first, self._second, self._share, self._look)
        for first, second, share, look in zip(*(column.tolist() for column in columns), strict=True):
            yield draw_cover(first, second, share, look, rng)

    def session(self, number: int, available: int) -> ShopSession:
        """Draw a session on the first `available` books."""
        user = number % len(self._tastes)
        items: list[int] = []
        current = self._begin(user, available)
        for _ in range(int(self._rng.integers(2, 7))):
            items.append(current)
            if self._rng.random() < _CONTINUED:
                odds = self._odds(current)[:available].astype(np.float64)
                odds[items] = 0.0
                current = int(self._rng.choice(available, p=odds / odds.sum()))
            else:
                current = self._begin(user, available)
        country = COUNTRIES[int(self._countries[user])]
        return ShopSession(f"user-{user}", list(dict.fromkeys(items)), {"country": country})

    def ideal_scores(self, context: Sequence[int]) -> Scores:
        """How probable each book is after a context, the newest first, to one who knows topics and popularity."""
        return self._odds(context[0])

    def _begin(self, user: int, available: int) -> int:
        topics = self._vectors[:available, : len(TOPICS)]
        odds = self._popularity[:available] * (topics @ self._tastes[user].astype(np.float32)) ** 2
        total = odds.astype(np.float64)
        return int(self._rng.choice(available, p=total / total.sum()))

    def _odds(self, current: int) -> Scores:
        odds: Scores = self._popularity * np.exp(_NEARNESS * (self._vectors @ self._vectors[current]))
        return odds

    def _make_vectors(self) -> Matrix:
        """Topics and look of each book, shape (items, topics + looks); the part of the topics has length 1."""
        rows = np.arange(len(self._first))
        vectors = np.zeros((len(rows), len(TOPICS) + len(LOOKS)), np.float32)
        vectors[rows, self._first] = self._share
        vectors[rows, self._second] = 1.0 - self._share
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[rows, len(TOPICS) + self._look] = _LOOK_WEIGHT
        return vectors

    def _entry(self, number: int, rng: np.random.Generator) -> CatalogItem:
        first, second = TOPICS[int(self._first[number])], TOPICS[int(self._second[number])]
        look = LOOKS[int(self._look[number])]
        main, other, further = (str(word) for word in rng.choice(first, 3, replace=False))
        description = f"With chapters on {further} and {rng.choice(second)}. {rng.integers(80, 900)} pages."
        return CatalogItem(
            ts=0,
            item_id=f"book-{number}",
            title=f"{main} and {other}: {rng.choice(look)}".capitalize(),
            description=description,
            categories=[FORMATS[int(rng.integers(len(FORMATS)))]],
            brand=PUBLISHERS[int(rng.integers(len(PUBLISHERS)))],
            price=float(np.round(rng.lognormal(2.7, 0.5), 2)),
        )
