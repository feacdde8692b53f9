"""The keys of a read, in the order of preference, and the first usable list among their values."""

from collections.abc import Collection, Sequence

import msgspec

from stream_app.client.redis_contract import GLOBAL_SEGMENT, decode_list, item_key, popular_key, user_key
from topics.records import RecommendationList


def fallback_keys(user_id: str, session_items: Sequence[str], segments: Sequence[str]) -> list[str]:
    """The keys of a read, in the order of preference.

    Parameters
    ----------
    session_items
        Items of the current session, oldest first; the last three are used.
    segments
        The user's segments, the narrowest first.

    Examples
    --------
    >>> fallback_keys("u", ["a", "b"], ["country:FR"])
    ['recs:user:{u}', 'recs:item:{b}', 'recs:item:{a}', 'recs:popular:{country:FR}', 'recs:popular:{all}']
    """
    items = [item_key(item) for item in reversed(session_items[-3:])]
    return [user_key(user_id), *items, *map(popular_key, segments), popular_key(GLOBAL_SEGMENT)]


def first_usable_list(
    values: Sequence[bytes | None], exclude: Collection[str] = ()
) -> RecommendationList | None:
    """The first list that has an item outside of `exclude`, or None.

    A value that cannot be decoded is skipped: a newer worker may write documents that this client cannot decode.
    """
    for value in values:
        document = decode_list_or_none(value)
        if document is None:
            continue
        if exclude:
            kept_items = tuple(item for item in document.items if item.id not in exclude)
            document = msgspec.structs.replace(document, items=kept_items)
        if document.items:
            return document
    return None


def decode_list_or_none(value: bytes | None) -> RecommendationList | None:
    """The list in a value of Redis; None if there is no value, or if it cannot be decoded."""
    try:
        return decode_list(value) if value is not None else None
    except msgspec.DecodeError:
        return None
