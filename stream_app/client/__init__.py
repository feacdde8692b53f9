"""The client for a web tier: reads lists from Redis in one round trip, reports impressions to Kafka.

`redis_contract` defines the Redis keys and documents, `client` the blocking and the asyncio client (with
`fallback_chain` and `search_order`), `impression_reporter` the reporter. It imports redis and msgspec, and
kafka-python with the first impression; never Faust, numba or River.
"""

from stream_app.client.client import DEFAULT_TIMEOUT, AsyncClient, Client, ClientUnavailableError
from stream_app.client.impression_reporter import ImpressionReporter, ReporterCounts
from stream_app.client.search_order import DEFAULT_SEARCH_TIMEOUT, STALE_SEARCH_TOLERANCE, SearchOrder

__all__ = [
    "DEFAULT_SEARCH_TIMEOUT",
    "DEFAULT_TIMEOUT",
    "STALE_SEARCH_TOLERANCE",
    "AsyncClient",
    "Client",
    "ClientUnavailableError",
    "ImpressionReporter",
    "ReporterCounts",
    "SearchOrder",
]
