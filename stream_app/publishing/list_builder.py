"""Builds lists: a user's row becomes a request, a ranked list, and the document to publish."""

import logging
import time
from typing import Final, NamedTuple

from msgspec import structs

from state.row import UserRow
from state.user_rows import UserRowStore
from stream_app.client.redis_contract import encode_list, search_key, user_key
from stream_app.metrics import Metrics
from stream_app.models.two_tower import SIMILAR_TASTE
from stream_app.publishing.flush_batch import UserList
from stream_app.publishing.list_documents import MAX_LIST_BYTES, build_list, shorten, to_published_list
from stream_app.publishing.publisher import Document
from stream_app.publishing.shared_lists import RefreshCycle, build_shared_lists
from stream_app.publishing.stale_lists import StaleBatch
from stream_app.ranking.ranker import RankedList, Ranker
from stream_app.ranking.request import RankRequest
from stream_app.ranking.row_request import make_rank_request
from stream_app.stage_metrics import WorkStage

_LOG: Final = logging.getLogger(__name__)


class UserLists(NamedTuple):
    """The lists of one user; `search` is None if they have no search list."""

    recommended: UserList
    search: UserList | None


class ListBuilder:
    """Builds the lists of users and the shared lists.

    Parameters
    ----------
    buy_again
        Seconds after a purchase when the item may be listed again; 0 is never.
    """

    def __init__(self, ranker: Ranker, rows: UserRowStore, metrics: Metrics, buy_again: float = 0.0) -> None:
        self._ranker = ranker
        self._rows = rows
        self._metrics = metrics
        self._buy_again = buy_again

    def build_user_lists(
        self, user_id: str, generated_at: str, *, degraded: bool, with_search: bool
    ) -> UserLists | None:
        """Build the lists of one user.

        Parameters
        ----------
        generated_at
            The time of the flush, RFC 3339.
        with_search
            Whether the results of the last search of the session are ranked as well.

        Returns
        -------
        UserLists or None
            None if the user has no events, or if the ranking failed. A row without events was erased, or its
            partition moved to another worker, which publishes the list.
        """
        started = time.perf_counter()
        row = self._rows.get(user_id)
        if not row.counts.total:
            return None
        request = make_rank_request(user_id, row, self._buy_again)
        try:
            ranked = self._ranker.rank_user_degraded(request) if degraded else self._ranker.rank_user(request)
        except Exception:  # noqa: BLE001  # a failure for one user must not stop the lists of the others
            _LOG.exception("ranking failed for user %r; no list published", user_id)
            self._metrics.ranking_failures.inc()
            return None
        self._metrics.stage_times[WorkStage.RANK] += time.perf_counter() - started
        key, n_events = user_key(user_id), row.counts.total
        recommended = self._to_user_list(user_id, key, ranked, generated_at, n_events, degraded=degraded)
        self._metrics.ranking_seconds.observe(time.perf_counter() - started)
        if ranked.neural_version:
            self._metrics.neural.list_items.inc(len(ranked.items))
            self._metrics.neural.brought_items.inc(
                [item.why.source for item in ranked.items].count(SIMILAR_TASTE)
            )
        search = None
        if with_search and row.queries:
            search = self._build_search_list(request, row, generated_at, degraded=degraded)
        return UserLists(recommended, search)

    def is_public(self, query: str) -> bool:
        """Whether a list of a query may be published."""
        return self._ranker.is_public_query(query)

    def build_shared_lists(self, stale: StaleBatch, generated_at: str) -> RefreshCycle:
        """Build the item, query and segment lists of one refresh cycle."""
        started = time.perf_counter()
        cycle = build_shared_lists(self._ranker, stale, generated_at)
        self._metrics.stage_times[WorkStage.RANK] += time.perf_counter() - started
        return cycle

    def _build_search_list(
        self, request: RankRequest, row: UserRow, generated_at: str, *, degraded: bool
    ) -> UserList | None:
        """Rank the results of the last search; None if it is of an earlier session, or if the list is empty."""
        search = row.queries[-1]
        if search.ts < row.session.start:
            return None
        started = time.perf_counter()
        try:
            ranked = self._ranker.rank_search(
                request, search.query, search.results, prices=search.prices, degraded=degraded
            )
        except Exception:  # noqa: BLE001  # as above
            _LOG.exception(
                "ranking of search results failed for user %r; no search list published", request.user_id
            )
            self._metrics.ranking_failures.inc()
            return None
        seconds = time.perf_counter() - started
        self._metrics.stage_times[WorkStage.RANK] += seconds
        if not ranked.items:
            return None
        self._metrics.ranking_seconds.observe(seconds)
        return self._to_user_list(
            request.user_id,
            search_key(request.user_id),
            ranked,
            generated_at,
            row.counts.total,
            query=search.query,
            degraded=degraded,
        )

    def _to_user_list(
        self,
        user_id: str,
        key: str,
        ranked: RankedList,
        generated_at: str,
        n_events: int,
        *,
        query: str | None = None,
        degraded: bool,
    ) -> UserList:
        started = time.perf_counter()
        content = build_list(key, ranked, generated_at, events=n_events, query=query, degraded=degraded)
        value = log_value = encode_list(content)
        if ranked.features:
            content = structs.replace(content, features=ranked.features)
            log_value = encode_list(content)
        if len(log_value) > MAX_LIST_BYTES:
            self._metrics.lists_shortened.inc()
            while len(log_value) > MAX_LIST_BYTES:
                content = shorten(content)
                log_value = encode_list(content)
            value = encode_list(structs.replace(content, features=b""))
        published = to_published_list(content)
        partition = self._rows.partition_of(user_id)
        self._metrics.stage_times[WorkStage.PUBLISH] += time.perf_counter() - started
        return UserList(user_id, partition, published, Document(key, value, partition), log_value)
