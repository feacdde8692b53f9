"""Item, query and segment lists: the documents of one refresh cycle."""

from typing import Final, NamedTuple

from stream_app.client.redis_contract import item_key, popular_key, query_key
from stream_app.publishing.list_documents import build_document
from stream_app.publishing.publisher import Document
from stream_app.publishing.stale_lists import NOTHING_STALE, StaleBatch
from stream_app.ranking.ranker import Ranker


class RefreshCycle(NamedTuple):
    """The result of one refresh cycle.

    Attributes
    ----------
    refreshed
        The items, queries and segments with a document.
    documents
        Their lists.
    """

    refreshed: StaleBatch
    documents: list[Document]


EMPTY_CYCLE: Final = RefreshCycle(NOTHING_STALE, [])


def build_shared_lists(ranker: Ranker, stale: StaleBatch, generated_at: str) -> RefreshCycle:
    """Rank the stale lists of one cycle."""
    if stale is NOTHING_STALE:
        return EMPTY_CYCLE
    refreshed, documents = StaleBatch([], [], []), []
    for item_id in stale.items:
        ranked = ranker.rank_item(item_id)
        # If all related items became unavailable, an empty list replaces the previous one.
        if ranked.items or ranker.has_related_items(item_id):
            refreshed.items.append(item_id)
            documents.append(build_document(item_key(item_id), ranked, generated_at))
    for query in stale.queries:
        ranked = ranker.rank_query(query)
        if ranked.items:
            refreshed.queries.append(query)
            documents.append(build_document(query_key(query), ranked, generated_at, query=query))
    for segment in stale.segments:
        ranked = ranker.rank_segment(segment)
        refreshed.segments.append(segment)
        documents.append(build_document(popular_key(segment), ranked, generated_at))
    return RefreshCycle(refreshed, documents)
