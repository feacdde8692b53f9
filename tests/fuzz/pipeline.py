"""A worker in memory that takes fuzzed records from decoding to the client's reading, and checks what it promises."""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from state.row import decode_row
from stream_app.client import Client
from stream_app.client.redis_contract import item_key, popular_key, query_key, search_key, user_key
from stream_app.kafka.event_origin import HEADER, EventOrigin, origin_header
from tests.fuzz.shop_records import FuzzedRecord, hash_partition
from tests.support.in_memory_worker import InMemoryWorker
from topics.catalog import CATALOG_ITEMS, TopicSpec, catalog
from topics.codec import RejectReason
from topics.records import DeadLetter, RecommendationList, Reward

_KEY_OF: Final = {
    "user": user_key,
    "item": item_key,
    "popular": popular_key,
    "search": search_key,
    "query": query_key,
}


def _headers(record: FuzzedRecord) -> list[tuple[str, bytes | None]]:
    """Headers of a record: none, those of a shop, or any bytes in place of the origin of a forwarded event."""
    value = record.value or b""
    match record.offset % 4:
        case 0:
            return []
        case 1:
            return [("trace", value[:16]), ("", None)]
        case 2:
            return [(HEADER, None), (HEADER, value[:40])]
        case _:
            return [origin_header(EventOrigin("topic", 0, record.offset % 2**34), record.key or b"", value)]


class FuzzingError(AssertionError):
    """A promise does not hold for some records."""


class Counts(NamedTuple):
    """What was done with the records of one portion."""

    records: int
    dead_letters: int
    documents: int
    reads: int


class ErrorLog(logging.Handler):
    """Collects log lines of failures: an exception that was caught and logged is unhandled all the same."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class MemoryClient(Client):
    """The client of the web tier, which reads documents from a dict instead of Redis."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        super().__init__("redis://127.0.0.1:1")
        self._documents = documents

    def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._documents.get(key) for key in keys]


class Pipeline:
    """Takes records from bytes to lists that a client reads.

    Parameters
    ----------
    folder
        Of the worker's snapshots.
    settings
        Settings that differ from those of a worker.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        everything: dict[str, Any] = {
            "fusion": "learned",
            "policies": {"fixed": 1.0, "thompson": 1.0},
            "max_items": 500,
            "max_users": 100,
        }
        self.worker: Final = InMemoryWorker(folder, **{**everything, **settings})
        self._client = MemoryClient(self.worker.publisher.documents)
        self._specs: Final = {spec.name: spec for spec in catalog()}
        self._users: dict[str, bool] = {}
        """Users with an accepted event, and whether they have a list: not after an erasure."""

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def list_ids(self) -> list[str]:
        """Ids of some of the lists that are published now."""
        documents = list(self.worker.publisher.documents.values())[-30:]
        return [msgspec.json.decode(value, type=RecommendationList).list_id for value in documents]

    async def process(self, records: Sequence[FuzzedRecord]) -> Counts:
        """Process a portion of records, publish the lists and read them.

        Raises
        ------
        FuzzingError
            If an exception was not handled, or a list differs from what was promised.
        """
        with _error_log() as errors:
            for record in records:
                self._feed(record)
            async with asyncio.timeout(300):
                await self.worker.flush_loop.wait_until_idle()
        if errors.lines:
            raise FuzzingError(f"{len(errors.lines)} failures were logged, the first: {errors.lines[0]}")
        n_dead_letters = self._check_produced()
        n_documents = self._check_documents()
        return Counts(len(records), n_dead_letters, n_documents, self._read(records))

    def _feed(self, record: FuzzedRecord) -> None:
        worker = self.worker
        worker.clock.now = record.timestamp
        message = SimpleNamespace(**record._asdict(), headers=_headers(record))
        if record.topic == CATALOG_ITEMS.name:
            worker.components.catalog_events.handle(message)
            in_milliseconds = {**record._asdict(), "timestamp": round(record.timestamp * 1000)}
            worker.replica._fold_catalog([SimpleNamespace(**in_milliseconds)])
            return
        to_forward = worker.events.handle(message)
        if to_forward is not None:
            # The worker sends the record to the partition of its user, with the user's key.
            key = to_forward.user_id.encode()
            forwarded = record._replace(key=key, partition=hash_partition(key))
            origin = EventOrigin("topic", record.partition, record.offset % 2**34)
            headers = [origin_header(origin, key, record.value or b"")]
            if worker.events.handle(SimpleNamespace(**forwarded._asdict(), headers=headers)) is not None:
                raise FuzzingError(f"a forwarded record is forwarded again: {forwarded}")

    def _check_produced(self) -> int:
        """Decode every record that was produced, as its readers do; return the number of dead letters."""
        worker = self.worker
        records, worker.producer.records = worker.producer.records, []
        n_dead_letters = 0
        for record in records:
            if record.value is None:
                continue
            decoded = _decode(self._specs[record.topic], record.value)
            if isinstance(decoded, DeadLetter):
                n_dead_letters += 1
                if decoded.reason == RejectReason.FOLD_FAILED:
                    raise FuzzingError(f"an event could not be processed: {decoded}")
            elif isinstance(decoded, Reward) and not decoded.user_id:
                raise FuzzingError(f"a reward has no user: {decoded}")
        for user_id, raw in worker.rows.stored.items():
            self._users[user_id] = bool(decode_row(raw).counts.total)
        return n_dead_letters

    def _check_documents(self) -> int:
        """Every document is at the key that it names, and the key is that of one id."""
        documents = self.worker.publisher.documents
        for key, value in documents.items():
            listed = msgspec.json.decode(value, type=RecommendationList)
            ids = [item.id for item in listed.items]
            if listed.key != key or len(set(ids)) != len(ids) or not all(ids):
                raise FuzzingError(f"the document of {key} is wrong: {value!r}")
            kind, _, rest = key.removeprefix("recs:").partition(":{")
            identifier = unquote(rest.partition("}")[0], errors="strict")
            if _KEY_OF[kind](identifier) != key:
                raise FuzzingError(f"{key} is not the key of {identifier!r}")
        return len(documents)

    def _read(self, records: Iterable[FuzzedRecord]) -> int:
        """Read the lists of the users of these records as a web tier does."""
        client, n_reads = self._client, 0
        for user_id in {record.key.decode("utf-8", "replace") for record in records if record.key}:
            listed = client.read(user_id, session_items=[user_id], segments=["country:FR", user_id])
            own = client.read_key(user_key(user_id))
            client.query(user_id), client.item(user_id), client.popular(user_id)
            client.search(user_id, user_id, [user_id, "x"], timeout=0)
            n_reads += 6
            if not self._users.get(user_id) and own is not None:
                raise FuzzingError(f"user {user_id!r} has no events, but the list {own}")
            if own is not None and own.items and (listed is None or listed.key != own.key):
                raise FuzzingError(f"user {user_id!r} has a list, but reads {listed}")
        return n_reads


def _decode(spec: TopicSpec, value: bytes) -> Any:
    if spec.payload is None:
        return decode_row(value)
    codec: Any = msgspec.json if spec.encoding == "json" else msgspec.msgpack
    return codec.decode(value, type=spec.payload)


@contextmanager
def _error_log() -> Iterator[ErrorLog]:
    errors = ErrorLog()
    root = logging.getLogger()
    root.addHandler(errors)
    try:
        yield errors
    finally:
        root.removeHandler(errors)
