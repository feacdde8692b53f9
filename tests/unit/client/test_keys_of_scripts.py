"""Identifiers of every script: each has keys of its own, from which it can be read, and reaches no other key."""

import re
import unicodedata
from collections.abc import Callable
from random import Random
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.client.redis_contract import (
    MAX_QUERY_LENGTH,
    item_key,
    normalize_query,
    popular_key,
    query_key,
    search_key,
    user_key,
)
from tests.fuzz.identifiers import SCRIPTS, SPECIAL, random_id
from tests.support import ROOT

KINDS: dict[str, Callable[[str], str]] = {
    "user": user_key,
    "item": item_key,
    "popular": popular_key,
    "search": search_key,
    "query": query_key,
}

identifiers = st.one_of(
    st.text(min_size=1),
    st.sampled_from(SCRIPTS).flatmap(
        lambda block: st.text(st.characters(min_codepoint=block[0], max_codepoint=block[1]), min_size=1)
    ),
    st.lists(st.sampled_from(SPECIAL) | st.text(max_size=3), min_size=1, max_size=4).map("".join),
).filter(bool)
"""Ids of one script, of any characters, and of pieces that mean something in a key, a pattern or a document."""


def parse(key: str) -> tuple[str, str]:
    """The kind and the identifier of a key, as a reader in any language finds them."""
    match = re.fullmatch(r"recs:([a-z]+):\{([^{}]*)\}(:Q)?", key)
    assert match is not None, key
    assert (match[1] == "search") == (match[3] is not None)
    return match[1], unquote(match[2], errors="strict")


@given(identifiers, st.sampled_from(sorted(KINDS)))
def test_a_key_tells_its_kind_and_its_identifier(identifier: str, kind: str) -> None:
    expected = normalize_query(identifier) if kind == "query" else identifier
    assert parse(KINDS[kind](identifier)) == (kind, expected)


@given(identifiers, identifiers, st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(KINDS)))
def test_two_identifiers_share_a_key_only_if_they_are_the_same(
    one: str, other: str, kind: str, other_kind: str
) -> None:
    same_query = kind == other_kind == "query" and normalize_query(one) == normalize_query(other)
    same = (kind, one) == (other_kind, other) or same_query
    assert (KINDS[kind](one) == KINDS[other_kind](other)) == same


@given(identifiers, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_forms_of_the_same_text_are_different_identifiers(identifier: str, form: str) -> None:
    normalized = unicodedata.normalize(form, identifier)  # type: ignore[arg-type]
    assert (user_key(normalized) == user_key(identifier)) == (normalized == identifier)


@given(identifiers)
def test_a_key_holds_no_character_that_a_command_or_a_pattern_interprets(identifier: str) -> None:
    for make in KINDS.values():
        assert re.fullmatch(r"[A-Za-z0-9:{}%._~-]+", make(identifier))


@given(st.text())
def test_a_normalized_query_stays_as_it_is(query: str) -> None:
    assert normalize_query(normalize_query(query)) == normalize_query(query)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_ten_thousand_identifiers_have_ten_thousand_keys(kind: str) -> None:
    random = Random(15)
    made = {random_id(random) for _ in range(10_000)}
    if kind == "query":
        made = {normalize_query(each) for each in made}
    assert len({KINDS[kind](each) for each in made}) == len(made)


def test_a_query_with_a_list_has_200_characters_at_most() -> None:
    page = (ROOT / "docs" / "redis.md").read_text()
    assert re.findall(r"more than (\d+) characters have no list", page) == [str(MAX_QUERY_LENGTH)] == ["200"]
