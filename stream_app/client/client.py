"""The client for the web tier: a user's list in one round trip to Redis.

Both clients fetch a chain of keys at once and return the first list: the user's own list, those of the items of the
session, those of the user's segments, and the list of popular items. Items can be excluded. Displayed items can be
reported as impressions (`stream_app.client.impression_reporter`).

Examples
--------
An empty Redis has no list for any user:

>>> from stream_app.tools.embedded import EmbeddedRedis
>>> with EmbeddedRedis() as server, Client(server.address) as client:
...     print(client.read("user-17", session_items=["i42"], segments=["country:FR"]))
None
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Final, Self, Unpack

from stream_app.client.fallback_chain import decode_list_or_none, fallback_keys, first_usable_list
from stream_app.client.impression_reporter import ImpressionFields, ImpressionReporter
from stream_app.client.redis_contract import (
    GLOBAL_SEGMENT,
    SearchList,
    item_key,
    popular_key,
    query_key,
    search_key,
)
from stream_app.client.redis_reader import AsyncRedisReader, RedisReader
from stream_app.client.redis_reasons import ARGUMENTS, REDIS_ERRORS, refusal
from stream_app.client.search_order import (
    DEFAULT_SEARCH_TIMEOUT,
    PendingSearch,
    SearchOrder,
    decode_search_list_or_none,
)
from stream_app.redis_server import RedisOptions, RedisServer, parse_redis
from topics.records import RecommendationList

DEFAULT_TIMEOUT: Final = 0.25
"""Timeout of a read, seconds: a page must not wait for its recommendations."""

_MAX_CONCURRENT_SEARCHES: Final = 32
"""Concurrent searches of a blocking client; further ones queue, within their own timeout."""


class ClientUnavailableError(ConnectionError):
    """Redis did not answer in time. Render the page without recommendations, or with your own."""


class _CommonClient:
    """What is the same in both clients: impression reporting, and errors."""

    def __init__(self, server: RedisServer, reporter: ImpressionReporter | None) -> None:
        self._server = server
        self._reporter = reporter

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._server})"

    def _unavailable(self, error: BaseException) -> ClientUnavailableError:
        return ClientUnavailableError(refusal(error, ARGUMENTS, tls=self._server.is_tls))

    def report_impression(
        self,
        user_id: str,
        document: RecommendationList | str | None,
        items: Sequence[str] | None = None,
        **fields: Unpack[ImpressionFields],
    ) -> bool:
        """Report that a list, or a part of it, was displayed; see `ImpressionReporter.report_impression`.

        It does not block, so it is not a coroutine in `AsyncClient` either.

        Raises
        ------
        RuntimeError
            If the client has no reporter.
        """
        if self._reporter is None:
            raise RuntimeError(
                "This client has no reporter; create it with "
                f"{type(self).__name__}(url, reporter=ImpressionReporter(…))."
            )
        return self._reporter.report_impression(user_id, document, items, **fields)


class Client(_CommonClient):
    """Reads lists, blocking. Thread-safe; use one client per process.

    Parameters
    ----------
    url
        ``redis://user:password@host:port/db``; ``rediss://`` for TLS. Of a cluster, or of Sentinels, the addresses of
        some: ``redis://host:port,host:port``.
    timeout
        Timeout of a read, seconds; a read of a cluster may take two, if it must find its nodes anew.
    reporter
        Sends impressions; closed with the client.
    **options
        ``mode`` ("cluster" or "sentinel"), ``master``, ``username``, ``password``, ``ca_file``, ``certificate_file``,
        ``key_file``, ``sentinel_username``, ``sentinel_password``; see `RedisServer`.

    Raises
    ------
    ValueError
        If the URL is invalid, or does not suit the options.
    """

    def __init__(
        self,
        url: str | RedisServer,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        reporter: ImpressionReporter | None = None,
        **options: Unpack[RedisOptions],
    ) -> None:
        super().__init__(parse_redis(url, **options), reporter)
        self._reader = RedisReader(self._server, timeout)
        self._executor = ThreadPoolExecutor(_MAX_CONCURRENT_SEARCHES, thread_name_prefix="headrace-search")

    def read(
        self,
        user_id: str,
        *,
        session_items: Sequence[str] = (),
        segments: Sequence[str] = (),
        exclude: Collection[str] = (),
    ) -> RecommendationList | None:
        """Read the user's list, or the best fallback, in one round trip.

        Parameters
        ----------
        session_items
            Items of the current session, oldest first.
        segments
            The user's segments, the narrowest first.

        Returns
        -------
        RecommendationList or None
            Its `key` shows which list of the chain it is; None if Redis has none of them.

        Raises
        ------
        ClientUnavailableError
            If Redis does not answer in time.
        """
        return first_usable_list(self._get(fallback_keys(user_id, session_items, segments)), exclude)

    def read_key(self, key: str) -> RecommendationList | None:
        """Read one key, without fallback."""
        return decode_list_or_none(self._get([key])[0])

    def item(self, item_id: str) -> RecommendationList | None:
        """Read the items related to an item."""
        return self.read_key(item_key(item_id))

    def popular(self, segment: str = GLOBAL_SEGMENT) -> RecommendationList | None:
        """Read the trending items of a segment."""
        return self.read_key(popular_key(segment))

    def query(self, query: str) -> SearchList | None:
        """Read the items that users choose after a query."""
        return decode_search_list_or_none(self._get([query_key(query)])[0])

    def last_search(self, user_id: str) -> SearchList | None:
        """Read the ranked results of the user's last search."""
        return decode_search_list_or_none(self._get([search_key(user_id)])[0])

    def search(
        self,
        user_id: str,
        query: str,
        results: Sequence[str],
        timeout: float = DEFAULT_SEARCH_TIMEOUT,
        *,
        searched_at: float | None = None,
    ) -> SearchOrder:
        """Order search results for a user; after the timeout in the original order.

        Send the search event with these results first; the search list follows within hundredths of a second. The
        client polls for it, with one round trip per read. If the user repeats a search, the previous list is still
        there: it is used only if the new list does not arrive in time. Never raises: if Redis does not answer, the
        order is the original one.

        Parameters
        ----------
        query
            The query, as in the event.
        results
            The results, in their original order.
        timeout
            Seconds to wait; 0 reads once.
        searched_at
            Time of the search, seconds since the epoch: a list that is more than `STALE_SEARCH_TOLERANCE` older is
            stale. None is now. 0 accepts a list of any age, for a page that is rendered again without a new event.
        """
        pending_search = PendingSearch(query, results, searched_at, timeout)
        # In another thread: connecting and each reply have their own timeouts, and the sum needs a bound.
        future = self._executor.submit(self._await_search, user_id, pending_search)
        try:
            return future.result(pending_search.timeout)
        except (TimeoutError, CancelledError, ClientUnavailableError):
            # Cancelled: another thread has closed the client.
            future.cancel()
            return pending_search.fallback_order()

    def _await_search(self, user_id: str, pending_search: PendingSearch) -> SearchOrder:
        key = [search_key(user_id)]
        while (order := pending_search.match(self._get(key)[0])) is None:
            time.sleep(pending_search.poll_delay())
        return order

    def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        try:
            return self._reader.read(keys)
        except REDIS_ERRORS as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Send pending impressions, waiting a few seconds at most, and close the connections."""
        if self._reporter is not None:
            self._reporter.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_CommonClient):
    """Reads lists in an event loop, with the parameters, fallbacks and errors of `Client`."""

    def __init__(
        self,
        url: str | RedisServer,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        reporter: ImpressionReporter | None = None,
        **options: Unpack[RedisOptions],
    ) -> None:
        super().__init__(parse_redis(url, **options), reporter)
        self._reader = AsyncRedisReader(self._server, timeout)

    async def read(
        self,
        user_id: str,
        *,
        session_items: Sequence[str] = (),
        segments: Sequence[str] = (),
        exclude: Collection[str] = (),
    ) -> RecommendationList | None:
        """Read the user's list, or the best fallback; see `Client.read`."""
        return first_usable_list(await self._get(fallback_keys(user_id, session_items, segments)), exclude)

    async def read_key(self, key: str) -> RecommendationList | None:
        """Read one key, without fallback."""
        return decode_list_or_none((await self._get([key]))[0])

    async def item(self, item_id: str) -> RecommendationList | None:
        """Read the items related to an item."""
        return await self.read_key(item_key(item_id))

    async def popular(self, segment: str = GLOBAL_SEGMENT) -> RecommendationList | None:
        """Read the trending items of a segment."""
        return await self.read_key(popular_key(segment))

    async def query(self, query: str) -> SearchList | None:
        """Read the items that users choose after a query."""
        return decode_search_list_or_none((await self._get([query_key(query)]))[0])

    async def last_search(self, user_id: str) -> SearchList | None:
        """Read the ranked results of the user's last search."""
        return decode_search_list_or_none((await self._get([search_key(user_id)]))[0])

    async def search(
        self,
        user_id: str,
        query: str,
        results: Sequence[str],
        timeout: float = DEFAULT_SEARCH_TIMEOUT,  # noqa: ASYNC109  # a timeout is not an error here
        *,
        searched_at: float | None = None,
    ) -> SearchOrder:
        """Order search results for a user; see `Client.search`."""
        key = [search_key(user_id)]
        pending_search = PendingSearch(query, results, searched_at, timeout)
        try:
            async with asyncio.timeout(pending_search.timeout):
                while (order := pending_search.match((await self._get(key))[0])) is None:  # noqa: ASYNC110  # Redis is polled
                    await asyncio.sleep(pending_search.poll_delay())
                return order
        except (TimeoutError, ClientUnavailableError):
            return pending_search.fallback_order()

    async def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        try:
            return await self._reader.read(keys)
        except REDIS_ERRORS as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        """Close the connections; see `Client.close`."""
        if self._reporter is not None:
            await asyncio.to_thread(self._reporter.close)
        await self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
