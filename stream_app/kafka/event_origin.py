"""The header of a forwarded event: where it was read, and which event was forwarded before it.

A program of the shop may copy the headers of a record to another one, as Kafka Streams does. The header therefore
has a digest of the record that was forwarded, and says nothing of any other.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Annotated, Final

import msgspec

HEADER: Final = "headrace-origin"

_Offset = Annotated[int, msgspec.Meta(ge=0, lt=2**34)]


class EventOrigin(msgspec.Struct, frozen=True, array_like=True):
    """Where a forwarded event comes from.

    Attributes
    ----------
    topic_id
        Id of the topic: the records of a topic that was copied to another cluster have the offsets of their own.
    partition, offset
        The event's.
    previous
        Offset of the event that the same worker had forwarded before from this partition to the same one; -1 for
        the first.
    """

    topic_id: str
    partition: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    offset: _Offset
    previous: Annotated[int, msgspec.Meta(ge=-1, lt=2**34)] = -1


class _Header(msgspec.Struct, frozen=True, array_like=True):
    digest: bytes
    origin: EventOrigin


_DIGEST_BYTES: Final = 8
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Header)


def _digest(key: bytes, value: bytes) -> bytes:
    return blake2b(key + b"\xff" + value, digest_size=_DIGEST_BYTES).digest()


def origin_header(origin: EventOrigin, key: bytes, value: bytes) -> tuple[str, bytes]:
    """The header of a record that is forwarded with a key and a value.

    Examples
    --------
    >>> origin = EventOrigin("x", 3, 17, 9)
    >>> headers = [("trace", b"1"), origin_header(origin, b"ann", b"{}")]
    >>> read_origin(headers, b"ann", b"{}") == origin
    True
    >>> read_origin(headers, b"bob", b"{}") is None
    True
    """
    return HEADER, _encoder.encode(_Header(_digest(key, value), origin))


def read_origin(headers: Iterable[tuple[str, bytes | None]], key: bytes, value: bytes) -> EventOrigin | None:
    """The origin in the headers of a record; None if there is none, or it is invalid or of another record."""
    for name, content in headers:
        if name == HEADER and content is not None:
            try:
                header = _decoder.decode(content)
            except (msgspec.DecodeError, ValueError, RecursionError):
                continue
            if header.digest == _digest(key, value):
                return header.origin
    return None
