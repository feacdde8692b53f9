"""Elects the active trainer: the member of a consumer group that has the one partition of ``models``."""

import asyncio
import logging
from collections.abc import Collection
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition

from stream_app.kafka.secured import aiokafka_arguments
from topics.access import trainer_group
from topics.catalog import MODELS
from topics.kafka_connection import Broker

_LOG: Final = logging.getLogger(__name__)
_POLL_MS: Final = 500


class Election:
    """Membership of the group of trainers.

    Kafka gives the partition to one member. If that member does not answer for the session timeout, another one gets
    it; what the former member writes is refused then (`stream_app.trainer.announcer`).

    Parameters
    ----------
    session_timeout
        Seconds.
    """

    def __init__(self, broker: Broker, app_id: str, session_timeout: float) -> None:
        timeout_ms = int(session_timeout * 1000)
        self._consumer: Any = AIOKafkaConsumer(
            **aiokafka_arguments(broker),
            group_id=trainer_group(app_id),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=timeout_ms,
            heartbeat_interval_ms=timeout_ms // 4,
            # a trainer that joins must not take the partition from the one that trains
            partition_assignment_strategy=(StickyPartitionAssignor,),
            # what is read is discarded: the membership alone matters
            max_poll_interval_ms=24 * 3_600 * 1000,
        )
        self._elected: Final = asyncio.Event()
        self._lost: Final = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the group."""
        await self._consumer.start()
        self._consumer.subscribe([MODELS.name], listener=_AssignmentObserver(self))
        self._task = asyncio.create_task(self._stay(), name="election")

    async def stop(self) -> None:
        """Leave the group: another trainer is elected at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    async def _stay(self) -> None:
        while True:
            await self._consumer.getmany(timeout_ms=_POLL_MS)

    @property
    def task(self) -> "asyncio.Task[None]":
        """Ends with an error if the membership fails for good."""
        if self._task is None:
            raise RuntimeError("the election was not started")
        return self._task

    @property
    def is_elected(self) -> bool:
        """Whether this process is the active trainer, as far as it knows."""
        return self._elected.is_set()

    async def wait_until_elected(self) -> None:
        """Wait until this process is the active trainer."""
        await self._elected.wait()

    async def wait_until_lost(self) -> None:
        """Wait until it no longer is."""
        await self._lost.wait()

    def on_revoked(self) -> None:
        """Stand by."""
        if self._elected.is_set():
            self._elected.clear()
            self._lost.set()

    def on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Become active, or stand by."""
        if not partitions:
            self.on_revoked()
        elif not self._elected.is_set():
            self._lost.clear()
            self._elected.set()


class _AssignmentObserver(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, election: Election) -> None:
        self._election = election

    async def on_partitions_revoked(self, revoked: Any) -> None:
        # Of one partition there is nothing to hand over; it usually returns within the same rebalance.
        pass

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._election.on_assigned(assigned)
