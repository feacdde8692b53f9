"""Records of the shop's topics from a seed: valid events, damaged events, damaged bytes, odd keys and offsets."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from tests.fuzz.identifiers import random_id, random_text
from topics.catalog import CATALOG_ITEMS, SHOP_TOPICS, TopicSpec

START: Final = 1_700_000_000.0
"""The broker's time of the first record, seconds since the epoch."""

PARTITIONS: Final = 4

_N_USERS: Final = 60
_N_ITEMS: Final = 300
_TOPIC_WEIGHTS: Final = {
    "events.click": 40,
    "events.search": 14,
    "events.purchase": 12,
    "events.impression": 10,
    "events.feedback": 8,
    "events.erasure": 2,
    CATALOG_ITEMS.name: 14,
}
_ODD_NUMBERS: Final = (0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**40, 0.5, -0.0, 5e-324)
_ODD_FLOATS: Final = (1e15, 1e16, 1.8e308, -1e300, 1e-300)
_ODD_TEXTS: Final = (
    "\ud800",
    "a\udfffb",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00+14:00",
)
_BROKEN_BYTES: Final = (
    b"\xff",
    b"\xc3(",
    b"\xed\xa0\x80",
    b"\0",
    b'"',
    b"\\u",
    b"\\ud800",
    b"{",
    b"]",
    b",",
    b"NaN",
)


class FuzzedRecord(NamedTuple):
    """A record as Kafka delivers it; `timestamp` is the broker's, seconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None


class RecordSource:
    """Makes records; the same seed makes the same records.

    A part of the users and items repeats, so that events of a user meet each other; others are new.
    """

    def __init__(self, seed: int) -> None:
        self._random: Final = Random(seed)
        self._specs: Final = {spec.name: spec for spec in SHOP_TOPICS}
        self._topics: Final = list(_TOPIC_WEIGHTS)
        self._weights: Final = list(_TOPIC_WEIGHTS.values())
        self._users: Final = [random_id(self._random) for _ in range(_N_USERS)]
        self._items: Final = [random_id(self._random) for _ in range(_N_ITEMS)]
        self._queries: Final = [random_text(self._random, 40) for _ in range(50)]
        self._offsets: Final[Counter[tuple[str, int]]] = Counter()
        self._now = START
        self._recent: list[bytes] = [b"{}"]
        self._event_ids: list[str] = ["e"]
        self._list_ids: list[str] = ["l"]

    def add_list_ids(self, list_ids: list[str]) -> None:
        """Make later events name these lists."""
        self._list_ids = (self._list_ids + list_ids)[-200:]

    def record(self) -> FuzzedRecord:
        """The next record."""
        random = self._random
        self._now += random.expovariate(1.0)
        topic = random.choices(self._topics, self._weights)[0]
        event = self._event(self._specs[topic])
        user_id = event.get("item_id" if topic == CATALOG_ITEMS.name else "user_id")
        value: bytes | None = self._value(event)
        key: bytes | None = user_id.encode() if isinstance(user_id, str) else b"k"
        if random.random() < 0.05:
            key = random.choice((None, b"", b"other", b"\xff\xfe", b"k" * 300))
        if random.random() < 0.005:
            value = None
        if random.random() < 0.02:
            topic = random.choice(self._topics)
        return self.deliver(topic, key, value)

    def deliver(self, topic: str, key: bytes | None, value: bytes | None) -> FuzzedRecord:
        """The record of a key and a value: mostly at the next offset, sometimes read again or far ahead."""
        random = self._random
        partition = hash_partition(key)
        luck = random.random()
        if luck < 0.01:
            partition = random.randrange(PARTITIONS)
        at = topic, partition
        offset = self._offsets[at]
        if luck > 0.97:
            offset = random.randint(max(0, offset - 50), offset)  # read again
        elif luck > 0.965:
            offset += random.choice((10, 10**6, 2**34))
        self._offsets[at] = max(self._offsets[at], offset + 1)
        return FuzzedRecord(topic, partition, offset, self._now, key, value)

    def damage(self, raw: bytes) -> bytes:
        """Bytes with a few changes: bits, cuts, repetitions, parts of another record."""
        random = self._random
        for _ in range(random.randint(1, 4)):
            at = random.randint(0, len(raw))
            kind = random.randrange(6)
            if kind == 0 and raw:
                at %= len(raw)
                raw = raw[:at] + bytes((raw[at] ^ (1 << random.randrange(8)),)) + raw[at + 1 :]
            elif kind == 1:
                raw = raw[:at] + random.choice(_BROKEN_BYTES) + raw[at:]
            elif kind == 2:
                raw = raw[:at] + raw[at + random.randint(1, 20) :]
            elif kind == 3:
                raw = raw[:at]
            elif kind == 4:
                raw = raw[:at] + raw[max(0, at - random.randint(1, 30)) :]
            else:
                other = random.choice(self._recent)
                raw = raw[:at] + other[random.randint(0, len(other)) :]
        return raw

    def _value(self, event: dict[str, Any]) -> bytes:
        random = self._random
        kind = random.random()
        if kind < 0.12:
            self._change_field(event)
        # The standard library writes what msgspec refuses: NaN, numbers of any size, escaped surrogates.
        raw = (
            msgspec.json.encode(event)
            if kind > 0.35
            else json.dumps(event, ensure_ascii=kind > 0.2).encode("utf-8", "surrogatepass")
        )
        if random.random() < 0.12:
            raw = self.damage(raw)
        self._recent = [*self._recent[-30:], raw]
        return raw

    def _change_field(self, event: dict[str, Any]) -> None:
        """Replace, remove or add a field, at any depth."""
        random = self._random
        target: Any = event
        while random.random() < 0.4:
            inner = [
                each
                for each in (target.values() if isinstance(target, dict) else target)
                if each and isinstance(each, dict | list)
            ]
            if not inner:
                break
            target = random.choice(inner)
        names = list(target) if isinstance(target, dict) else list(range(len(target)))
        name = random.choice(names)
        if random.random() < 0.2:
            del target[name]
        else:
            target[name] = self._any_value(3)

    def _any_value(self, depth: int) -> Any:
        random = self._random
        makers: list[Callable[[], Any]] = [
            lambda: random.choice((None, True, False, "", [], {})),
            lambda: random.choice(_ODD_NUMBERS),
            lambda: random.choice((*_ODD_FLOATS, float("nan"), float("inf"))),
            lambda: random.choice(_ODD_TEXTS),
            lambda: random_text(random, random.choice((1, 20, 300, 5_000))),
            lambda: random.randint(-(2**70), 2**70),
            lambda: [self._any_value(depth - 1) for _ in range(random.randint(0, 3))],
            lambda: [self._id()] * random.choice((1, 2, 999, 1_000, 1_001)),
            lambda: {random_text(random, 8): self._any_value(depth - 1) for _ in range(random.randint(0, 3))},
        ]
        value: Any = random.choice(makers if depth else makers[:6])()
        return value

    def _id(self) -> str:
        return random_id(self._random) if self._random.random() < 0.1 else self._random.choice(self._items)

    def _ids(self, longest: int = 12) -> list[str]:
        return [self._id() for _ in range(self._random.randint(0, longest))]

    def _prices(self, longest: int = 12) -> list[float]:
        random = self._random
        return [random.choice((0, 1, 9.5, 1e15, 5e-324, -0.0)) for _ in range(random.randint(0, longest))]

    def _timestamp(self) -> Any:
        random = self._random
        at = (
            self._now
            - random.choice((0.0, 1.0, 60.0, 3_000.0, 86_400.0, 29 * 86_400.0, -200.0)) * random.random()
        )
        if random.random() < 0.1:
            return datetime.fromtimestamp(at, UTC).isoformat()
        if random.random() < 0.02:
            return random.choice((0, -1, 2**62, 10**15, -(10**15), 0.5, "2026-02-30T00:00:00Z"))
        return round(at * 1000)

    def _event(self, spec: TopicSpec) -> dict[str, Any]:
        random = self._random
        if spec is CATALOG_ITEMS:
            return self._catalog_item()
        event_id = f"e{random.getrandbits(48)}"
        if random.random() < 0.02:
            event_id = random.choice(self._event_ids)
        self._event_ids = [*self._event_ids[-300:], event_id]
        user_id = random_id(random) if random.random() < 0.05 else random.choice(self._users)
        common: dict[str, Any] = {"event_id": event_id, "user_id": user_id, "ts": self._timestamp()}
        if random.random() < 0.3:
            common["channel"] = random.choice(("web", "app", self._id()))
        if random.random() < 0.3:
            country: Any = random.choice(("FR", "DE", 5, None, random_text(random, 12)))
            common["context"] = {"country": country, random_text(random, 6): True}
        if random.random() < 0.1:
            common["session_id"] = self._id()
        return common | self._content(spec.name)

    def _content(self, topic: str) -> dict[str, Any]:
        random = self._random
        by_list: dict[str, Any] = (
            {"list_id": random.choice((*self._list_ids[-20:], self._id()))} if random.random() < 0.4 else {}
        )
        query = random.choice((*self._queries, random_text(random, random.choice((5, 80, 4_000)))))
        if topic == "events.click":
            action = random.choice(("view", "detail", "cart", "wishlist", "share"))
            return by_list | {"item_id": self._id(), "action": action, "position": random.randint(0, 40)}
        if topic == "events.search":
            return {
                "query": query,
                "results": self._ids(40),
                "prices": self._prices(40),
                "filters": {"a": 1.5},
            }
        if topic == "events.purchase":
            lines = [
                {"item_id": self._id(), "quantity": random.choice((1, 2, 0.5, 1e15, 5e-324)), "price": price}
                for price in (3.5, *self._prices(3))
            ]
            searched = {"query": query, "shown": self._ids(), "shown_prices": self._prices()}
            return by_list | {"order_id": "o", "items": lines} | (searched if random.random() < 0.5 else {})
        if topic == "events.impression":
            return by_list | {"items": self._ids(20), "surface": "home"}
        if topic == "events.feedback":
            return by_list | {"item_id": self._id(), "kind": random.choice(("like", "dislike", "hide"))}
        return {}

    def _catalog_item(self) -> dict[str, Any]:
        random = self._random
        return {
            "item_id": self._id(),
            "ts": self._timestamp(),
            "title": random_text(random, random.choice((3, 40, 4_096))),
            "description": random_text(random, random.choice((1, 200))),
            "categories": self._ids(5),
            "brand": random.choice((None, "b", self._id())),
            "seller": random.choice((None, self._id())),
            "price": random.choice((None, 0, 9.5, 1e15, 5e-324)),
            "tags": self._ids(4),
            "image_embedding": [
                random.choice((0.0, 1.0, -1e300, 1e38, 5e-324)) for _ in range(random.choice((0, 2, 8)))
            ],
            "text_embedding": [random.choice((0.0, -1e300, 5e-324)) for _ in range(random.choice((0, 2)))],
            "available": random.random() < 0.9,
            "created": random.choice((None, 0, 1_700_000_000_000, -62_135_596_800_000)),
        }


def hash_partition(key: bytes | None) -> int:
    """A partition for a key; any stable function will do here."""
    return sum(key or b"") % PARTITIONS
