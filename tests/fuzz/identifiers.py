"""Identifiers of many scripts, and the characters that a key, a pattern or a terminal could interpret."""

from random import Random
from typing import Final

SCRIPTS: Final = (
    (0x21, 0x7E),  # ASCII
    (0xA1, 0x24F),  # Latin
    (0x300, 0x36F),  # combining marks
    (0x370, 0x3FF),  # Greek
    (0x400, 0x52F),  # Cyrillic
    (0x531, 0x58F),  # Armenian
    (0x590, 0x5FF),  # Hebrew
    (0x600, 0x6FF),  # Arabic
    (0x900, 0x97F),  # Devanagari
    (0xE01, 0xE5B),  # Thai
    (0x10A0, 0x10FF),  # Georgian
    (0x1200, 0x137F),  # Ethiopic
    (0x2000, 0x206F),  # spaces, direction marks, joiners
    (0x3040, 0x30FF),  # Japanese kana
    (0x4E00, 0x9FFF),  # Han
    (0xAC00, 0xD7A3),  # Hangul
    (0xE000, 0xF8FF),  # private use
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFF01, 0xFF60),  # full-width forms
    (0x10000, 0x1007F),  # Linear B
    (0x1F300, 0x1FAFF),  # emoji
    (0xE0000, 0xE007F),  # tags
    (0x10FF00, 0x10FFFF),  # the end of Unicode
)
"""First and last code point of each block."""

SPECIAL: Final = (
    "{",
    "}",
    "{}",
    "%7B",
    "%",
    "%25",
    ":",
    "::Q",
    "}:Q",
    "*",
    "?",
    "[a]",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\0",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\uffff",
    "İ",
    "ß",
    "\u017f",  # the long s, whose upper case is S
    "\u212a",  # the Kelvin sign, whose lower case is k
    "../",
    "recs:user:",
    "all",
    "country:FR",
    "null",
    "<b>",
    "'",
    '"',
    "\\",
    "|",
    "$",
)
"""Pieces that have a meaning in keys, patterns, documents or case mapping."""


def random_text(random: Random, max_length: int) -> str:
    """Text of one or two scripts with special pieces in between."""
    pieces = []
    first, last = random.choice(SCRIPTS)
    for _ in range(random.randint(1, max_length)):
        kind = random.random()
        if kind < 0.15:
            pieces.append(random.choice(SPECIAL))
        elif kind < 0.2:
            first, last = random.choice(SCRIPTS)
        else:
            pieces.append(chr(random.randint(first, last)))
    return "".join(pieces)[:max_length] or "x"


def random_id(random: Random) -> str:
    """An id of at most 256 bytes; often short, sometimes of the greatest length."""
    text = random_text(random, random.choice((1, 2, 4, 8, 64, 256)))
    while len(text.encode()) > 256:
        text = text[:-1]
    return text
