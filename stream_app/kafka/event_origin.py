"""The header of a forwarded event: where it was read, and which event was forwarded before it."""

from collections.abc import Iterable
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


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(EventOrigin)


def origin_header(origin: EventOrigin) -> tuple[str, bytes]:
    """The header of an event that is forwarded.

    Examples
    --------
    >>> origin = EventOrigin("x", 3, 17, 9)
    >>> read_origin([("trace", b"1"), origin_header(origin)]) == origin
    True
    """
    return HEADER, _encoder.encode(origin)


def read_origin(headers: Iterable[tuple[str, bytes | None]] | None) -> EventOrigin | None:
    """The origin in the headers of a record; None if there is none, or it is invalid."""
    for name, value in headers or ():
        if name == HEADER and value is not None:
            try:
                return _decoder.decode(value)
            except (msgspec.DecodeError, ValueError, RecursionError):
                return None
    return None
