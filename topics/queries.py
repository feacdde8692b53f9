"""The text of a query as keys and documents hold it."""

from typing import Final

MAX_QUERY_LENGTH: Final = 200
"""Longest query with a list, in characters."""


def normalize_query(query: str) -> str:
    """Normalize a query: lower case, no white space at the ends, one blank between words.

    Examples
    --------
    >>> normalize_query("  Red   SHOES ")
    'red shoes'
    """
    return " ".join(query.lower().split())
