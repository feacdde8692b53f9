"""A ranked list as the document that goes to Redis, and as the record that goes to Kafka."""

from binascii import b2a_base64
from hashlib import blake2b

from msgspec import structs

from stream_app.client.redis_contract import SearchList, encode_list, normal_query
from stream_app.publishing.publisher import Document
from stream_app.ranking.ranker import Ranked
from topics.records import RecommendationList


def list_of(
    key: str,
    ranked: Ranked,
    generated_at: str,
    *,
    events: int = 0,
    query: str | None = None,
    hurried: bool = False,
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
    hurried
        Whether it was ranked in a hurry: the better list that follows may be of the same version and events.
    """
    name = f"{key}|{ranked.model_version}|{events}"
    if ranked.features:
        # what policies learn from rewards changes lists without an event
        name = "|".join((name, ranked.policy, *(item.id for item in ranked.items)))
    if hurried:
        name = f"{name}|hurried"
    listed = RecommendationList(
        list_id=blake2b(name.encode(), digest_size=8).hexdigest(),
        key=key,
        generated_at=generated_at,
        policy=ranked.policy,
        model_version=ranked.model_version,
        items=ranked.items,
    )
    if query is not None:
        listed = SearchList(query=normal_query(query), **structs.asdict(listed))
    return listed


def document_of(key: str, ranked: Ranked, generated_at: str, *, query: str | None = None) -> Document:
    """Make the document of a list that is nobody's own; the parameters are those of `list_of`."""
    return Document(key, encode_list(list_of(key, ranked, generated_at, query=query)))


def with_features(document: bytes, features: bytes) -> bytes:
    """The bytes of a document as they go to the ``lists`` topic.

    Examples
    --------
    >>> with_features(b'{"items":[]}', b"AB")
    b'{"items":[],"features":"QUI="}'
    """
    if not features:
        return document
    # An object of JSON takes one more field before its brace: encoding the whole again would cost ten times more.
    return b'%b,"features":"%b"}' % (document[:-1], b2a_base64(features, newline=False))
