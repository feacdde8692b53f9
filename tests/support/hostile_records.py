"""Valid events in many encodings, and invalid records of many kinds, from one seed."""

# ruff: noqa: ARG002  # factories share a signature; some need no topic or no event

import base64
import itertools
import json
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from tests.support.kafka_records import KafkaRecord
from topics.catalog import (
    CATALOG_ITEMS,
    CLICKS,
    ERASURES,
    FEEDBACK,
    IMPRESSIONS,
    PURCHASES,
    SEARCHES,
    SHOP_TOPICS,
    TopicSpec,
)
from topics.codec import RejectReason

TOO_LONG_IDS: Final = (
    "x" * 257,
    "x" * 5_000,
    "é" * 128 + "x",  # 257 bytes in 129 characters
    "漢" * 86,  # 258 bytes in 86 characters
    "\U0001f6b0" * 64 + "x",  # 257 bytes in 65 characters
)

VALID_ODD_IDS: Final = (
    "x" * 256,
    "é" * 128,
    "\U0001f6b0" * 64,
    "a b",
    "{braces}",
    "new\nline",
    "nul\0inside",
    'quote"and\\slash',
    "漢字",
    "../../etc/passwd",
    "*",
)
"""Unusual but valid ids."""


class InvalidRecord(NamedTuple):
    """An invalid value and the reason of its rejection."""

    value: bytes | None
    reason: RejectReason


class RecordFactory:
    """Creates valid events and invalid records from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.now = round(time.time() * 1000)
        self._numbers = itertools.count()

    def event(self, spec: TopicSpec, user: str) -> dict[str, Any]:
        """A valid event as plain data."""
        number = next(self._numbers)
        item = f"item-{int(self.rng.integers(60))}"
        ts = self.now - int(self.rng.integers(3_600_000))
        if spec is CATALOG_ITEMS:
            return {"item_id": item, "ts": ts, "title": "Ein Stück", "price": 3.5, "categories": ["a", "b"]}
        common: dict[str, Any] = {
            "event_id": f"e{number}",
            "user_id": user,
            "ts": ts,
            "context": {"country": "FR", "n": number},
        }
        by_topic: dict[str, dict[str, Any]] = {
            CLICKS.name: {"item_id": item, "action": "view", "position": 3},
            SEARCHES.name: {"query": "schuhe für 👟", "results": [item], "filters": {"max": 10.5}},
            PURCHASES.name: {
                "order_id": f"o{number}",
                "items": [{"item_id": item, "quantity": 2, "price": 0}],
                "currency": "EUR",
            },
            IMPRESSIONS.name: {"surface": "home", "items": [item]},
            FEEDBACK.name: {"item_id": item, "kind": "like"},
            ERASURES.name: {},
        }
        return common | by_topic[spec.name]

    def encode_variant(self, event: dict[str, Any]) -> bytes:
        """JSON of a valid event in one of many encodings."""
        variant = int(self.rng.integers(12))
        if variant == 0:
            event = event | {"ts": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(event["ts"] / 1000))}
        elif variant == 1:
            event = event | {"unknown": {"deep": [[[{"a": None}]]] * 3, "nan": "NaN"}}
        elif variant == 2:
            return json.dumps(event, indent=2).encode()  # escapes non-ASCII characters
        elif variant == 5 and "results" in event:
            # Prices whose number differs from the number of results are ignored.
            event = event | {
                "prices": self._choose([], [9.5], [0], [-0.0], [1e15], [5e-324], [3, 2.5], [1] * 1_000)
            }
        elif variant == 3 and "event_id" in event:
            return b'{"event_id":"duplicate-key",' + msgspec.json.encode(event)[1:]  # the last value is used
        elif variant == 4 and "item_id" in event and "event_id" in event:
            event = event | {"item_id": VALID_ODD_IDS[int(self.rng.integers(len(VALID_ODD_IDS)))]}
        return msgspec.json.encode(event)

    def make_invalid(self, spec: TopicSpec, user: str) -> InvalidRecord:
        """A record that is not a valid event of its topic."""
        factories: list[Callable[[TopicSpec, dict[str, Any]], InvalidRecord | None]] = [
            self._not_json,
            self._truncated,
            self._not_an_object,
            self._wrong_type,
            self._missing_field,
            self._long_id,
            self._empty_id,
            self._invalid_timestamp,
            self._deeply_nested,
            self._invalid_number,
            self._not_utf8,
            self._out_of_bounds,
            self._invalid_price,
            self._wrong_topic,
            self._duplicate_key,
        ]
        while True:
            invalid_record = factories[int(self.rng.integers(len(factories)))](spec, self.event(spec, user))
            if invalid_record is not None and (invalid_record.value is not None or spec is not CATALOG_ITEMS):
                return invalid_record

    def _choose(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def _not_json(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        raw = msgspec.json.encode(event)
        return InvalidRecord(
            self._choose(
                None,
                b"",
                b"\0" * 16,
                b"\x89" + self.rng.bytes(int(self.rng.integers(400))),
                b"\xef\xbb\xbf" + raw,
                raw.decode().encode("utf-16"),
                msgspec.msgpack.encode(event),
                b"<event/>",
                raw + raw,
                raw.replace(b'"', b"'"),
                raw.replace(b"}", b",}"),
                base64.b64encode(raw) + b"=",
            ),
            RejectReason.UNREADABLE,
        )

    def _truncated(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        raw = msgspec.json.encode({"unknown": "x"} | event)
        # Truncation makes the record unreadable. No field before the cut has a wrong type or length, which would be
        # another reason.
        return InvalidRecord(raw[: int(self.rng.integers(1, len(raw) - 1))], RejectReason.UNREADABLE)

    def _not_an_object(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        return InvalidRecord(
            self._choose(
                b"null", b"true", b"0", b"-1.5e3", b'"text"', b"[]", b"[{}]", msgspec.json.encode([event])
            ),
            RejectReason.WRONG_TYPE,
        )

    def _wrong_type(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        name = self._choose(*_required(spec))
        mismatched_reasons: Any = self._choose(None, True, {"a": 1}, [[1]], {}, 1.5)
        return InvalidRecord(msgspec.json.encode(event | {name: mismatched_reasons}), RejectReason.WRONG_TYPE)

    def _missing_field(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        event.pop(self._choose(*_required(spec)))
        return InvalidRecord(msgspec.json.encode(self._choose({}, event)), RejectReason.MISSING_FIELD)

    def _long_id(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        name = self._choose(*(name for name in event if name.endswith("_id")))
        value = event | {name: self._choose(*TOO_LONG_IDS)}
        return InvalidRecord(
            self._choose(msgspec.json.encode, _encode_ascii)(value), RejectReason.ID_TOO_LONG
        )

    def _empty_id(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        name = self._choose(*(name for name in event if name.endswith("_id")))
        return InvalidRecord(msgspec.json.encode(event | {name: ""}), RejectReason.INVALID_VALUE)

    def _invalid_timestamp(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord | None:
        past = (
            0,
            -1,
            -(10**15),
            self.now - 31 * 86_400_000,
            "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
        )
        future = (
            self.now + 3_600_000,
            10**14,
            2**62,
            "9999-12-31T23:59:59.999999Z",
            "2200-01-01T00:00:00+01:00",
        )
        invalid = ("yesterday", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "", str(self.now))
        kind, values = self._choose(
            (RejectReason.TIMESTAMP_TOO_OLD, past),
            (RejectReason.FUTURE_TIMESTAMP, future),
            (RejectReason.INVALID_VALUE, invalid),
        )
        if spec is CATALOG_ITEMS and kind is RejectReason.TIMESTAMP_TOO_OLD:
            return None  # catalog events may have any age
        return InvalidRecord(msgspec.json.encode(event | {"ts": self._choose(*values)}), kind)

    def _deeply_nested(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord | None:
        if self.rng.random() < 0.8:
            return None  # fewer, because they are large
        depth = self._choose(20_000, 100_000)
        opening, closing = self._choose((b"[", b"]"), (b'{"a":', b"}"))
        nested = opening * depth + (b"1" if opening != b"[" else b"") + closing * depth
        raw = msgspec.json.encode(event)[:-1] + b',"unknown":' + nested + b"}"
        return InvalidRecord(self._choose(raw, raw[: depth // 2 + 100]), RejectReason.UNREADABLE)

    def _invalid_number(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        if spec is SEARCHES and self.rng.random() < 0.3:
            text, reason = self._choose(
                (b"[NaN]", RejectReason.UNREADABLE),
                (b"[9.5,-Infinity]", RejectReason.UNREADABLE),
                (b"[1e400]", RejectReason.INVALID_VALUE),
                (b"[9.5,", RejectReason.UNREADABLE),
            )
            return InvalidRecord(msgspec.json.encode(event)[:-1] + b',"prices":' + text + b"}", reason)
        raw = msgspec.json.encode(event)[:-1]
        text = self._choose(b"NaN", b"Infinity", b"-Infinity", b"01", b"0x10", b"+1")
        field = self._choose(b"ts", b"unknown")
        return InvalidRecord(raw + b',"' + field + b'":' + text + b"}", RejectReason.UNREADABLE)

    def _not_utf8(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        raw = msgspec.json.encode(event)
        broken = self._choose(
            b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf", b"\x80"
        )
        name = self._choose(*(name for name in event if name.endswith("_id"))).encode()
        return InvalidRecord(raw[:-1] + b',"' + name + b'":"a' + broken + b'z"}', RejectReason.UNREADABLE)

    def _out_of_bounds(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        out_of_bounds: dict[str, Any]
        if spec is CATALOG_ITEMS:
            out_of_bounds = self._choose(
                {"title": "t" * 4_097},
                {"categories": ["c"] * 1_001},
                {"description": "d" * 70_000},
                {"created": 10**17},
            )
        else:
            out_of_bounds = self._choose(
                {"context": {f"k{n}": n for n in range(65)}},
                {"context": {"k" * 65: 1}},
                {"context": {"k": "v" * 1_025}},
                {"context": {"k": 2**63}},
                {"context": {"k": 10**40}},
                *({"position": p} for p in (-1, 2**31, 2**80) if spec is CLICKS),
                *({"query": "q" * 4_097} for _ in range(2) if spec in (CLICKS, SEARCHES, PURCHASES)),
                *({"items": []} for _ in range(2) if spec is PURCHASES),
                *({"action": a} for a in ("teleport", "") if spec is CLICKS),
                *({"results": ["r"] * 1_001} for _ in range(2) if spec is SEARCHES),
                *({"kind": k} for k in ("love", "") if spec is FEEDBACK),
            )
        return InvalidRecord(json.dumps(event | out_of_bounds).encode(), RejectReason.INVALID_VALUE)

    def _invalid_price(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord | None:
        if spec is CATALOG_ITEMS:
            return InvalidRecord(msgspec.json.encode(event | {"price": -0.01}), RejectReason.NEGATIVE_PRICE)
        if spec is SEARCHES:
            prices, reason = self._choose(
                ("9.5", RejectReason.WRONG_TYPE),
                (9.5, RejectReason.WRONG_TYPE),
                (None, RejectReason.WRONG_TYPE),
                ({"0": 9.5}, RejectReason.WRONG_TYPE),
                (["9.5"], RejectReason.WRONG_TYPE),
                ([None], RejectReason.WRONG_TYPE),
                ([True], RejectReason.WRONG_TYPE),
                ([[9.5]], RejectReason.WRONG_TYPE),
                (["NaN"], RejectReason.WRONG_TYPE),
                ([-0.01], RejectReason.NEGATIVE_PRICE),
                ([9.5, -1], RejectReason.NEGATIVE_PRICE),
                ([-1e300], RejectReason.NEGATIVE_PRICE),
                ([2e15], RejectReason.INVALID_VALUE),
                ([9.5, 1e300], RejectReason.INVALID_VALUE),
                ([10**40], RejectReason.INVALID_VALUE),
                ([9.5] * 1_001, RejectReason.INVALID_VALUE),
            )
            return InvalidRecord(json.dumps(event | {"prices": prices}).encode(), reason)
        if spec is not PURCHASES:
            return None
        line, reason = self._choose(
            ({"price": -1}, RejectReason.NEGATIVE_PRICE),
            ({"price": -1e300}, RejectReason.NEGATIVE_PRICE),
            ({"price": 1e300}, RejectReason.INVALID_VALUE),
            ({"quantity": 1e300}, RejectReason.INVALID_VALUE),
            ({"quantity": 0}, RejectReason.INVALID_QUANTITY),
            ({"quantity": -3}, RejectReason.INVALID_QUANTITY),
            ({"quantity": None}, RejectReason.WRONG_TYPE),
            ({"price": "12"}, RejectReason.WRONG_TYPE),
            ({"item_id": "漢" * 86}, RejectReason.ID_TOO_LONG),
        )
        return InvalidRecord(msgspec.json.encode(event | {"items": [{"item_id": "i"} | line]}), reason)

    def _wrong_topic(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord | None:
        """An event of another topic."""
        other = self._choose(
            *(each for each in (CLICKS, SEARCHES, ERASURES, CATALOG_ITEMS) if each is not spec)
        )
        if spec in (IMPRESSIONS, ERASURES) and other is not CATALOG_ITEMS:
            return None  # all their required fields are in the other event
        if spec is CATALOG_ITEMS and other is CLICKS:
            return None  # the other event has an item and a time
        return InvalidRecord(msgspec.json.encode(self.event(other, "u")), RejectReason.MISSING_FIELD)

    def _duplicate_key(self, spec: TopicSpec, event: dict[str, Any]) -> InvalidRecord:
        """A duplicate key, with an invalid value the second time."""
        raw = msgspec.json.encode(event)[:-1]
        name = "item_id" if spec is CATALOG_ITEMS else "user_id"
        text, reason = self._choose((b"null", RejectReason.WRONG_TYPE), (b'""', RejectReason.INVALID_VALUE))
        return InvalidRecord(raw + b',"' + name.encode() + b'":' + text + b"}", reason)


def _required(spec: TopicSpec) -> list[str]:
    assert spec.payload is not None
    return [field.name for field in msgspec.structs.fields(spec.payload) if field.required]


def _encode_ascii(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


class LabeledRecord(NamedTuple):
    """A record to send, with its user, or the reason of its rejection."""

    record: KafkaRecord
    user: str | None
    reason: RejectReason | None


def generate_records(seed: int, *, n_valid: int, n_invalid: int) -> list[LabeledRecord]:
    """Valid and invalid records, shuffled."""
    factory = RecordFactory(seed)
    rng = factory.rng
    sent: list[LabeledRecord] = []
    weights = np.array([0.4, 0.15, 0.15, 0.1, 0.1, 0.02, 0.08])
    for index in rng.choice(len(SHOP_TOPICS), n_valid, p=weights):
        spec = SHOP_TOPICS[index]
        # An erased user has no other events, which an erasure would remove.
        user = f"gone-{len(sent)}" if spec is ERASURES else _user_id(int(rng.integers(400)))
        value = factory.encode_variant(factory.event(spec, user))
        key = msgspec.json.decode(value)["item_id" if spec is CATALOG_ITEMS else "user_id"]
        sent.append(
            LabeledRecord(
                KafkaRecord(spec.name, key.encode(), value), None if spec is CATALOG_ITEMS else user, None
            )
        )
    for index in rng.integers(len(SHOP_TOPICS), size=n_invalid):
        spec = SHOP_TOPICS[index]
        user = _user_id(int(rng.integers(400)))
        invalid_record = factory.make_invalid(spec, user)
        keys: list[bytes | None] = [
            user.encode(),
            rng.bytes(20),
            b"\xff\xfe",
            b"k" * 3_000,
            b"",
            b'{"key":1}',
        ]
        # A compacted topic rejects records without a key.
        if spec is not CATALOG_ITEMS and invalid_record.value is not None:
            keys.append(None)
        key = keys[int(rng.integers(len(keys)))]
        sent.append(
            LabeledRecord(KafkaRecord(spec.name, key, invalid_record.value), None, invalid_record.reason)
        )
    return [sent[index] for index in rng.permutation(len(sent))]


def _user_id(number: int) -> str:
    return VALID_ODD_IDS[number] if number < len(VALID_ODD_IDS) else f"user-{number}"
