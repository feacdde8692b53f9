"""Pauses between the attempts of aiokafka to reach a broker.

While no broker answers, aiokafka's producer asks for the leaders of its partitions again as soon as an attempt has
failed: some 1,300 attempts per second and two lines of log for each, at the cost of a processor.
"""

import asyncio
from typing import Any, Final

from aiokafka.client import AIOKafkaClient

_PAUSE_SECONDS: Final = 0.25


def pause_after_failed_updates() -> None:
    """Let all Kafka clients of this process pause after an update of the metadata that failed."""
    update = AIOKafkaClient._metadata_update  # noqa: SLF001  # aiokafka has no setting for it
    if getattr(update, "has_pause", False):
        return

    async def update_or_pause(client: Any, *args: Any) -> bool:
        is_updated = bool(await update(client, *args))
        if not is_updated:
            await asyncio.sleep(_PAUSE_SECONDS)
        return is_updated

    update_or_pause.has_pause = True  # type: ignore[attr-defined]  # marks the replaced method
    AIOKafkaClient._metadata_update = update_or_pause  # noqa: SLF001  # see above
