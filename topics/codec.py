"""Decodes raw bytes into a checked event, or rejects them with a reason.

msgspec decodes into the struct in one call. The checks that a type cannot express follow: the length of an id in
bytes, event time, prices. `decode` raises nothing but `RejectedError`.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from topics.events import (
    EVENT_STRUCTS,
    MAX_ID_BYTES,
    CatalogItem,
    OrderLine,
    Purchase,
    Search,
    UserEvent,
)


class RejectReason(StrEnum):
    """The reason of a dead letter; also the `reason` label of the metric."""

    UNREADABLE = "unreadable"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    INVALID_VALUE = "invalid_value"
    ID_TOO_LONG = "id_too_long"
    FUTURE_TIMESTAMP = "future_timestamp"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    NEGATIVE_PRICE = "negative_price"
    INVALID_QUANTITY = "invalid_quantity"
    FOLD_FAILED = "fold_failed"
    UNREADABLE_ROW = "unreadable_row"


class RejectedError(ValueError):
    """A record is invalid.

    Attributes
    ----------
    detail
        One sentence with the error and its path, at most 400 characters.
    """

    def __init__(self, reason: RejectReason, detail: str) -> None:
        if len(detail) > _MAX_DETAIL:
            # msgspec quotes an unknown enum value in full, and a client can send any value. The end of the message
            # has its path.
            detail = f"{detail[: _MAX_DETAIL - 100]} … {detail[-97:]}"
        super().__init__(f"{reason}: {detail}")
        self.reason: Final = reason
        self.detail: Final = detail


class Limits(msgspec.Struct, frozen=True):
    """Bounds of event time relative to the broker's timestamp of the record.

    Attributes
    ----------
    max_future
        Maximum seconds that event time may be after the broker's timestamp.
    max_age
        Maximum seconds that event time may be before it; 0 for no limit.
    """

    max_future: float = 300.0
    max_age: float = 30 * 86_400.0

    @property
    def without_max_age(self) -> "Limits":
        """The same without `max_age`: an item's description is valid until the next one."""
        return Limits(max_future=self.max_future, max_age=0.0)


_DECODERS: Final[dict[type, msgspec.json.Decoder[Any]]] = {
    event_type: msgspec.json.Decoder(event_type) for event_type in EVENT_STRUCTS
}

# msgspec's messages for a value of the right type that violates a constraint; its other messages are about types.
_CONSTRAINT: Final = re.compile(
    r"Expected `\w+` (of length )?[<>]=|Expected `datetime` with|Invalid |(Number|Integer value) out of range"
)
_ID_CONSTRAINT: Final = f"Expected `str` of length <= {MAX_ID_BYTES}"
_MAX_DETAIL: Final = 400
# The years 1 and 10000, the bounds of a datetime.
_FIRST_TIME: Final = -62_135_596_800.0
_LAST_TIME: Final = 253_402_300_800.0


_EventT = TypeVar("_EventT", bound=UserEvent | CatalogItem)


def decode(raw: bytes | None, event_type: type[_EventT], *, received: float, limits: Limits) -> _EventT:
    """Decode and check one record.

    Parameters
    ----------
    received
        The broker's timestamp of the record, seconds since the epoch. The check uses it instead of a clock, so that
        a record that is read again a week later has the same result.
    limits
        Bounds of event time relative to `received`.

    Raises
    ------
    RejectedError
        If the record is invalid, with the reason code and one sentence.

    Examples
    --------
    >>> from topics.events import Click
    >>> raw = b'{"event_id":"e1","user_id":"u1","ts":1541599523000,"item_id":"i1"}'
    >>> decode(raw, Click, received=1541599524.0, limits=Limits()).item_id
    'i1'
    >>> decode(b'{"event_id":"e1"', Click, received=0, limits=Limits())
    Traceback (most recent call last):
    topics.codec.RejectedError: unreadable: Input data was truncated
    """
    if raw is None:
        raise RejectedError(RejectReason.UNREADABLE, "the record has no value")
    try:
        event: _EventT = _DECODERS[event_type].decode(raw)
        time = event.time
    except msgspec.ValidationError as error:
        raise RejectedError(_reason_of(str(error)), str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RejectedError(RejectReason.UNREADABLE, str(error)) from None
    except RecursionError:
        raise RejectedError(RejectReason.UNREADABLE, "nested too deep") from None
    except (ValueError, OverflowError) as error:
        raise RejectedError(RejectReason.INVALID_VALUE, str(error)) from None
    _check_clock(time, received, limits)
    # In ASCII without \u escapes a character is a byte, and the decoder has already checked the length of the ids.
    if not raw.isascii() or b"\\u" in raw:
        _check_ids(event)
    check_values = _VALUE_CHECKS.get(event_type)
    if check_values is not None:
        check_values(event)
    return event


def _reason_of(message: str) -> RejectReason:
    # Only the start of a message is msgspec's own: it may quote an enum value that a client sent.
    if message.startswith("Object missing required field"):
        return RejectReason.MISSING_FIELD
    if message.startswith(_ID_CONSTRAINT):
        return RejectReason.ID_TOO_LONG
    if _CONSTRAINT.match(message):
        return RejectReason.INVALID_VALUE
    return RejectReason.WRONG_TYPE


def _check_clock(time: float, received: float, limits: Limits) -> None:
    if time > received + limits.max_future:
        raise RejectedError(
            RejectReason.FUTURE_TIMESTAMP,
            f"ts is {time - received:.0f} s after the record was received; "
            f"at most {limits.max_future:.0f} s are allowed - at `$.ts`",
        )
    if limits.max_age and time < received - limits.max_age:
        raise RejectedError(
            RejectReason.TIMESTAMP_TOO_OLD,
            f"ts is {received - time:.0f} s before the record was received; "
            f"at most {limits.max_age:.0f} s are allowed - at `$.ts`",
        )
    if time < _FIRST_TIME:
        raise RejectedError(RejectReason.TIMESTAMP_TOO_OLD, "ts is before the year 1 - at `$.ts`")


def _check_id(value: str, path: str) -> None:
    # A character has at most 4 bytes: a short id needs no encoding to be checked.
    if len(value) * 4 > MAX_ID_BYTES and len(value.encode()) > MAX_ID_BYTES:
        raise RejectedError(RejectReason.ID_TOO_LONG, f"over {MAX_ID_BYTES} bytes of UTF-8 - at `$.{path}`")


def _check_price(value: float | None, path: str) -> None:
    if value is None:
        return
    if value < 0:
        raise RejectedError(RejectReason.NEGATIVE_PRICE, f"{value:g} is below 0 - at `$.{path}`")


def _check_prices(prices: Sequence[float], name: str) -> None:
    for index, price in enumerate(prices):
        _check_price(price, f"{name}[{index}]")


def _check_purchase(event: Purchase) -> None:
    for index, line in enumerate(event.items):
        _check_price(line.price, f"items[{index}].price")
        if line.quantity <= 0:
            raise RejectedError(
                RejectReason.INVALID_QUANTITY,
                f"{line.quantity:g} is not a valid quantity - at `$.items[{index}].quantity`",
            )
    _check_prices(event.shown_prices, "shown_prices")


def _check_catalog_item(event: CatalogItem) -> None:
    _check_price(event.price, "price")
    created = event.created
    if isinstance(created, int) and not _FIRST_TIME <= created // 1000 < _LAST_TIME:
        raise RejectedError(RejectReason.INVALID_VALUE, "not a date of the years 1 to 9999 - at `$.created`")


_VALUE_CHECKS: Final[dict[type, Callable[[Any], None]]] = {
    Purchase: _check_purchase,
    Search: lambda event: _check_prices(event.prices, "prices"),
    CatalogItem: _check_catalog_item,
}
"""The checks of values that a type cannot express, for the structs that have any."""


def _id_fields(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    """Names of the fields of a struct that hold an id or a list of ids."""

    def is_id(type_: inspect.Type) -> bool:
        if isinstance(type_, inspect.UnionType):
            return any(is_id(member) for member in type_.types)
        if isinstance(type_, inspect.Metadata):
            return is_id(type_.type)
        if isinstance(type_, inspect.ListType):
            return is_id(type_.item_type)
        return isinstance(type_, inspect.StrType) and type_.max_length == MAX_ID_BYTES

    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)  # noqa: S101  # for the type checker
    return tuple(field.name for field in info.fields if is_id(field.type))


_ID_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    struct: _id_fields(struct) for struct in (*EVENT_STRUCTS, OrderLine)
}


def _check_ids(struct: UserEvent | CatalogItem | OrderLine, path: str = "") -> None:
    for name in _ID_FIELDS[type(struct)]:
        value = getattr(struct, name)
        if isinstance(value, str):
            _check_id(value, path + name)
        elif value is not None:
            for index, id_ in enumerate(value):
                _check_id(id_, f"{path}{name}[{index}]")
    if isinstance(struct, Purchase):
        for index, line in enumerate(struct.items):
            _check_ids(line, f"items[{index}].")
