"""Notices topics of user events that are deleted and created anew; the worker then starts again with other bases."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from stream_app.errors import UserError
from stream_app.kafka.event_logs import EventLogs, resolve_event_logs, with_topic_ids
from topics import admin
from topics.broker_client import BrokerUnavailableError, TopicAdminError
from topics.catalog import CONTROL, USER_EVENTS
from topics.kafka_connection import Broker

_LOG: Final = logging.getLogger(__name__)
_CHECK_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 1.0


class TopicWatch:
    """Compares the topics with those that a worker started with.

    Parameters
    ----------
    broker
        Bootstrap servers.
    event_logs
        The incarnations that the worker started with.
    crash
        Ends the worker with an error.

    Attributes
    ----------
    is_outdated
        Whether a topic was made anew since the start, or lost records: its offsets have another base, or are those of
        other events, so that the process must start again.
    """

    def __init__(self, broker: Broker, event_logs: EventLogs, crash: Callable[[Exception], None]) -> None:
        self._broker: Final = broker
        self._event_logs: Final = event_logs
        self._crash: Final = crash
        self.is_outdated = False

    def compare(self, event_logs: EventLogs) -> None:
        """Restart if a topic has a later incarnation than at the start."""
        known = self._event_logs
        self._restart_for(
            sorted(
                topic
                for topic, each in event_logs.items()
                if topic in known and each.base > known[topic].base
            )
        )

    def on_lost(self, topic: str, partition: int, read: int) -> None:
        """Restart for a topic that ends before the next offset to read: the start compares ids and ends."""
        if not self.is_outdated:
            self.is_outdated = True
            _LOG.error(
                "%s[%s] ends before offset %d, the next to read: it lost records, or was created anew; restarting",
                topic,
                partition,
                read,
            )
            self._crash(RuntimeError("a topic became shorter"))

    def _restart_for(self, topics: list[str]) -> None:
        if topics and not self.is_outdated:
            self.is_outdated = True
            _LOG.error("topics %s were deleted and created anew; restarting", ", ".join(topics))
            self._crash(RuntimeError("topics were created anew"))

    async def run(self) -> None:
        """Compare the ids of the topics each minute."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            await self._check()

    async def verify(self) -> bool:
        """Compare the ids of the topics until the broker answers; whether they are those of the start.

        An assignment may be the first notice of topics that were made anew: their partitions must not be read with
        the bases of the deleted ones.
        """
        while True:
            if await self._check():
                return not self.is_outdated
            await asyncio.sleep(_RETRY_SECONDS)

    async def _check(self) -> bool:
        """Compare the ids of the topics; return whether the broker has answered."""
        try:
            topic_ids = await asyncio.to_thread(admin.topic_ids, USER_EVENTS, self._broker)
        except (BrokerUnavailableError, TopicAdminError) as error:
            _LOG.info("the ids of the topics could not be read: %s", error)
            return False
        self.compare(with_topic_ids(self._event_logs, topic_ids))
        return True

    async def record(self, remembered: EventLogs) -> None:
        """Write incarnations that the rows know and ``control`` has lost to ``control``, and restart.

        Parameters
        ----------
        remembered
            The later incarnations; empty if there are none.
        """
        while remembered and not self.is_outdated:
            _LOG.error(
                "the rows have offsets of %s that topic %s does not know: it was deleted, or lost records",
                ", ".join(sorted(remembered)),
                CONTROL.name,
            )
            try:
                topic_ids = await asyncio.to_thread(admin.topic_ids, USER_EVENTS, self._broker)
                await asyncio.to_thread(resolve_event_logs, self._broker, topic_ids, remembered=remembered)
            except (BrokerUnavailableError, TopicAdminError, UserError) as error:
                _LOG.info("the bases of the topics could not be written: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._restart_for(sorted(remembered))
