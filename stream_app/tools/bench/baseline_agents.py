"""Baselines of the throughput: a minimal Faust agent, and the same with one table write per event."""

from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any, Final

import faust
import msgspec

from topics.catalog import USER_EVENTS
from topics.kafka_connection import Broker, connection_of

_decoders: Final = {spec.name: msgspec.json.Decoder(spec.payload) for spec in USER_EVENTS}
_ROW_BYTES: Final = 64


class EventCounter:
    """Number of processed events."""

    __slots__ = ("n_events",)

    def __init__(self) -> None:
        self.n_events = 0


def bare_agent(
    app_id: str, broker: Broker, folder: Path, partitions: int, counter: EventCounter
) -> faust.App:
    """An app whose agent only decodes events with msgspec."""
    app = faust.App(app_id, **_settings(broker, folder, partitions))

    async def bare(stream: AsyncIterable[Any]) -> None:
        async for event in stream.events():  # type: ignore[attr-defined]
            _decoders[event.message.topic].decode(event.value)
            counter.n_events += 1

    app.agent(_events(app), name="bare")(bare)
    return app


def table_agent(
    app_id: str, broker: Broker, folder: Path, partitions: int, counter: EventCounter
) -> faust.App:
    """The same with one table write of raw bytes per event; Faust writes the changelog with a linger."""
    app = faust.App(app_id, producer_linger=0.05, **_settings(broker, folder, partitions))
    table = app.Table("rows", key_type=bytes, value_type=bytes, partitions=partitions)
    encode = msgspec.msgpack.Encoder().encode

    async def writes(stream: AsyncIterable[Any]) -> None:
        async for event in stream.events():  # type: ignore[attr-defined]
            decoded = _decoders[event.message.topic].decode(event.value)
            table[event.key] = encode((decoded.event_id, decoded.ts, b"." * _ROW_BYTES))
            counter.n_events += 1

    app.agent(_events(app), name="writes")(writes)
    return app


def _events(app: faust.App) -> Any:
    names = [spec.name for spec in USER_EVENTS]
    return app.topic(*names, key_serializer="raw", value_serializer="raw")


def _settings(broker: Broker, folder: Path, partitions: int) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "broker": ";".join(f"kafka://{host}" for host in connection_of(broker).addresses),
        "store": "rocksdb://",
        "datadir": folder,
        "autodiscover": False,
        "web_enabled": False,
        "topic_partitions": partitions,
        "topic_disable_leader": True,
        "consumer_auto_offset_reset": "earliest",
    }
