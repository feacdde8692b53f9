"""Values that no output contains."""

import hmac
from typing import Final, NoReturn

MASK: Final = "***"


class Secret:
    """A password, a key or a token; its text is returned by `reveal` alone.

    Every way to print it gives a mask, so that no log line, error, traceback or list of settings contains it.
    An empty secret is false: it is not set.

    Examples
    --------
    >>> password = Secret("geheim")
    >>> print(password, [password], f"{password:>5}")
    *** [Secret(***)]   ***
    >>> password.reveal()
    'geheim'
    >>> bool(Secret("")), str(Secret(""))
    (False, '')
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        """The text: only for what is sent to the server that asks for it."""
        return self._text

    def __str__(self) -> str:
        return MASK if self._text else ""

    def __repr__(self) -> str:
        return f"Secret({self})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        # Compares in a time that does not depend on the texts.
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not serialized.")
