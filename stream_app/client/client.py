"""The client for the web tier: a shopper's list in one round trip to Redis.

Both clients ask for a whole chain of keys at once and use the first that holds a list: the shopper's own, those of
the items they look at, those of their audiences, and what is popular everywhere. Items the shopper must not see
again can be passed over. What was shown can be reported back (`stream_app.client.impression_reporter`).

Examples
--------
On an empty Redis there is no list for anybody yet:

>>> from stream_app.tools.embedded import EmbeddedRedis
>>> with EmbeddedRedis() as server, Client(server.address) as client:
...     print(client.read("visitor-17", session_items=["i42"], segments=["country:FR"]))
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
"""Seconds after which a read gives up: a page must not wait for its recommendations."""

DEFAULT_SEARCH_TIMEOUT: Final = 0.1
"""Seconds that a search waits for its personal order."""

STALE_SEARCH_TOLERANCE: Final = 1.0
"""Seconds that a list may be older than the search it is taken for: clocks differ, and the event is sent before."""

_POLL_INTERVAL: Final = 0.005
"""Seconds between two looks for it."""

_MIN_SEARCH_TIMEOUT: Final = 0.005
"""Seconds that a single look may take, where no time to wait is given."""

_MAX_CONCURRENT_SEARCHES: Final = 32
"""Searches that a blocking client waits for at a time; one more waits for its turn, within its own timeout."""

_RETRIED_ERRORS: Final = (RedisConnectionError,)
"""Tried once more: a connection of the pool that Redis closed meanwhile. A timeout is not: the page waits."""


class ClientUnavailableError(ConnectionError):
    """Redis did not answer in time; show the page without recommendations, or the shop's own."""


class SearchOrder(NamedTuple):
    """In which order to show what a search found.

    Attributes
    ----------
    items
        Every result once, best first.
    personal
        Whether the order is Headrace's, for this shopper and this query; else it is the shop's own.
    document
        The list it was taken from, None where it is the shop's own. It may hold items beside the results, which
        people chose after the same words.
    """

    items: tuple[str, ...]
    personal: bool
    document: SearchList | None


def fallback_keys(user_id: str, session_items: Sequence[str], segments: Sequence[str]) -> list[str]:
    """The keys that are asked for, the best first.

    Parameters
    ----------
    user_id
        The shopper.
    session_items
        Items of the current visit, oldest first; the last three are used.
    segments
        The shopper's audiences, the narrowest first.

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
    """The first value that is a list with an item left after `exclude`, or None.

    A value that cannot be read counts as absent: a newer worker may write what this client does not know.
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
    """The results in the order of a list; those not on it keep their order behind.

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
    """The order that a search waits for, and what has been found in its place.

    Parameters
    ----------
    query, results
        The search.
    searched_at
        When it was, seconds since the epoch.
    """

    def __init__(self, query: str, results: Sequence[str], searched_at: float) -> None:
        self._query = normalize_query(query)
        self._results = results
        self._min_generated_at = searched_at - STALE_SEARCH_TOLERANCE
        self._stale_list: SearchList | None = None

    def match(self, value: bytes | None) -> SearchOrder | None:
        """The order by the list in `value`, if it is one of this search."""
        found = _decode_search_list(value)
        if found is None or found.query != self._query:
            return None
        if self._is_stale(found):
            self._stale_list = found
            return None
        return reorder_results(found, self._results)

    def fallback_order(self) -> SearchOrder:
        """The order where no list came in time: by the one of the same words of before, or the shop's own."""
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
    """What both clients are beside readers: they report what was shown."""

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
        """Report that a shopper was shown a list, or a part of it; see `ImpressionReporter.report_impression`.

        It waits for nothing, so it is no coroutine of the asynchronous client either.

        Raises
        ------
        RuntimeError
            If the client was given no reporter.
        """
        if self._reporter is None:
            raise RuntimeError(
                f"{type(self).__name__} has nobody to report to: make it with reporter=ImpressionReporter(…)."
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
    """Reads lists, blocking. Safe to share among threads; keep one a process.

    Parameters
    ----------
    url
        ``redis://host:port/db``.
    timeout
        Seconds after which a read gives up.
    reporter
        Takes what was `report_impression`; it is closed with the client.
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
        """The shopper's list, or the best there is in its place, in one round trip.

        Parameters
        ----------
        user_id
            The shopper.
        session_items
            Items of the current visit, oldest first.
        segments
            The shopper's audiences, the narrowest first.
        exclude
            Items to leave out.

        Returns
        -------
        RecommendationList or None
            Its `key` tells which of the chain it is; None where Redis holds none of them.

        Raises
        ------
        ClientUnavailableError
            If Redis does not answer in time.
        """
        return first_usable_list(self._get(fallback_keys(user_id, session_items, segments)), exclude)

    def read_key(self, key: str) -> RecommendationList | None:
        """The list at one key of the contract, without fallbacks."""
        return _decode_list(self._get([key])[0])

    def item(self, item_id: str) -> RecommendationList | None:
        """What goes with an item."""
        return self.read_key(item_key(item_id))

    def popular(self, segment: str = GLOBAL_SEGMENT) -> RecommendationList | None:
        """What is trending in a segment."""
        return self.read_key(popular_key(segment))

    def query(self, query: str) -> SearchList | None:
        """What people choose after a query."""
        return _decode_search_list(self._get([query_key(query)])[0])

    def last_search(self, user_id: str) -> SearchList | None:
        """The personal order of the shopper's last search."""
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
        """The order for this shopper of what the shop found, or the shop's own, after the timeout at the latest.

        The shop sends its search event, with these results, before it asks; the list comes some hundredths of a
        second later. Each look for it is one round trip. Of a search repeated, the list of before is there
        already: it is taken only where the new one does not come in time. Never raises: where Redis does not
        answer, the order is the shop's own.

        Parameters
        ----------
        user_id
            Who searches.
        query
            The words, as in the event.
        results
            What the shop found, in its order.
        timeout
            Most seconds to wait; 0 looks once.
        searched_at
            When the shopper searched, seconds since the epoch: a list that is more than `STALE_SEARCH_TOLERANCE`
            older is of before. None means now. 0 takes a list of any age at once, for a page that is shown again
            without a new event.
        """
        pending_search = _PendingSearch(query, results, time.time() if searched_at is None else searched_at)
        # In another thread, since connecting and each answer have timeouts of their own: only so is there one bound.
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
        """Close the connections, once what was shown is reported; it waits some seconds for a broker that is away."""
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
    """Reads lists in an event loop; the same chain and the same errors as `Client`.

    Parameters
    ----------
    url
        ``redis://host:port/db``.
    timeout
        Seconds after which a read gives up.
    reporter
        Takes what was `report_impression`; it is closed with the client.
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
        """The shopper's list, or the best there is in its place; see `Client.read`."""
        return first_usable_list(await self._get(fallback_keys(user_id, session_items, segments)), exclude)

    async def read_key(self, key: str) -> RecommendationList | None:
        """The list at one key of the contract, without fallbacks."""
        return _decode_list((await self._get([key]))[0])

    async def item(self, item_id: str) -> RecommendationList | None:
        """What goes with an item."""
        return await self.read_key(item_key(item_id))

    async def popular(self, segment: str = GLOBAL_SEGMENT) -> RecommendationList | None:
        """What is trending in a segment."""
        return await self.read_key(popular_key(segment))

    async def query(self, query: str) -> SearchList | None:
        """What people choose after a query."""
        return _decode_search_list((await self._get([query_key(query)]))[0])

    async def last_search(self, user_id: str) -> SearchList | None:
        """The personal order of the shopper's last search."""
        return _decode_search_list((await self._get([search_key(user_id)]))[0])

    async def search(
        self,
        user_id: str,
        query: str,
        results: Sequence[str],
        timeout: float = DEFAULT_SEARCH_TIMEOUT,  # noqa: ASYNC109  # what it gives back then is not an error
        *,
        searched_at: float | None = None,
    ) -> SearchOrder:
        """The order for this shopper of what the shop found; see `Client.search`."""
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
