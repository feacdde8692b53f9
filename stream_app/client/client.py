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
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from stream_app.client.impression_reporter import ImpressionReporter
from stream_app.client.redis_contract import (
    GLOBAL_SEGMENT,
    SearchList,
    decode_list,
    decode_search_list,
    item_key,
    normalize_query,
    popular_key,
    query_key,
    search_key,
    user_key,
)
from topics.records import RecommendationList

DEFAULT_TIMEOUT: Final = 0.25
"""Timeout of a read, seconds: a page must not wait for its recommendations."""

DEFAULT_SEARCH_TIMEOUT: Final = 0.1
"""Seconds that a search waits for its ranked results."""

STALE_SEARCH_TOLERANCE: Final = 1.0
"""Seconds by which a matching list may be older than the search: clocks differ, and the event is sent earlier."""

_POLL_INTERVAL: Final = 0.005
"""Seconds between two reads while a search waits."""

_MIN_SEARCH_TIMEOUT: Final = 0.005
"""Seconds that a single read may take with timeout 0."""

_MAX_CONCURRENT_SEARCHES: Final = 32
"""Concurrent searches of a blocking client; further ones queue, within their own timeout."""

_RETRIED_ERRORS: Final = (RedisConnectionError,)
"""Errors that are retried once: Redis may have closed a pooled connection. A timeout is not: the page waits."""


class ClientUnavailableError(ConnectionError):
    """Redis did not answer in time. Render the page without recommendations, or with your own."""


class SearchOrder(NamedTuple):
    """The order of search results.

    Attributes
    ----------
    items
        Every result once, best first.
    personal
        Whether the order is ranked for this user and query; otherwise it is the original order.
    document
        The search list; None for the original order. It may contain items that are not among the results and that
        other users chose after the same query.
    """

    items: tuple[str, ...]
    personal: bool
    document: SearchList | None


def fallback_keys(user_id: str, session_items: Sequence[str], segments: Sequence[str]) -> list[str]:
    """The keys of a read, in the order of preference.

    Parameters
    ----------
    user_id
        The user.
    session_items
        Items of the current session, oldest first; the last three are used.
    segments
        The user's segments, the narrowest first.

    Examples
    --------
    >>> fallback_keys("u", ["a", "b"], ["country:FR"])
    ['recs:user:{u}', 'recs:item:{b}', 'recs:item:{a}', 'recs:popular:{country:FR}', 'recs:popular:{all}']
    """
    items = [item_key(item) for item in reversed(session_items[-3:])]
    return [user_key(user_id), *items, *map(popular_key, segments), popular_key(GLOBAL_SEGMENT)]


def first_usable_list(
    values: Sequence[bytes | None], exclude: Collection[str] = ()
) -> RecommendationList | None:
    """The first list that has an item outside of `exclude`, or None.

    A value that cannot be decoded is skipped: a newer worker may write documents that this client cannot decode.
    """
    for value in values:
        if value is None:
            continue
        try:
            document = decode_list(value)
        except msgspec.DecodeError:
            continue
        if exclude:
            kept_items = tuple(item for item in document.items if item.id not in exclude)
            document = msgspec.structs.replace(document, items=kept_items)
        if document.items:
            return document
    return None


def reorder_results(document: SearchList, results: Sequence[str]) -> SearchOrder:
    """Order results by a list; results that are not on the list follow in their original order.

    Examples
    --------
    >>> from topics.records import ListedItem, Reason
    >>> items = tuple(ListedItem(name, 0.5, 1.0, Reason("matches_search")) for name in ("c", "x", "a"))
    >>> document = SearchList(list_id="l", key=search_key("u"), generated_at="2026-01-01T00:00:00.000Z",
    ...                       policy="search_rrf", model_version=1, items=items, query="tents")
    >>> reorder_results(document, ["a", "b", "c"]).items
    ('c', 'a', 'b')
    """
    result_ids = dict.fromkeys(results)
    listed = [item.id for item in document.items if item.id in result_ids]
    return SearchOrder(tuple(dict.fromkeys([*listed, *result_ids])), personal=True, document=document)


def _original_order(results: Sequence[str]) -> SearchOrder:
    return SearchOrder(tuple(dict.fromkeys(results)), personal=False, document=None)


def _decode_search_list(value: bytes | None) -> SearchList | None:
    try:
        return decode_search_list(value) if value is not None else None
    except msgspec.DecodeError:
        return None


class _PendingSearch:
    """The search list that a search waits for, and a stale list to fall back to.

    Parameters
    ----------
    query, results
        The search.
    searched_at
        Time of the search, seconds since the epoch.
    """

    def __init__(self, query: str, results: Sequence[str], searched_at: float) -> None:
        self._query = normalize_query(query)
        self._results = results
        self._min_generated_at = searched_at - STALE_SEARCH_TOLERANCE
        self._stale_list: SearchList | None = None

    def match(self, value: bytes | None) -> SearchOrder | None:
        """The order by the list in `value`, if the list belongs to this search."""
        found = _decode_search_list(value)
        if found is None or found.query != self._query:
            return None
        if self._is_stale(found):
            self._stale_list = found
            return None
        return reorder_results(found, self._results)

    def fallback_order(self) -> SearchOrder:
        """The order after the timeout: by a stale list of the same query, or the original order."""
        stale_list = self._stale_list
        return (
            _original_order(self._results)
            if stale_list is None
            else reorder_results(stale_list, self._results)
        )

    def _is_stale(self, found: SearchList) -> bool:
        try:
            return datetime.fromisoformat(found.generated_at).timestamp() < self._min_generated_at
        except (ValueError, OverflowError):
            return True


def _decode_list(value: bytes | None) -> RecommendationList | None:
    try:
        return decode_list(value) if value is not None else None
    except msgspec.DecodeError:
        return None


class _ImpressionReporting:
    """Impression reporting, the same in both clients."""

    def __init__(self, reporter: ImpressionReporter | None) -> None:
        self._reporter = reporter

    def report_impression(
        self,
        user_id: str,
        document: RecommendationList | str | None,
        items: Sequence[str] | None = None,
        *,
        surface: str | None = None,
        session_id: str | None = None,
        channel: str | None = None,
        context: Mapping[str, str | int | float | bool | None] | None = None,
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
        return self._reporter.report_impression(
            user_id,
            document,
            items,
            surface=surface,
            session_id=session_id,
            channel=channel,
            context=context,
        )


class Client(_ImpressionReporting):
    """Reads lists, blocking. Thread-safe; use one client per process.

    Parameters
    ----------
    url
        ``redis://host:port/db``.
    timeout
        Timeout of a read, seconds.
    reporter
        Sends impressions; closed with the client.
    """

    def __init__(
        self, url: str, timeout: float = DEFAULT_TIMEOUT, *, reporter: ImpressionReporter | None = None
    ) -> None:
        super().__init__(reporter)
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1, supported_errors=_RETRIED_ERRORS),
        )
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
        user_id
            The user.
        session_items
            Items of the current session, oldest first.
        segments
            The user's segments, the narrowest first.
        exclude
            Items to exclude.

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
        return _decode_list(self._get([key])[0])

    def item(self, item_id: str) -> RecommendationList | None:
        """Read the items related to an item."""
        return self.read_key(item_key(item_id))

    def popular(self, segment: str = GLOBAL_SEGMENT) -> RecommendationList | None:
        """Read the trending items of a segment."""
        return self.read_key(popular_key(segment))

    def query(self, query: str) -> SearchList | None:
        """Read the items that users choose after a query."""
        return _decode_search_list(self._get([query_key(query)])[0])

    def last_search(self, user_id: str) -> SearchList | None:
        """Read the ranked results of the user's last search."""
        return _decode_search_list(self._get([search_key(user_id)])[0])

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
        user_id
            The user.
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
        pending_search = _PendingSearch(query, results, time.time() if searched_at is None else searched_at)
        # In another thread: connecting and each reply have their own timeouts, and the sum needs a bound.
        future = self._executor.submit(
            self._await_search, user_id, pending_search, time.monotonic() + timeout
        )
        try:
            return future.result(max(timeout, _MIN_SEARCH_TIMEOUT))
        except TimeoutError:
            future.cancel()
            return pending_search.fallback_order()

    def _await_search(self, user_id: str, pending_search: _PendingSearch, deadline: float) -> SearchOrder:
        key = [search_key(user_id)]
        while True:
            try:
                found = pending_search.match(self._get(key)[0])
            except ClientUnavailableError:
                return pending_search.fallback_order()
            if found is not None:
                return found
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return pending_search.fallback_order()
            time.sleep(min(_POLL_INTERVAL, remaining))

    def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        try:
            values: list[bytes | None] = self._redis.mget(keys)  # type: ignore[assignment]
        except (RedisError, OSError) as error:
            raise ClientUnavailableError(str(error)) from error
        return values

    def close(self) -> None:
        """Send pending impressions, waiting a few seconds at most, and close the connections."""
        if self._reporter is not None:
            self._reporter.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_ImpressionReporting):
    """Reads lists in an event loop, with the same fallbacks and errors as `Client`.

    Parameters
    ----------
    url
        ``redis://host:port/db``.
    timeout
        Timeout of a read, seconds.
    reporter
        Sends impressions; closed with the client.
    """

    def __init__(
        self, url: str, timeout: float = DEFAULT_TIMEOUT, *, reporter: ImpressionReporter | None = None
    ) -> None:
        super().__init__(reporter)
        self._redis = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=redis.asyncio.retry.Retry(NoBackoff(), 1, supported_errors=_RETRIED_ERRORS),
        )

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
        return _decode_list((await self._get([key]))[0])

    async def item(self, item_id: str) -> RecommendationList | None:
        """Read the items related to an item."""
        return await self.read_key(item_key(item_id))

    async def popular(self, segment: str = GLOBAL_SEGMENT) -> RecommendationList | None:
        """Read the trending items of a segment."""
        return await self.read_key(popular_key(segment))

    async def query(self, query: str) -> SearchList | None:
        """Read the items that users choose after a query."""
        return _decode_search_list((await self._get([query_key(query)]))[0])

    async def last_search(self, user_id: str) -> SearchList | None:
        """Read the ranked results of the user's last search."""
        return _decode_search_list((await self._get([search_key(user_id)]))[0])

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
        pending_search = _PendingSearch(query, results, time.time() if searched_at is None else searched_at)
        deadline = time.monotonic() + timeout
        try:
            async with asyncio.timeout(max(timeout, _MIN_SEARCH_TIMEOUT)):
                while True:
                    found = pending_search.match((await self._get(key))[0])
                    if found is not None:
                        return found
                    if time.monotonic() >= deadline:
                        break
                    await asyncio.sleep(_POLL_INTERVAL)
        except (TimeoutError, ClientUnavailableError):
            pass
        return pending_search.fallback_order()

    async def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        try:
            values: list[bytes | None] = await self._redis.mget(keys)  # type: ignore[assignment]
        except (RedisError, OSError) as error:
            raise ClientUnavailableError(str(error)) from error
        return values

    async def close(self) -> None:
        """Close the connections; see `Client.close`."""
        if self._reporter is not None:
            await asyncio.to_thread(self._reporter.close)
        await self._redis.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
