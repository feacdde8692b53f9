"""Reasons as sentences for people; light, so that the web tier and the command line can use it."""

from typing import Final

from topics.records import Reason

_ALONE: Final = {
    "bought_before": "you bought it before",
    "factors": "fits your taste",
    "trending": "trending now",
    "viewed_before": "you viewed it before",
}

_BEFORE_ITEM: Final = {
    "also_bought": "bought together with ",
    "also_viewed": "because you viewed ",
    "related": "related to ",
    "similar_content": "similar to ",
    "similar_sessions": "in visits like yours, after ",
    "similar_shoppers": "liked by shoppers like you, who looked at ",
    "viewed_next": "often viewed after ",
}

_BEFORE_QUERY: Final = {
    "chosen_after_search": "chosen after searching for ",
    "matches_search": "fits your search for ",
}


def sentence(reason: Reason) -> str:
    """A reason as a person would say it.

    Examples
    --------
    >>> sentence(Reason("also_viewed", item_id="X"))
    'because you viewed X'
    >>> sentence(Reason("popular", segment="country:FR"))
    'popular in country FR'
    >>> sentence(Reason("chosen_after_search", query="red shoes"))
    'chosen after searching for “red shoes”'
    """
    source = reason.source
    plain = source.replace("_", " ")
    if source == "popular":
        segment = reason.segment or "all"
        return "popular now" if segment == "all" else f"popular in {segment.replace(':', ' ', 1)}"
    if source == "trending" and reason.segment is not None:
        return f"trending in {reason.segment.replace(':', ' ', 1)}"
    if source in _ALONE:
        return _ALONE[source]
    if reason.query is not None and source in _BEFORE_QUERY:
        return f"{_BEFORE_QUERY[source]}“{reason.query}”"
    if reason.item_id is not None:
        return _BEFORE_ITEM.get(source, f"{plain}: ") + reason.item_id
    return plain
