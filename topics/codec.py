"""From raw bytes to a checked event, or to the reason why not.

Decoding is one msgspec call straight into the struct; the checks that a type cannot express (an id's length
in bytes, the clock, prices) follow. `decode` never raises anything but `RejectedError`.
"""

import math
from enum import StrEnum
from typing import Final

import msgspec

from topics.events import (
    MAX_ID_BYTES,
    CatalogItem,
    Click,
    Erasure,
    Event,
    Feedback,
    Impression,
    Purchase,
    Search,
    UserEvent,
)


class RejectReason(StrEnum):
    """Why a record became a dead letter; also the `reason` label of the metric."""

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


class RejectedError(ValueError):
    """A record cannot be taken.

    Attributes
    ----------
    reason
        The code.
    detail
        One sentence on what was wrong and where.
    """

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Final = reason
        self.detail: Final = detail


class Limits(msgspec.Struct, frozen=True):
    """The clock an event is held against.

    Attributes
    ----------
    max_future
        Seconds an event may lie after the broker's time of its record.
    max_age
        Seconds an event may lie before it (the retention); 0 takes events of any age.
    """

    max_future: float = 300.0
    max_age: float = 30 * 86_400.0


EVENT_TYPES: Final[tuple[type[Event], ...]] = (
    Click,
    Search,
    Purchase,
    Impression,
    Feedback,
    CatalogItem,
    Erasure,
)
_DECODERS: Final = {event_type: msgspec.json.Decoder(event_type) for event_type in EVENT_TYPES}


def decode(raw: bytes | None, event_type: type[Event], *, received: float, limits: Limits) -> Event:
    """Decode and check one record.

    Parameters
    ----------
    raw
        The record's value.
    event_type
        The struct of its topic.
    received
        The broker's time of the record, seconds since the epoch. Time comes in with the record, so that
        reading it again a week later gives the same verdict.
    limits
        How far event time may be from `received`.

    Returns
    -------
    Event
        An instance of `event_type`.

    Raises
    ------
    RejectedError
        With the reason code and a sentence.

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
        event: Event = _DECODERS[event_type].decode(raw)
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
    _check_values(event)
    return event


def _reason_of(message: str) -> RejectReason:
    if "missing required field" in message:
        return RejectReason.MISSING_FIELD
    if message.startswith("Expected `str` of length <= 256"):
        return RejectReason.ID_TOO_LONG
    if (
        " of length " in message
        or " >= " in message
        or message.startswith("Invalid")
        or "out of range" in message
        or "timezone" in message
    ):
        return RejectReason.INVALID_VALUE
    return RejectReason.WRONG_TYPE


def _check_clock(time: float, received: float, limits: Limits) -> None:
    if time > received + limits.max_future:
        raise RejectedError(
            RejectReason.FUTURE_TIMESTAMP,
            f"ts is {time - received:.0f} s after the record was received; "
            f"up to {limits.max_future:.0f} s is taken - at `$.ts`",
        )
    if limits.max_age and time < received - limits.max_age:
        raise RejectedError(
            RejectReason.TIMESTAMP_TOO_OLD,
            f"ts is {received - time:.0f} s before the record was received; "
            f"the retention is {limits.max_age:.0f} s - at `$.ts`",
        )


def _check_id(value: str | None, path: str) -> None:
    # A character has at most 4 bytes: short ids need no encoding to be measured.
    if value is not None and len(value) * 4 > MAX_ID_BYTES and len(value.encode()) > MAX_ID_BYTES:
        raise RejectedError(RejectReason.ID_TOO_LONG, f"over {MAX_ID_BYTES} bytes of UTF-8 - at `$.{path}`")


def _check_price(value: float | None, path: str) -> None:
    if value is None:
        return
    if value < 0:
        raise RejectedError(RejectReason.NEGATIVE_PRICE, f"{value:g} is below 0 - at `$.{path}`")
    if not math.isfinite(value):
        raise RejectedError(RejectReason.INVALID_VALUE, f"{value} is no price - at `$.{path}`")


def _check_values(event: Event) -> None:
    if isinstance(event, UserEvent):
        _check_id(event.user_id, "user_id")
        _check_id(event.event_id, "event_id")
        _check_id(event.session_id, "session_id")
    if isinstance(event, Click | Feedback):
        _check_id(event.item_id, "item_id")
        _check_id(event.list_id, "list_id")
    elif isinstance(event, Purchase):
        for place, line in enumerate(event.items):
            _check_id(line.item_id, f"items[{place}].item_id")
            _check_price(line.price, f"items[{place}].price")
            if not 0 < line.quantity < math.inf:
                raise RejectedError(
                    RejectReason.INVALID_QUANTITY,
                    f"{line.quantity:g} is no quantity - at `$.items[{place}].quantity`",
                )
        _check_ids(event.shown, "shown")
        for place, price in enumerate(event.shown_prices):
            _check_price(price, f"shown_prices[{place}]")
    elif isinstance(event, Search):
        _check_ids(event.results, "results")
    elif isinstance(event, Impression):
        _check_ids(event.items, "items")
    elif isinstance(event, CatalogItem):
        _check_id(event.item_id, "item_id")
        _check_price(event.price, "price")
        _check_ids(event.categories, "categories")


def _check_ids(values: list[str], path: str) -> None:
    for place, value in enumerate(values):
        _check_id(value, f"{path}[{place}]")
