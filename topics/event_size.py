"""How large an event may be: the bound that follows from the bounds of its fields."""

from functools import cache
from typing import Final

import msgspec
from msgspec import inspect

from topics.events import MAX_ID_BYTES, Event

_ESCAPED_BYTE: Final = 6
"""JSON writes a control character, of one byte of UTF-8, in six; any other character of UTF-8 is shorter by byte."""

_ESCAPED_CHARACTER: Final = 12
"""JSON without other characters than ASCII writes a character outside of the basic plane as two escapes of six."""

_NUMBER: Final = 24
_TIME: Final = 40
_FRAME: Final = 1_024
"""Bytes of a batch around the key and the value of one record."""


@cache
def largest_record_bytes(event_type: type[Event]) -> int:
    """The bytes that Kafka counts for the largest event of a type within the contract, without compression.

    Fields that the contract does not know, and blanks between fields, would come on top.

    Examples
    --------
    >>> from topics.events import Erasure, Purchase
    >>> largest_record_bytes(Erasure) < largest_record_bytes(Purchase) < 4 * 1024 * 1024
    True
    """
    return _FRAME + MAX_ID_BYTES + _largest(inspect.type_info(event_type))


def _largest(of: inspect.Type) -> int:
    """The longest JSON of a type; each type of the events is bounded."""
    match of:
        case inspect.Metadata(type=inner):
            size = _largest(inner)
        case inspect.UnionType(types=members):
            size = max(map(_largest, members))
        case inspect.StructType(fields=fields):
            # Each with the quotation marks of its name, a colon and a comma.
            size = 2 + sum(len(each.encode_name) + 4 + _largest(each.type) for each in fields)
        case inspect.ListType(item_type=item, max_length=int(length)):
            size = 2 + length * (_largest(item) + 1)
        case inspect.DictType(key_type=key, value_type=value, max_length=int(length)):
            size = 2 + length * (_largest(key) + _largest(value) + 2)
        case inspect.EnumType(cls=names):
            size = max(len(msgspec.json.encode(each)) for each in names)
        case inspect.StrType(max_length=int(length)):
            # An id is bounded in bytes, other texts in characters.
            size = 2 + length * (_ESCAPED_BYTE if length == MAX_ID_BYTES else _ESCAPED_CHARACTER)
        case inspect.DateTimeType():
            size = _TIME
        case inspect.IntType() | inspect.FloatType() | inspect.BoolType() | inspect.NoneType():
            size = _NUMBER
        case _:
            raise TypeError(f"no bound is known of {of}")
    return size
