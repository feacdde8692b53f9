"""A ranked list as the document that goes to Redis, and as the record that goes to Kafka."""

from binascii import b2a_base64
from hashlib import blake2b

from msgspec import structs

from stream_app.client.redis_contract import SearchList, encode_list, normalize_query
from stream_app.publishing.publisher import Document
from stream_app.ranking.ranker import RankedList
from topics.records import RecommendationList


def build_list(
    key: str,
    ranked: RankedList,
    generated_at: str,
    *,
    events: int = 0,
    query: str | None = None,
    degraded: bool = False,
) -> RecommendationList:
    """Make the list that a document holds; without the features, which are nothing for Redis.

    Parameters
    ----------
    key
        Where it goes.
    ranked
        The list.
    generated_at
        When it was ranked, RFC 3339.
    events
        Events of the shopper it reflects; with the key, the models' version and what a policy made of it, it names
        the list.
    query
        The search words, for a list of a search.
    degraded
        Whether it was ranked in a hurry: the better list that follows may be of the same version and events.
    """
    identity = f"{key}|{ranked.model_version}|{events}"
    if ranked.features:
        # what policies learn from rewards changes lists without an event
        identity = "|".join((identity, ranked.policy, *(item.id for item in ranked.items)))
    if degraded:
        identity = f"{identity}|degraded"
    recommendation_list = RecommendationList(
        list_id=blake2b(identity.encode(), digest_size=8).hexdigest(),
        key=key,
        generated_at=generated_at,
        policy=ranked.policy,
        model_version=ranked.model_version,
        items=ranked.items,
    )
    if query is not None:
        recommendation_list = SearchList(query=normalize_query(query), **structs.asdict(recommendation_list))
    return recommendation_list


def build_document(key: str, ranked: RankedList, generated_at: str, *, query: str | None = None) -> Document:
    """Make the document of a list that is nobody's own; the parameters are those of `build_list`."""
    return Document(key, encode_list(build_list(key, ranked, generated_at, query=query)))


def append_features(document: bytes, features: bytes) -> bytes:
    """The bytes of a document as they go to the ``lists`` topic.

    Examples
    --------
    >>> append_features(b'{"items":[]}', b"AB")
    b'{"items":[],"features":"QUI="}'
    """
    if not features:
        return document
    # An object of JSON takes one more field before its brace: encoding the whole again would cost ten times more.
    return b'%b,"features":"%b"}' % (document[:-1], b2a_base64(features, newline=False))
