"""The largest events that the contract allows: longest ids, texts and lists, of characters that JSON escapes."""

from typing import Any, Final

import msgspec

from topics.events import (
    MAX_AMOUNT,
    MAX_CONTEXT,
    MAX_CONTEXT_VALUE,
    MAX_ID_BYTES,
    MAX_LIST_ITEMS,
    MAX_TEXT,
    CatalogItem,
    Click,
    Erasure,
    Event,
    Feedback,
    FeedbackKind,
    Impression,
    OrderLine,
    Purchase,
    Search,
)

CHARACTERS: Final = ("x", "é", "漢", "\U0001f6b0", '"', "\\", "\x01", "İ")
"""One to four bytes of UTF-8; quotation marks, backslashes and control characters are longer in JSON; the lower case
of the last one has two characters."""

LONGEST_PRICE: Final = MAX_AMOUNT - 0.123


def longest_id(character: str, number: int = 0) -> str:
    """The longest id of a character, distinct by a number."""
    suffix = f"{number:06}"
    return character * ((MAX_ID_BYTES - len(suffix)) // len(character.encode())) + suffix


def longest_ids(character: str, n_ids: int = MAX_LIST_ITEMS, start: int = 0) -> list[str]:
    return [longest_id(character, start + number) for number in range(n_ids)]


def largest_events(
    character: str, *, ts: int, user: int = 0, n_items: int = MAX_LIST_ITEMS, first: int = 0
) -> list[Event]:
    """One event of each type, as large as the contract allows.

    Parameters
    ----------
    ts
        Milliseconds since the epoch.
    user, first
        Numbers of the user and of the first item and event.
    n_items
        Entries of each list.
    """
    ids, text = longest_ids(character, n_items, first), character * MAX_TEXT
    filled: dict[str, Any] = {
        f"{number:02}".ljust(64, "k"): character * 1024 for number in range(MAX_CONTEXT)
    }
    filled = dict(list(filled.items())[1:]) | {"country": character * MAX_CONTEXT_VALUE}
    numbers = iter(range(first, first + 100))

    def common() -> dict[str, Any]:
        return {
            "event_id": longest_id(character, next(numbers)),
            "user_id": longest_id(character, user),
            "ts": ts,
            "session_id": longest_id(character),
            "channel": longest_id(character),
            "context": filled,
        }

    prices = [LONGEST_PRICE] * n_items
    lines = [OrderLine(item_id=item, quantity=LONGEST_PRICE, price=LONGEST_PRICE) for item in ids]
    return [
        *[CatalogItem(item_id=item, ts=ts, title=text, categories=ids[:20], brand=item) for item in ids[:3]],
        Impression(**common(), items=ids, surface=longest_id(character)),
        Search(**common(), query=text, results=ids, prices=prices, filters=filled),
        Click(**common(), item_id=ids[0], query=text),
        Purchase(
            **common(),
            order_id=longest_id(character),
            items=lines,
            query=text,
            shown=ids,
            shown_prices=prices,
            currency=character * 8,
        ),
        Feedback(**common(), item_id=ids[-1], kind=FeedbackKind.LIKE),
        Search(**common(), query=text, results=ids[::-1], prices=prices, filters=filled),
    ]


def largest_erasure(character: str, *, ts: int, user: int = 0) -> Erasure:
    return Erasure(event_id=longest_id(character, 999_999), user_id=longest_id(character, user), ts=ts)


def encoded(event: Event) -> bytes:
    return msgspec.json.encode(event)
