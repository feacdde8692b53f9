"""The header of a forwarded event is read, and one that is no such header, or of another event, is ignored."""

import msgspec
import pytest

from stream_app.kafka.event_origin import HEADER, EventOrigin, origin_header, read_origin

ORIGIN = EventOrigin("x", 3, 2**33, 17)


def test_the_origin_is_found_among_the_headers_of_the_shop() -> None:
    headers = (("traceparent", b"00-1"), origin_header(ORIGIN, b"ann", b"{}"), ("empty", None))
    assert read_origin(headers, b"ann", b"{}") == ORIGIN


@pytest.mark.parametrize(
    ("key", "value"), [(b"ann", b"{ }"), (b"bob", b"{}"), (b"ann{", b"}"), (b"", b"ann{}")]
)
def test_the_header_of_another_record_is_ignored(key: bytes, value: bytes) -> None:
    copied = origin_header(ORIGIN, b"ann", b"{}")
    assert read_origin([copied], key, value) is None
    own = origin_header(EventOrigin("x", 4, 5), key, value)
    assert read_origin([copied, own], key, value) == EventOrigin("x", 4, 5)


@pytest.mark.parametrize(
    "origin",
    [[], ["x", 3], ["x", -1, 3, 1], ["x", 1, -3, 1], ["x", 1, 2**62, 1], ["x", 1, 3, -2], [b"\xff", 1, 3, 1]],
)
def test_an_invalid_origin_is_ignored(origin: list[object]) -> None:
    digest, _ = msgspec.msgpack.decode(origin_header(ORIGIN, b"ann", b"{}")[1])
    assert read_origin([(HEADER, msgspec.msgpack.encode([digest, origin]))], b"ann", b"{}") is None
    valid = msgspec.msgpack.encode([digest, msgspec.to_builtins(ORIGIN)])
    assert read_origin([(HEADER, valid)], b"ann", b"{}") == ORIGIN


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"\x91" * 10_000, b"text"])
def test_a_header_that_is_no_origin_is_ignored(content: bytes | None) -> None:
    assert read_origin([(HEADER, content)], b"ann", b"{}") is None
