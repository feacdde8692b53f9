"""Records of the shop's topics as Hypothesis draws them: every field of the contract, valid or not."""

import json
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from tests.fuzz.shop_records import PARTITIONS, START, FuzzedRecord
from topics.catalog import SHOP_TOPICS, TopicSpec

_ids = st.one_of(st.sampled_from(["ann", "bob", "shoe", "hat", "sock"]), st.text(min_size=1, max_size=64))
_json: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_prices = st.floats(min_value=0, max_value=1e15) | st.sampled_from([0, 5e-324, 1e15])
_lines = st.fixed_dictionaries({"item_id": _ids}, optional={"quantity": _prices, "price": _prices})
_times = st.integers(min_value=round((START - 2e6) * 1000), max_value=round((START + 200) * 1000))
_context = st.dictionaries(
    st.sampled_from(["country", "device"]) | st.text(max_size=8),
    st.text(max_size=20) | st.integers() | st.floats() | st.booleans() | st.none(),
    max_size=4,
)
_fields: Final[dict[str, st.SearchStrategy[Any]]] = {
    "event_id": _ids | st.uuids().map(str),
    "user_id": _ids,
    "ts": _times,
    "context": _context,
    "filters": _context,
    "channel": _ids,
    "action": st.sampled_from(["view", "detail", "cart", "wishlist", "share"]),
    "kind": st.sampled_from(["like", "dislike", "hide"]),
    "position": st.integers(0, 2**31 - 1),
    "query": st.text(max_size=60),
    "results": st.lists(_ids, max_size=8),
    "prices": st.lists(_prices, max_size=8),
    "shown": st.lists(_ids, max_size=8),
    "shown_prices": st.lists(_prices, max_size=8),
    "currency": st.text(max_size=8),
    "title": st.text(max_size=60),
    "description": st.text(max_size=60),
    "categories": st.lists(_ids, max_size=4),
    "tags": st.lists(_ids, max_size=4),
    "price": _prices | st.none(),
    "image_embedding": st.lists(st.floats(), max_size=6),
    "text_embedding": st.lists(st.floats(), max_size=6),
    "available": st.booleans(),
    "created": _times | st.none(),
}
_ITEMS: Final = {"events.purchase": st.lists(_lines, min_size=1, max_size=5)}


def _event(spec: TopicSpec) -> st.SearchStrategy[dict[str, Any]]:
    """A valid event of a topic."""
    assert spec.payload is not None
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in msgspec.structs.fields(spec.payload):
        of_name = _ITEMS.get(spec.name, st.lists(_ids, max_size=8)) if field.name == "items" else _ids
        (required if field.required else optional)[field.name] = _fields.get(field.name, of_name)
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def _value(draw: st.DrawFn, spec: TopicSpec) -> bytes | None:
    event = draw(_event(spec))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        event[draw(st.sampled_from(sorted(event)))] = draw(_json)
    elif kind == 1:
        return draw(st.none() | st.binary(max_size=40))
    elif kind == 2:
        raw = bytearray(json.dumps(event).encode())
        for at, byte in draw(
            st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=4)
        ):
            raw[at] = byte
        return bytes(raw)
    return json.dumps(event, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def fuzzed_records(draw: st.DrawFn) -> FuzzedRecord:
    """A record of any topic of the shop."""
    spec = draw(st.sampled_from(SHOP_TOPICS))
    value = draw(_value(spec))
    key = draw(st.none() | st.binary(max_size=8) | _ids.map(str.encode))
    if value and draw(st.booleans()):
        try:
            decoded = json.loads(value)
            key = (decoded["item_id"] if spec.key == "item_id" else decoded["user_id"]).encode()
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
    return FuzzedRecord(
        spec.name,
        draw(st.integers(0, PARTITIONS - 1)),
        draw(st.integers(0, 40) | st.integers(0, 2**40)),
        START + draw(st.floats(0, 1e6)),
        key,
        value,
    )
