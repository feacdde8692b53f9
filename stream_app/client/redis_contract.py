"""The Redis contract: keys and documents. `docs/redis.md` tells it to any language.

The braces are part of a key: Redis Cluster's hash tag, so that a shopper's keys share a slot.
"""

from typing import Final
from urllib.parse import quote

import msgspec

from topics.records import RecommendationList

MAX_QUERY_LENGTH: Final = 200
"""Longest query, in characters, that lists are published for: keys are for reading."""

GLOBAL_SEGMENT: Final = "all"
"""The segment every shopper belongs to."""

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(RecommendationList)


def escape_id(identifier: str) -> str:
    """An id as it stands in a key: percent-encoded but for letters, digits and ``-._~:``.

    Examples
    --------
    >>> escape_id("a{b} c")
    'a%7Bb%7D%20c'
    >>> escape_id("country:FR")
    'country:FR'
    """
    return identifier if identifier.isalnum() and identifier.isascii() else quote(identifier, safe=":")


def user_key(user_id: str) -> str:
    """Key of a shopper's list.

    Examples
    --------
    >>> user_key("u1")
    'recs:user:{u1}'
    """
    return f"recs:user:{{{escape_id(user_id)}}}"


def item_key(item_id: str) -> str:
    """Key of the list of similar and bought-together items.

    Examples
    --------
    >>> item_key("i 1")
    'recs:item:{i%201}'
    """
    return f"recs:item:{{{escape_id(item_id)}}}"


def popular_key(segment: str = GLOBAL_SEGMENT) -> str:
    """Key of what is trending in a segment: ``all``, ``country:FR``, ``channel:web``, ``category:shoes``.

    Examples
    --------
    >>> popular_key("country:FR")
    'recs:popular:{country:FR}'
    """
    return f"recs:popular:{{{escape_id(segment)}}}"


def search_key(user_id: str) -> str:
    """Key of the personal order of a shopper's last search.

    Examples
    --------
    >>> search_key("u1")
    'recs:search:{u1}:Q'
    """
    return f"recs:search:{{{escape_id(user_id)}}}:Q"


def normalize_query(query: str) -> str:
    """Search words as lists know them: in lower case, without white space at the ends, one blank between words.

    Examples
    --------
    >>> normalize_query("  Red   SHOES ")
    'red shoes'
    """
    return " ".join(query.lower().split())


def query_key(query: str) -> str:
    """Key of what people choose after a query, by its `normalize_query`.

    Examples
    --------
    >>> query_key("Red Shoes")
    'recs:query:{red%20shoes}'
    """
    return f"recs:query:{{{escape_id(normalize_query(query))}}}"


class SearchList(RecommendationList, frozen=True, kw_only=True):
    """The document behind ``recs:search`` and ``recs:query``: a list that is of certain search words.

    Attributes
    ----------
    query
        The `normalize_query` of the words.
    """

    query: str


_search_decoder: Final = msgspec.json.Decoder(SearchList)


def encode_list(document: RecommendationList) -> bytes:
    """JSON bytes of a list."""
    return _encoder.encode(document)


def decode_list(raw: bytes) -> RecommendationList:
    """The list in JSON bytes.

    Raises
    ------
    msgspec.DecodeError
        If it is none.

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
    return _decoder.decode(raw)


def decode_search_list(raw: bytes) -> SearchList:
    """The list of search words in JSON bytes.

    Raises
    ------
    msgspec.DecodeError
        If it is none.
    """
    return _search_decoder.decode(raw)
