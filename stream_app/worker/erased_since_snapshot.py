"""Makes the models of a snapshot forget the users who were erased since.

A replica that follows the logs meets each erasure there. A worker that was stopped for days may not: the sweep has
removed the records of the user, and of the erasure, from the logs (`stream_app.worker.erasure_sweep`). The receipts
of the sweep tell which users those are, by one-way hash. The texts in the state of the models are hashed, and those
that match are the ids to forget.

The models may have evicted the id of such a user, and still hold a text that only this user typed. Then they drop all
texts that are not known to be of several users.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from aiokafka.structs import TopicPartition

from stream_app.kafka.availability import retry_while_unavailable
from stream_app.kafka.log_consumer import decode_or_warn, log_consumer
from stream_app.kafka.range_reader import LogRange, RangeReader
from stream_app.models.model_set import ModelSet
from topics.catalog import ERASURE_RECEIPTS
from topics.kafka_connection import Broker
from topics.log_keys import one_way_hash
from topics.records import ErasureReceipt, Source

_LOG: Final = logging.getLogger(__name__)
_MARGIN_SECONDS: Final = 2 * 86_400.0
"""The newest event of a snapshot may be some time older than the snapshot: no events arrived, or late ones."""

_decoder: Final = msgspec.json.Decoder(ErasureReceipt)


async def forget_erased_users(
    models: ModelSet, broker: Broker, consumer: Callable[[Broker], Any] = log_consumer
) -> int:
    """Forget users who were erased after the snapshot that the models come from; return their number.

    Parameters
    ----------
    models
        The models of a snapshot, before they read the logs.
    """
    if not models.version:
        return 0  # no snapshot: the logs have all that is left
    erased = await erased_since(models.newest, models.watermarks, broker, consumer)
    if not erased:
        return 0
    found = set(ids_with_hash(models.state(), erased))
    for user_id in found:
        models.forget_user(user_id)
    if len(found) < len(erased):
        models.forget_private_texts()
    _LOG.info("the models of the snapshot forgot %d users who were erased since", len(found))
    return len(found)


async def erased_since(
    newest: float,
    watermarks: Mapping[tuple[Source, int], int],
    broker: Broker,
    new_consumer: Callable[[Broker], Any] = log_consumer,
) -> set[bytes]:
    """The one-way hashes of users whose erasure a snapshot has not learned.

    Parameters
    ----------
    newest
        Newest event time in the snapshot, seconds since the epoch.
    watermarks
        Highest offset in the snapshot by source and partition of the events.
    """
    read = partial(_read_receipts, newest, watermarks, broker, new_consumer)
    return await retry_while_unavailable(read, "search for erased users")


async def _read_receipts(
    newest: float,
    watermarks: Mapping[tuple[Source, int], int],
    broker: Broker,
    new_consumer: Callable[[Broker], Any],
) -> set[bytes]:
    erased: set[bytes] = set()
    tp = TopicPartition(ERASURE_RECEIPTS.name, 0)
    consumer = new_consumer(broker)
    try:
        await consumer.start()
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        since = max(0, int((newest - _MARGIN_SECONDS) * 1000))
        found = (await consumer.offsets_for_times({tp: since})).get(tp)
        start = end if found is None else found.offset
        async for records in RangeReader(consumer, [LogRange(tp, start, end)]).read():
            for record in records:
                receipt = None if record.value is None else decode_or_warn(_decoder, record, tp.topic)
                if receipt is None or receipt.offset <= watermarks.get(
                    (Source.ERASURE, receipt.partition), -1
                ):
                    continue
                try:
                    erased.add(bytes.fromhex(receipt.user_hash))
                except ValueError as error:
                    _LOG.warning("ignoring invalid record %s[%s]@%s: %s", *tp, record.offset, error)
    finally:
        await consumer.stop()
    return erased


def ids_with_hash(state: Any, hashes: Collection[bytes]) -> Iterator[str]:
    """The texts in plain data whose one-way hash is among some.

    Examples
    --------
    >>> list(ids_with_hash({"ids": ["ann", None, "bob"], "n": 3}, {one_way_hash("bob")}))
    ['bob']
    """
    if isinstance(state, str):
        if one_way_hash(state) in hashes:
            yield state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from ids_with_hash(key, hashes)
            yield from ids_with_hash(value, hashes)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from ids_with_hash(value, hashes)
