"""Reasons as sentences for people; light, so that the web tier and the command line can use it."""

from topics.records import Reason


def sentence(reason: Reason) -> str:  # noqa: PLR0911  # one return a kind of reason
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
    if reason.query is not None:
        match reason.source:
            case "chosen_after_search":
                return f"chosen after searching for “{reason.query}”"
            case "matches_search":
                return f"fits your search for “{reason.query}”"
    match reason.source, reason.item_id, reason.segment:
        case "also_viewed", str(item), _:
            return f"because you viewed {item}"
        case "also_bought", str(item), _:
            return f"bought together with {item}"
        case "viewed_before", _, _:
            return "you viewed it before"
        case "similar_sessions", str(item), _:
            return f"in visits like yours, after {item}"
        case "similar_shoppers", str(item), _:
            return f"liked by shoppers like you, who looked at {item}"
        case "similar_content", str(item), _:
            return f"similar to {item}"
        case "trending", _, _:
            return "trending now"
        case "popular", _, (None | "all"):
            return "popular now"
        case "popular", _, str(segment):
            return f"popular in {segment.replace(':', ' ', 1)}"
        case "factors", _, _:
            return "fits your taste"
        case source, str(item), _:
            return f"{source.replace('_', ' ')}: {item}"
        case source, _, _:
            return source.replace("_", " ")
