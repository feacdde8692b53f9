"""The client of a web tier: reads lists from Redis in one round trip, reports impressions to Kafka.

`contract` has the Redis keys and documents, `client` the blocking and the asyncio client, `reporter` the reporter.
Imports redis and msgspec, and kafka-python once an impression is reported; never Faust, numba or River.
"""

from stream_app.client.client import (
    DEFAULT_SEARCH_TIMEOUT,
    DEFAULT_TIMEOUT,
    STALE_SEARCH_TOLERANCE,
    AsyncClient,
    Client,
    ClientUnavailableError,
    SearchOrder,
)
from stream_app.client.impression_reporter import ImpressionReporter, ReporterCounts

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
