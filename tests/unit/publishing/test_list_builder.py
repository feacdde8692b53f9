"""Which lists of a user are built, and what is measured of them."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from stream_app.client.redis_contract import decode_list
from stream_app.models.two_tower import SIMILAR_TASTE
from stream_app.publishing import list_builder
from stream_app.publishing.list_builder import ListBuilder, UserLists
from stream_app.ranking.ranker import RankedList
from tests.support.in_memory_worker import InMemoryWorker
from topics.records import ListedItem, Reason

AT = "2026-01-01T00:00:00.000Z"


class FixedRanker:
    """Ranks the same items for everybody."""

    def __init__(self) -> None:
        self.sources = ["popular"] * 3
        self.results: tuple[str, ...] = ("a", "b")
        self.neural_version = ""
        self.searched: list[str] = []

    def rank_user(self, _request: object) -> RankedList:
        items = tuple(ListedItem(f"i{at}", 0.5, 1.0, Reason(name)) for at, name in enumerate(self.sources))
        return RankedList(items, "fixed", 7, neural_version=self.neural_version)

    def rank_search(self, _request: object, query: str, _results: object, **_options: Any) -> RankedList:
        self.searched.append(query)
        return RankedList(tuple(ListedItem(name, 0.5, 1.0, Reason("r")) for name in self.results), "s", 7)


@pytest.fixture
def ranker() -> FixedRanker:
    return FixedRanker()


@pytest.fixture
def build(worker: InMemoryWorker, ranker: FixedRanker) -> Callable[..., UserLists]:
    builder = ListBuilder(ranker, worker.rows, worker.metrics)  # type: ignore[arg-type]

    def build_lists(user: str = "ann", *, with_search: bool = True) -> UserLists:
        lists = builder.build_user_lists(user, AT, degraded=False, with_search=with_search)
        assert lists is not None
        return lists

    return build_lists


def test_the_seconds_of_a_ranking_are_those_it_took(
    worker: InMemoryWorker, build: Callable[..., UserLists]
) -> None:
    worker.accept(worker.search("ann", "red", "a"))
    before = time.perf_counter()
    build()
    elapsed = time.perf_counter() - before
    assert worker.count("ranking_seconds_count") == 2
    assert 0.0 < worker.count("ranking_seconds_sum") <= elapsed


def test_the_last_search_of_the_session_is_ranked_also_if_it_began_it(
    worker: InMemoryWorker, ranker: FixedRanker, build: Callable[..., UserLists]
) -> None:
    worker.accept(worker.search("ann", "first", "a"))
    assert build().search is not None
    worker.clock.now += 1.0
    worker.accept(worker.search("ann", "second", "a"))
    worker.clock.now += 1.0
    worker.accept(worker.search("ann", "third", "a"))
    assert build().search is not None
    assert build(with_search=False).search is None
    worker.clock.now += 100_000.0
    worker.accept(worker.click("ann", "b"))
    assert build().search is None
    assert ranker.searched == ["first", "third"]


def test_a_search_without_listed_items_and_a_user_without_a_search_have_no_search_list(
    worker: InMemoryWorker, ranker: FixedRanker, build: Callable[..., UserLists]
) -> None:
    worker.accept(worker.click("bob", "a"), worker.search("ann", "red", "a"))
    assert build("bob").search is None
    ranker.results = ()
    assert build().search is None
    assert worker.count("ranking_seconds_count") == 2


def test_items_that_the_two_tower_model_brought_are_counted_while_it_takes_part(
    worker: InMemoryWorker, ranker: FixedRanker, build: Callable[..., UserLists]
) -> None:
    worker.accept(worker.click("ann", "a"))
    ranker.sources = [SIMILAR_TASTE, "popular", SIMILAR_TASTE]
    build()
    neural = worker.metrics.neural
    counters = (neural.list_items, neural.brought_items)
    assert [each._value.get() for each in counters] == [0.0, 0.0]
    ranker.neural_version = "v1"
    build()
    assert [each._value.get() for each in counters] == [3.0, 2.0]


def test_a_list_of_the_largest_size_is_not_shortened(
    worker: InMemoryWorker, build: Callable[..., UserLists], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.accept(worker.click("ann", "a"))
    size = len(build().recommended.log_value)
    monkeypatch.setattr(list_builder, "MAX_LIST_BYTES", size)
    assert len(decode_list(build().recommended.log_value).items) == 3
    assert worker.count("lists_shortened_total") == 0
    monkeypatch.setattr(list_builder, "MAX_LIST_BYTES", size - 1)
    assert len(decode_list(build().recommended.log_value).items) == 2
    assert worker.count("lists_shortened_total") == 1
