"""The Redis contract: keys and documents. `docs/redis.md` describes it for any language.

The braces are part of a key: they are the hash tag of Redis Cluster, so that all keys of a user share a slot.
"""

from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from topics.queries import MAX_QUERY_LENGTH, normalize_query
from topics.records import RecommendationList

__all__ = [
    "GLOBAL_SEGMENT",
    "MAX_QUERY_LENGTH",
    "SearchList",
    "decode_list",
    "decode_search_list",
    "encode_list",
    "escape_id",
    "is_erased",
    "item_key",
    "normalize_query",
    "popular_key",
    "query_key",
    "search_key",
    "user_key",
]

GLOBAL_SEGMENT: Final = "all"
"""The segment of all users."""

_ListT = TypeVar("_ListT", bound=RecommendationList)
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(RecommendationList)


def escape_id(identifier: str) -> str:
    """Percent-encode an id for a key; letters, digits and ``-._~:`` stay.

    Examples
    --------
    >>> escape_id("a{b} c")
    'a%7Bb%7D%20c'
    >>> escape_id("country:FR")
    'country:FR'
    """
    return identifier if identifier.isalnum() and identifier.isascii() else quote(identifier, safe=":")


def user_key(user_id: str) -> str:
    """Key of a user's list.

    Examples
    --------
    >>> user_key("u1")
    'recs:user:{u1}'
    """
    return f"recs:user:{{{escape_id(user_id)}}}"


def item_key(item_id: str) -> str:
    """Key of the list of items related to an item.

    Examples
    --------
    >>> item_key("i 1")
    'recs:item:{i%201}'
    """
    return f"recs:item:{{{escape_id(item_id)}}}"


def popular_key(segment: str = GLOBAL_SEGMENT) -> str:
    """Key of the trending items of a segment: ``all``, ``country:FR``, ``channel:web``, ``category:shoes``.

    Examples
    --------
    >>> popular_key("country:FR")
    'recs:popular:{country:FR}'
    """
    return f"recs:popular:{{{escape_id(segment)}}}"


def search_key(user_id: str) -> str:
    """Key of the ranked results of a user's last search.

    Examples
    --------
    >>> search_key("u1")
    'recs:search:{u1}:Q'
    """
    return f"recs:search:{{{escape_id(user_id)}}}:Q"


def query_key(query: str) -> str:
    """Key of the items that users choose after a query; the query is normalized.

    Examples
    --------
    >>> query_key("Red Shoes")
    'recs:query:{red%20shoes}'
    """
    return f"recs:query:{{{escape_id(normalize_query(query))}}}"


class SearchList(RecommendationList, frozen=True, kw_only=True):
    """The document of ``recs:search`` and ``recs:query`` keys: a list for a query.

    Attributes
    ----------
    query
        The normalized query.
    """

    query: str


_search_decoder: Final = msgspec.json.Decoder(SearchList)


def encode_list(document: RecommendationList) -> bytes:
    """Encode a list as JSON."""
    return _encoder.encode(document)


def is_erased(raw: bytes) -> bool:
    """Whether a value is that of an erased user: for some minutes it replaces the list.

    Examples
    --------
    >>> is_erased(b'{"owner":"000000000007","items":[]}')
    True
    """
    return raw.startswith(b'{"owner":') and raw.endswith(b',"items":[]}') and b'"list_id"' not in raw


def decode_list(raw: bytes) -> RecommendationList:
    """Decode a list from JSON.

    Raises
    ------
    msgspec.DecodeError
        If the bytes are not a list.

    Examples
    --------
    >>> from topics.records import Reason
    >>> from topics.records import ListedItem
    >>> item = ListedItem("a", 0.5, 1.0, Reason("popular", segment="all"))
    >>> document = RecommendationList(list_id="l", key=popular_key(), generated_at="2026-01-01T00:00:00.000Z",
    ...                               policy="fixed", model_version=1, items=(item,))
    >>> decode_list(encode_list(document)) == document
    True
    """
    return _decode(_decoder, raw)


def decode_search_list(raw: bytes) -> SearchList:
    """Decode a search list from JSON.

    Raises
    ------
    msgspec.DecodeError
        If the bytes are not a search list.
    """
    return _decode(_search_decoder, raw)


def _decode(decoder: msgspec.json.Decoder[_ListT], raw: bytes) -> _ListT:
    try:
        return decoder.decode(raw)
    except (UnicodeDecodeError, RecursionError) as error:
        # msgspec's errors of a text that is not UTF-8, and of nesting without an end, are of other classes.
        raise msgspec.DecodeError(str(error)) from None
