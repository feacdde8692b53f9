"""Reasons of recommendations as English sentences, for the command line and the demo."""

from typing import Final

from topics.records import Reason

_PLAIN_SENTENCES: Final = {
    "bought_before": "you bought it before",
    "factors": "fits your taste",
    "trending": "trending now",
    "viewed_before": "you viewed it before",
}

_ITEM_PREFIXES: Final = {
    "also_bought": "bought together with ",
    "also_viewed": "because you viewed ",
    "related": "related to ",
    "similar_content": "similar to ",
    "similar_sessions": "in visits like yours, after ",
    "similar_users": "liked by users like you who viewed ",
    "viewed_next": "often viewed after ",
}

_QUERY_PREFIXES: Final = {
    "chosen_after_search": "chosen after searching for ",
    "matches_search": "fits your search for ",
}


def sentence(reason: Reason) -> str:
    """An English sentence for a reason; unknown sources are described by their name.

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
    label = source.replace("_", " ")
    if source == "popular":
        segment = reason.segment or "all"
        return "popular now" if segment == "all" else f"popular in {segment.replace(':', ' ', 1)}"
    if source == "trending" and reason.segment is not None:
        return f"trending in {reason.segment.replace(':', ' ', 1)}"
    if source in _PLAIN_SENTENCES:
        return _PLAIN_SENTENCES[source]
    if reason.query is not None and source in _QUERY_PREFIXES:
        return f"{_QUERY_PREFIXES[source]}“{reason.query}”"
    if reason.item_id is not None:
        return _ITEM_PREFIXES.get(source, f"{label}: ") + reason.item_id
    return label
