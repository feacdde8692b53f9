"""Feeds a ranker of search results with the events of users."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stream_app.ranking.kernels.feature_table import ResultFeature
from stream_app.ranking.search.results_ranker import ResultsRanker
from topics.records import Interaction, Kind, Line, Source

START = 1_700_000_000.0
LIST = tuple("abcdefgh")
PRICES = (80.0, 60.0, 120.0, 75.0, 200.0, 40.0, 90.0, 55.0)


class InteractionLog:
    """Feeds a ranker with events, a minute apart by default."""

    def __init__(self, **parameters: Any) -> None:
        self.results = ResultsRanker(**parameters)
        self.now = START

    def _learn(self, source: Source, user: str, kind: Kind, items: Sequence[str], **fields: Any) -> None:
        self.now += 60.0
        lines = tuple(Line(item) for item in items)
        self.results.on_interaction(Interaction(source, 0, 0, self.now, user, kind, lines, **fields))

    def view(self, user: str, item: str, kind: Kind = Kind.VIEW) -> None:
        self._learn(Source.CLICK, user, kind, [item])

    def search(self, user: str, query: str) -> None:
        self._learn(Source.SEARCH, user, Kind.SEARCH, [], query=query)

    def find(
        self, user: str, results: Sequence[str] = LIST, prices: Sequence[float] = PRICES, query: str = "q"
    ) -> None:
        """A search with its results."""
        self._learn(
            Source.SEARCH,
            user,
            Kind.SEARCH,
            [],
            query=query,
            shown=tuple(results),
            shown_prices=tuple(prices),
        )

    def buy(self, user: str, *items: str) -> None:
        """A purchase without displayed items."""
        self._learn(Source.PURCHASE, user, Kind.PURCHASE, items)

    def choose(
        self, user: str, *items: str, displayed: Sequence[str] = LIST, prices: Sequence[float] = PRICES
    ) -> None:
        self._learn(
            Source.PURCHASE, user, Kind.PURCHASE, items, shown=tuple(displayed), shown_prices=tuple(prices)
        )

    def order(self, user: str, displayed: Sequence[str] = LIST, prices: Sequence[float] = PRICES) -> str:
        return "".join(
            displayed[rank] for rank in self.results.order(user, displayed, prices, self.now + 60.0).tolist()
        )

    def feature(self, feature: ResultFeature, user: str, displayed: Sequence[str] = LIST) -> list[float]:
        written = self.results.features(user, displayed, PRICES[: len(displayed)], self.now + 60.0)
        return [round(float(value), 4) for value in written[:, feature]]


def shuffled(rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(LIST[at] for at in rng.permutation(len(LIST)))


def learn_random(log: InteractionLog, start: int, stop: int) -> InteractionLog:
    rng = np.random.default_rng(start)
    for n in range(start, stop):
        user = f"u{rng.integers(12)}"
        log.view(user, LIST[rng.integers(8)], Kind(int(rng.integers(3))))
        log.search(user, LIST[rng.integers(8)] if n % 3 else "words")
        log.find(user, shuffled(rng))
        log.view(user, LIST[rng.integers(8)])
        log.choose(user, LIST[rng.integers(8)], displayed=shuffled(rng))
    return log
