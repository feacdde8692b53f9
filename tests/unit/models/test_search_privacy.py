"""What the search model keeps of the words that users typed, and shows to others."""

from typing import Any

import numpy as np
import pytest

from state.snapshots.encoding import encode_snapshot
from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS
from topics.queries import MAX_QUERY_LENGTH
from topics.records import Interaction, Kind, Line, Source

START = 1_700_000_000.0


class SearchLog:
    """Feeds a model set with searches, the choices after them, and erasures."""

    def __init__(self, *names: str, min_users: int = 2) -> None:
        self.models = ModelSet(
            names or ("search",), max_users=100, overrides={"search": {"min_users": min_users}}
        )
        self._offset = 0

    def search(self, user: str, query: str, *chosen: str) -> None:
        self._learn(Source.SEARCH, user, Kind.SEARCH, (), query=query)
        for item in chosen:
            self._learn(Source.CLICK, user, Kind.VIEW, (Line(item),))

    def erase(self, user: str) -> None:
        self._learn(Source.ERASURE, user, Kind.ERASE, ())

    def is_public(self, query: str) -> bool:
        [model] = [each for each in self.models.models if each.name == "search"]
        return bool(model.is_public(query))

    def candidates(self, query: str) -> list[str]:
        context = self.models.context("", (), (), 0, (), self.models.newest, query)
        [(_, found)] = [each for each in self.models.candidates(context, 20) if each[0].name == "search"]
        return self.models.index.ids_of(found.items.tolist())

    def snapshot(self) -> bytes:
        return encode_snapshot({"models": self.models.state()})

    def _learn(self, source: Source, user: str, kind: Kind, lines: tuple[Line, ...], query: str = "") -> None:
        self._offset += 1
        ts = START + 60.0 * self._offset
        assert self.models.learn(Interaction(source, 0, self._offset, ts, user, kind, lines, (), query))


@pytest.mark.parametrize("names", [("search",), tuple(MODELS)])
def test_the_words_of_an_erased_user_are_in_no_byte_of_a_snapshot(names: tuple[str, ...]) -> None:
    log = SearchLog(*names)
    log.search("bob", "red tent", "tent")
    log.search("cem", "red tent", "tent", "peg")
    log.search("ann", "Wüstenhofer tent  0171-5551234", "tent", "lamp")
    log.search("ann", "wüstenhofer red", "tent")
    assert b"5551234" in log.snapshot()
    log.erase("ann")
    after = log.snapshot()
    for typed in ("wüstenhofer", "0171", "5551234", "ann"):
        assert typed.encode() not in after
    assert b"red tent" in after
    assert log.candidates("wüstenhofer") == []
    assert log.candidates("red")[:1] == ["tent"]


def test_a_query_is_public_from_the_second_user_who_chose_an_item_on() -> None:
    log = SearchLog()
    log.search("ann", "red tent", "tent", "peg")
    log.search("ann", "red tent", "tent")
    log.search("bob", "red tent")
    assert not log.is_public("red tent")
    log.search("bob", " Red TENT", "peg")
    assert log.is_public("red tent")
    assert log.is_public("  RED tent")


def test_the_number_of_users_is_a_hyperparameter() -> None:
    log = SearchLog(min_users=4)
    for number in range(4):
        assert not log.is_public("tent")
        log.search(f"u{number}", "tent", "tent")
    assert log.is_public("tent")
    assert SearchLog(min_users=1).is_public("tent") is False


def test_every_character_of_a_query_counts_not_only_the_words_that_are_learned() -> None:
    log = SearchLog()
    log.search("ann", "a b c d e f g h secret", "x")
    log.search("bob", "a b c d e f g h", "x")
    log.search("ann", "mail: ann@example.com", "x")
    log.search("bob", "mail ann example com", "x")
    assert not log.is_public("a b c d e f g h secret")
    assert not log.is_public("mail: ann@example.com")
    long = "word " * MAX_QUERY_LENGTH
    for user in ("ann", "bob"):
        log.search(user, long, "x")
    assert not log.is_public(long)


def test_a_public_query_stays_when_one_of_its_users_is_erased_and_ends_with_the_last() -> None:
    log = SearchLog()
    log.search("ann", "red tent", "tent")
    log.search("bob", "red tent", "tent")
    log.erase("ann")
    assert log.is_public("red tent")
    assert log.candidates("red tent") == ["tent"]
    log.erase("bob")
    assert not log.is_public("red tent")
    assert log.candidates("red tent") == []
    assert log.models.pop_withdrawn_queries() == ["red tent"]
    assert log.models.pop_withdrawn_queries() == []
    assert b"tent" not in log.snapshot().replace(b"tent", b"", 1)  # the item


def test_further_users_keep_a_public_query() -> None:
    log = SearchLog()
    users = [f"u{number}" for number in range(20)]
    for user in users:
        log.search(user, "tent", "tent")
    for user in users[:10]:
        log.erase(user)
        log.search("new " + user, "tent", "tent")
    assert log.is_public("tent")


def test_an_erasure_drops_a_query_of_fewer_users_than_needed() -> None:
    log = SearchLog(min_users=3)
    log.search("ann", "ann and bob", "x")
    log.search("bob", "ann and bob", "x")
    log.search("cem", "other", "x")
    log.erase("bob")
    assert log.candidates("ann and bob") == []
    assert log.candidates("other") == ["x"]


def test_which_queries_are_public_does_not_depend_on_the_order_of_partitions() -> None:
    rng = np.random.default_rng(1)
    searches = [(f"u{rng.integers(30)}", f"query {rng.integers(12)}") for _ in range(60)]
    snapshots = []
    by_user = sorted(searches, key=lambda search: search[0])
    backwards = sorted(searches, key=lambda search: search[0], reverse=True)
    for order in (searches, by_user, backwards):
        log = SearchLog()
        for user, query in order:
            log.search(user, query, "x")
        for number in range(0, 30, 2):
            log.erase(f"u{number}")
        snapshots.append([(log.is_public(f"query {at}"), log.candidates(f"{at}")) for at in range(12)])
    assert snapshots[0] == snapshots[1] == snapshots[2]
    assert len({public for public, _ in snapshots[0]}) == 2


def old_state(log: SearchLog) -> dict[str, Any]:
    """The state as a version without users of queries wrote it."""
    state = log.models.state()
    search = state["models"]["search"]
    for key in ("texts", "text_users", "query_users", "word_users"):
        del search[key]
    del search["parameters"]["min_users"]
    search["format"] = 2
    return state


def test_a_state_of_an_earlier_version_is_loaded_and_its_queries_are_not_public() -> None:
    log, restored = SearchLog(), SearchLog()
    for user in ("ann", "bob"):
        log.search(user, "red tent", "tent")
    restored.models.restore(old_state(log))
    restored._offset = log._offset
    assert restored.candidates("red tent") == ["tent"]
    assert not restored.is_public("red tent")
    restored.search("cem", "red tent", "tent")
    assert not restored.is_public("red tent")
    restored.search("dan", "red tent", "tent")
    assert restored.is_public("red tent")


def test_an_erasure_drops_queries_of_a_state_of_an_earlier_version() -> None:
    log, restored = SearchLog(), SearchLog()
    log.search("ann", "secret", "x")
    restored.models.restore(old_state(log))
    restored._offset = log._offset
    for user in ("bob", "cem"):
        restored.search(user, "known", "x")
    restored.erase("ann")
    assert b"secret" not in restored.snapshot()
    assert restored.is_public("known")
    # what is typed later replaces what was dropped
    restored.search("dan", "fresh", "x")
    restored.erase("bob")
    assert restored.candidates("fresh") == ["x"]


def test_reasons_of_lists_for_all_name_public_words_only() -> None:
    log = SearchLog()
    for user in ("bob", "cem"):
        log.search(user, "red tent", "tent")
    log.search("ann", "purple boat", "boat")
    [model] = log.models.models
    for user, expected in (("", "purple tent"), ("ann", "purple")):
        context = log.models.context(user, (), (), 0, (), log.models.newest, "purple tent")
        found = model.candidates(context, 10)
        reasons = {
            log.models.index.id_of(item): model.explain(context, item, evidence).query
            for item, evidence in zip(found.items.tolist(), found.evidence.tolist(), strict=True)
        }
        assert reasons == {"tent": "tent", "boat": expected}


def test_private_texts_of_unknown_users_can_be_dropped_and_public_ones_stay() -> None:
    log = SearchLog()
    log.search("bob", "red tent", "tent")
    log.search("cem", "red tent", "tent", "peg")
    log.search("ann", "Wüstenhofer tent", "lamp")
    log.models.forget_private_texts()
    after = log.snapshot()
    assert "wüstenhofer".encode() not in after
    assert log.is_public("red tent")
    assert log.candidates("red tent")[:1] == ["tent"]
    assert log.models.pop_withdrawn_queries() == ["wüstenhofer tent"]
