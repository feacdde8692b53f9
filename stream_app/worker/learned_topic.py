"""Folds the records of a topic into the models: interactions and rewards; decodes those of the catalog."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
from prometheus_client import Counter

from stream_app.kafka.log_consumer import decode_or_warn
from topics.catalog import CATALOG_ITEMS
from topics.codec import Limits, RejectedError, decode
from topics.event_types import EVENT_TYPES
from topics.events import MAX_ID_BYTES, CatalogItem
from topics.records import Interaction, Reward

_LOG: Final = logging.getLogger(__name__)
_TOPICS: Final = {event_type.source: event_type.topic for event_type in EVENT_TYPES}


def decode_catalog_item(record: Any, limits: Limits) -> CatalogItem | None:
    """The catalog entry in a record, or an unavailable item for a tombstone; None if it is invalid.

    Parameters
    ----------
    record
        An aiokafka record.
    """
    if record.value is None:
        try:
            removed_id = (record.key or b"").decode()
        except UnicodeDecodeError:
            return None
        if not 0 < len(record.key or b"") <= MAX_ID_BYTES:
            return None  # no item can have such an id
        return CatalogItem(item_id=removed_id, ts=record.timestamp, available=False)
    try:
        return decode(record.value, CatalogItem, received=record.timestamp / 1000.0, limits=limits)
    except RejectedError:
        # The catalog agent of one worker writes the dead letter.
        return None


def fold_catalog(records: Sequence[Any], limits: Limits, learn: Callable[[CatalogItem], object]) -> None:
    """Decode records of the catalog, and fold those that are valid; one that cannot be learned stops no other."""
    for record in records:
        item = decode_catalog_item(record, limits)
        if item is None:
            continue
        try:
            learn(item)
        except Exception:  # noqa: BLE001  # the worker would end at each start
            _LOG.exception(
                "ignoring a record of %s that could not be learned: event %s[%s]@%s",
                CATALOG_ITEMS.name,
                record.topic,
                record.partition,
                record.offset,
            )


_LearnedT = TypeVar("_LearnedT", bound=Interaction | Reward)


class LearnedTopic(Generic[_LearnedT]):
    """Folds the records of one topic into the models.

    Parameters
    ----------
    learn
        Folds one record; False if it is at or below the watermark.
    on_folded
        Called with each record of a batch that was folded.
    """

    def __init__(
        self,
        topic: str,
        payload: type[_LearnedT],
        learn: Callable[[_LearnedT], bool],
        n_folded: Counter,
        n_dropped: Counter,
        on_folded: Callable[[_LearnedT], None] = lambda _: None,
    ) -> None:
        self._topic = topic
        self._decoder: Final = msgspec.msgpack.Decoder(payload)
        self._learn = learn
        self._n_folded = n_folded
        self._n_dropped = n_dropped
        self._on_folded = on_folded

    def fold(self, record: _LearnedT) -> None:
        """Fold one decoded record."""
        (self._n_folded if self._learn_or_log(record) else self._n_dropped).inc()

    def fold_batch(self, kafka_records: Sequence[Any]) -> None:
        """Decode and fold records of Kafka."""
        folded = dropped = 0
        for kafka_record in kafka_records:
            if kafka_record.value is None:
                continue  # a marker of an owner, or the tombstone of a record of an erased user
            record = decode_or_warn(self._decoder, kafka_record, self._topic)
            if record is not None and self._learn_or_log(record):
                folded += 1
                self._on_folded(record)
            else:
                dropped += 1
        self._n_folded.inc(folded)
        self._n_dropped.inc(dropped)

    def _learn_or_log(self, record: _LearnedT) -> bool:
        try:
            return self._learn(record)
        except Exception:  # noqa: BLE001  # a record that the models of this version reject must not stop the others
            _LOG.exception(
                "ignoring a record of %s that could not be learned: event %s[%s]@%s",
                self._topic,
                _TOPICS[record.source],
                record.partition,
                record.offset,
            )
            return False
