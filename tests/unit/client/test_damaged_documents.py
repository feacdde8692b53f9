"""Damaged values in Redis count as absent, whatever is wrong with them."""

import msgspec
import pytest

from stream_app.client.fallback_chain import decode_list_or_none, first_usable_list
from stream_app.client.redis_contract import (
    SearchList,
    decode_list,
    decode_search_list,
    encode_list,
    is_erased,
)
from stream_app.client.search_order import decode_search_list_or_none
from topics.records import ListedItem, Reason, RecommendationList

LISTED = RecommendationList(
    list_id="l",
    key="k",
    generated_at="",
    policy="p",
    model_version=1,
    items=(ListedItem("a", 0.5, 1.0, Reason("popular")),),
)
SOUND = encode_list(LISTED)
DAMAGED = {
    "a text that is not UTF-8": SOUND.replace(b'"l"', b'"\xff"'),
    "half a character": SOUND.replace(b'"l"', b'"\xe6\xbc"'),
    "a surrogate": SOUND.replace(b'"l"', b'"\\ud800"'),
    "nested without an end": b'{"new":' + b"[" * 200_000,
    "nested too deep": b'{"new":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "cut off": SOUND[:-1],
}


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_value_counts_as_absent(raw: bytes) -> None:
    assert decode_list_or_none(raw) is None
    assert decode_search_list_or_none(raw) is None
    assert first_usable_list([raw, SOUND]) == LISTED
    for decode in (decode_list, decode_search_list):
        with pytest.raises(msgspec.DecodeError):
            decode(raw)


def test_the_value_of_an_erased_user_is_no_list() -> None:
    erased = b'{"owner":"000000000007","items":[]}'
    assert is_erased(erased)
    assert decode_list_or_none(erased) is None
    for other in (SOUND, erased[1:], erased[:-1], b'{"owner":"7","list_id":"l","items":[]}'):
        assert not is_erased(other)


def test_a_document_cannot_be_changed_by_the_page_that_reads_it() -> None:
    for struct in (RecommendationList, SearchList, ListedItem, Reason):
        assert struct.__struct_config__.frozen
