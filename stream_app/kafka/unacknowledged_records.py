"""Records that were sent one by one, and that Kafka has not acknowledged yet."""

import asyncio
from typing import Any, Final

MAX_RECORDS: Final = 10_000


class UnacknowledgedRecords:
    """Holds commits back until records are acknowledged: the sender need not wait for each of them.

    Parameters
    ----------
    limit
        With this many records `add` waits.
    """

    def __init__(self, limit: int = MAX_RECORDS) -> None:
        self._limit = limit
        self._sent: list[asyncio.Future[Any]] = []

    async def add(self, sent: "asyncio.Future[Any]") -> None:
        """Add a record, by the future that its producer returned.

        Raises
        ------
        KafkaError
            As for `wait`, if the limit is reached.
        """
        self._sent.append(sent)
        if len(self._sent) >= self._limit:
            await self.wait()

    async def wait(self) -> None:
        """Wait until all records that were added before are acknowledged.

        Raises
        ------
        KafkaError
            If one was not delivered; then each later call raises, too.
        """
        sent = tuple(self._sent)
        if not sent:
            return
        # `gather` would cancel the deliveries with this call.
        await asyncio.wait(sent)
        for each in sent:
            each.result()
        # Not those that were added meanwhile; another call may have waited for the same ones.
        acknowledged = {id(each) for each in sent}
        self._sent = [each for each in self._sent if id(each) not in acknowledged]
