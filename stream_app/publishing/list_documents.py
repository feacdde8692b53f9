"""From a ranked list to its document (the JSON in Redis and on the ``lists`` topic), and to its form in memory."""

from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from msgspec import structs

from state.published_list import PublishedList, pack_propensities
from stream_app.client.redis_contract import SearchList, encode_list, normalize_query
from stream_app.publishing.publisher import Document
from stream_app.ranking.ranker import RankedList
from topics.catalog import MAX_RECORD_BYTES
from topics.events import MAX_ID_BYTES
from topics.log_keys import MAX_SUFFIX_BYTES
from topics.records import RecommendationList

MAX_LIST_BYTES: Final = MAX_RECORD_BYTES - MAX_ID_BYTES - MAX_SUFFIX_BYTES
"""Maximum size of a list as JSON: the key of the record on the ``lists`` topic begins with a user id."""

_SEARCH_KEY_PREFIX: Final = "recs:search:"


def build_list(
    key: str,
    ranked: RankedList,
    generated_at: str,
    *,
    events: int = 0,
    query: str | None = None,
    degraded: bool = False,
) -> RecommendationList:
    """Build the content of a document, without features, which Redis does not store.

    Parameters
    ----------
    generated_at
        When it was ranked, RFC 3339.
    events
        Number of the user's events that the list reflects. The list id is a hash of the key, the model version and
        this number; with features, of the policy and the items too; with a two-tower model, of its version too.
    degraded
        Whether the ranking was degraded: the re-ranked list may have the same model version and events, and needs
        another id.
    """
    identity = f"{key}|{ranked.model_version}|{events}"
    if ranked.features:
        # A policy that learns from rewards changes lists without an event of the user.
        identity = "|".join((identity, ranked.policy, *(item.id for item in ranked.items)))
    if ranked.neural_version:
        identity = f"{identity}|{ranked.neural_version}"
    if degraded:
        identity = f"{identity}|degraded"
    recommendation_list = RecommendationList(
        list_id=blake2b(identity.encode(), digest_size=8).hexdigest(),
        key=key,
        generated_at=generated_at,
        policy=ranked.policy,
        model_version=ranked.model_version,
        neural_version=ranked.neural_version,
        items=ranked.items,
    )
    if query is not None:
        recommendation_list = SearchList(query=normalize_query(query), **structs.asdict(recommendation_list))
    return recommendation_list


def shorten(listed: RecommendationList) -> RecommendationList:
    """Drop the last third of the items, at least one, with their features.

    A long `HEADRACE_LIST_LENGTH` with long ids exceeds `MAX_LIST_BYTES`; a list of one item never does.
    """
    n_items = len(listed.items)
    n_kept = n_items - max(1, n_items // 3)
    row_bytes = len(listed.features) // n_items
    return structs.replace(
        listed, items=listed.items[:n_kept], features=listed.features[: row_bytes * n_kept]
    )


def build_document(key: str, ranked: RankedList, generated_at: str, *, query: str | None = None) -> Document:
    """Build the document of a shared list; the parameters are those of `build_list`."""
    return Document(key, encode_list(build_list(key, ranked, generated_at, query=query)))


def to_published_list(listed: RecommendationList) -> PublishedList:
    """Convert a list, with its features, to the form of `state.list_store.PublishedListStore`.

    The flush loop and list recovery share it: a restart restores the lists exactly as they were in memory.

    Raises
    ------
    ValueError
        If its time cannot be parsed.
    """
    return PublishedList(
        listed.list_id,
        listed.policy,
        _seconds(listed.generated_at),
        tuple([item.id for item in listed.items]),
        pack_propensities([item.propensity for item in listed.items]),
        listed.features,
        listed.key.startswith(_SEARCH_KEY_PREFIX),
    )


@lru_cache(maxsize=1)
def _seconds(generated_at: str) -> float:
    # All lists of a flush have the same time.
    return datetime.fromisoformat(generated_at).timestamp()
