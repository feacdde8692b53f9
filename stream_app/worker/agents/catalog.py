"""The agent of the catalog: checks items, so that each invalid one becomes a dead letter once.

Each replica reads the whole compacted topic itself; this agent reads it as a consumer group.
"""

from collections.abc import AsyncIterable
from typing import Any

from stream_app.metrics import Metrics
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from stream_app.worker.direct_delivery import RawSchema
from topics.catalog import CATALOG_ITEMS
from topics.codec import Limits, RejectedError, decode
from topics.events import CatalogItem


class CatalogEventHandler:
    """Checks catalog items; independent of Faust.

    Parameters
    ----------
    limits
        Bounds of event time; an item's description may have any age.
    """

    def __init__(self, dead_letters: DeadLetterWriter, metrics: Metrics, limits: Limits) -> None:
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._limits = limits.without_max_age

    def handle(self, message: Any) -> None:
        """Check one Kafka message (Faust's); a message without a value removes the item and is valid."""
        if message.value is not None:
            try:
                decode(message.value, CatalogItem, received=message.timestamp, limits=self._limits)
            except RejectedError as error:
                self._dead_letters.write(message, error)
                return
        self._metrics.events.labels(message.topic, "accepted").inc()


def declare_catalog_agent(app: Any, events: CatalogEventHandler) -> None:
    """Declare the agent on a Faust application."""
    topic = app.topic(CATALOG_ITEMS.name, schema=RawSchema())

    async def catalog(stream: AsyncIterable[Any]) -> None:
        async for event in stream.events():  # type: ignore[attr-defined]
            events.handle(event.message)

    app.agent(topic, name="catalog")(catalog)
