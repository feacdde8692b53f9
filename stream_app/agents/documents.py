"""A ranked list as the document that goes to Redis."""

from hashlib import blake2b

from msgspec import structs

from stream_app.publish.contract import SearchList, encode_list, normal_query
from stream_app.publish.port import Document
from stream_app.ranker.ranker import Ranked
from topics.records import RecommendationList


def document_of(
    key: str, ranked: Ranked, generated_at: str, *, events: int = 0, query: str | None = None
) -> Document:
    """Make the document.

    Parameters
    ----------
    key
        Where it goes.
    ranked
        The list.
    generated_at
        When it was ranked, RFC 3339.
    events
        Events of the shopper it reflects; with the key and the models' version it names the list.
    query
        The search words, for a list of a search.
    """
    name = f"{key}|{ranked.model_version}|{events}"
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
    return Document(key, encode_list(listed))
