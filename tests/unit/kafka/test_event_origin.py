"""The header of a forwarded event is read, and one that is no such header is ignored."""

import msgspec
import pytest

from stream_app.kafka.event_origin import HEADER, EventOrigin, origin_header, read_origin


def test_the_origin_is_found_among_the_headers_of_the_shop() -> None:
    origin = EventOrigin("x", 3, 2**33, 17)
    headers = (("traceparent", b"00-1"), origin_header(origin), ("empty", None))
    assert read_origin(headers) == origin


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"\x91" * 10_000,
        b"text",
        msgspec.msgpack.encode(["x", 3]),
        msgspec.msgpack.encode(["x", -1, 3, 1]),
        msgspec.msgpack.encode(["x", 1, -3, 1]),
        msgspec.msgpack.encode(["x", 1, 2**62, 1]),
        msgspec.msgpack.encode(["x", 1, 3, -2]),
        msgspec.msgpack.encode([b"\xff", 1, 3, 1]),
    ],
)
def test_a_header_that_is_no_origin_is_ignored(value: bytes | None) -> None:
    assert read_origin([(HEADER, value)]) is None


def test_a_record_without_headers_has_no_origin() -> None:
    assert read_origin(None) is None
    assert read_origin(()) is None
