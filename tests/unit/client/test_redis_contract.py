"""Keys and documents of the Redis contract."""

import re
from collections.abc import Callable
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.client.redis_contract import (
    GLOBAL_SEGMENT,
    SearchList,
    decode_list,
    decode_search_list,
    encode_list,
    escape_id,
    item_key,
    normalize_query,
    popular_key,
    query_key,
    search_key,
    user_key,
)
from topics.records import ListedItem, Reason, RecommendationList

KEYS = (user_key, item_key, popular_key, search_key)
HOSTILE_IDS = [
    "",
    " ",
    "{",
    "}",
    "{}",
    "a}b",
    "}:Q",
    "a{b} c",
    "%",
    "%7B",
    "a%20b",
    "a b",
    "é",
    "é",
    "🛒",
    "\x00",
    "\n",
    ":",
]
ids = st.text() | st.text("{}%:/ QaA0\\*é").map(lambda text: text[:8]) | st.sampled_from(HOSTILE_IDS)


@given(ids)
def test_escape_id_is_reversible(identifier: str) -> None:
    assert unquote(escape_id(identifier), errors="strict") == identifier


@given(ids)
def test_escaped_id_holds_only_safe_characters(identifier: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9\-._~:%]*", escape_id(identifier))


@given(ids, ids, st.sampled_from(KEYS), st.sampled_from(KEYS))
def test_keys_are_unique_across_ids_and_kinds(
    one: str, other: str, make: Callable[[str], str], make_other: Callable[[str], str]
) -> None:
    if (one, make) != (other, make_other):
        assert make(one) != make_other(other)


@given(ids.filter(bool))
def test_keys_of_one_user_share_a_cluster_slot(identifier: str) -> None:
    tags = {re.search(r"\{(.+?)\}", key(identifier)).group(1) for key in (user_key, search_key)}  # type: ignore[union-attr]
    assert tags == {escape_id(identifier)}


def test_keys_match_the_documented_format() -> None:
    assert user_key("U") == "recs:user:{U}"
    assert item_key("I") == "recs:item:{I}"
    assert search_key("U") == "recs:search:{U}:Q"
    assert popular_key("country:FR") == "recs:popular:{country:FR}"
    assert popular_key() == popular_key(GLOBAL_SEGMENT) == "recs:popular:{all}"


reasons = st.builds(Reason, st.text(), item_id=st.none() | st.text(), segment=st.none() | st.text())
finite = st.floats(allow_nan=False, allow_infinity=False)
lists = st.builds(
    RecommendationList,
    list_id=st.text(),
    key=st.text(),
    generated_at=st.text(),
    policy=st.text(),
    model_version=st.integers(0, 2**53),
    items=st.lists(st.builds(ListedItem, st.text(), finite, finite, reasons), max_size=5).map(tuple),
)


@given(lists)
def test_document_round_trip(document: RecommendationList) -> None:
    assert decode_list(encode_list(document)) == document


@given(lists)
def test_fields_of_a_newer_version_are_ignored(document: RecommendationList) -> None:
    newer = msgspec.json.decode(encode_list(document))
    newer["surprise"] = {"a": [1]}
    for item in newer["items"]:
        item["surprise"] = item["why"]["surprise"] = None
    assert decode_list(msgspec.json.encode(newer)) == document


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{}", b"\xff", b'{"list_id":1}', b"{" * 100])
def test_invalid_documents_raise_decode_error(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_list(raw)


@given(ids)
def test_query_key_ignores_case_and_white_space(query: str) -> None:
    key = query_key(query)
    assert re.fullmatch(r"recs:query:\{[A-Za-z0-9\-._~:%]*\}", key)
    for typed in (f"  {query}\t", normalize_query(query), query.replace(" ", "   ")):
        assert query_key(typed) == key


def test_different_queries_have_different_keys() -> None:
    keys = {query_key(query) for query in ("red shoes", "redshoes", "red shoe", "red", "")}
    assert len(keys) == 5
    assert query_key("Ärmel LANG") == query_key("ärmel lang")


def test_search_list_holds_its_query_and_decodes_as_a_plain_list() -> None:
    document = SearchList(
        list_id="l",
        key=search_key("u"),
        generated_at="",
        policy="p",
        model_version=1,
        items=(ListedItem("a", 0.5, 1.0, Reason("matches_search", query="tents")),),
        query="tents",
    )
    raw = encode_list(document)
    assert decode_search_list(raw) == document
    assert decode_list(raw).items == document.items
    with pytest.raises(msgspec.DecodeError):
        decode_search_list(encode_list(decode_list(raw)))
