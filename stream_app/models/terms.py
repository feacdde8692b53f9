"""Text as words, the same for catalog texts and queries."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

MAX_WORD_LENGTH: Final = 40
"""Characters of a word that are used."""

_WORD_PATTERN: Final = re.compile(r"[^\W_]+")


def words(text: str, limit: int) -> list[str]:
    """Split a text into its first `limit` words.

    Words are runs of letters and digits of any script, with compatibility forms and case folded away (NFKC,
    full case folding: the caseless matching of the Unicode standard). Scripts that are written without spaces
    give long words; shops with such texts can send words as tags.

    References
    ----------
    The Unicode Standard, sections 3.13 (caseless matching) and 5.18; UAX 15 (normalization forms).

    Examples
    --------
    >>> words("Laufschuhe, GRÖẞE 42 (ﬁt+)", 10)
    ['laufschuhe', 'grösse', '42', 'fit']
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = []
    for match in _WORD_PATTERN.finditer(folded):
        found.append(match.group()[:MAX_WORD_LENGTH])
        if len(found) == limit:
            break
    return found


MAX_QUERY_WORDS: Final = 8
"""Words of a query that are used."""


@lru_cache(maxsize=4096)
def query_words(query: str) -> tuple[str, ...]:
    """Distinct words of a query, in order.

    Examples
    --------
    >>> query_words("Red shoes,  RED")
    ('red', 'shoes')
    """
    return tuple(dict.fromkeys(words(query, MAX_QUERY_WORDS)))
