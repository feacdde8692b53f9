"""A token provider as a shop's package has one: its tokens end after some seconds."""

from typing import Final

from tests.support.secured_broker import token_of

LIFE_SECONDS: Final = 8.0


def token() -> str:
    """A token of the user ``worker``."""
    return token_of("worker", LIFE_SECONDS)
