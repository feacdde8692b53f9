"""What has been said of the split of shoppers between policies: a fold of the topic ``control``."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from stream_app.experiment.assignment import Shares
from topics.records import GUARD, PolicyShares

_decoder: Final = msgspec.json.Decoder(PolicyShares)

OPERATOR_KEY: Final = b"shares"
"""The key of an operator's word."""


class Control(NamedTuple):
    """What holds of what was said.

    It needs no more than what compaction leaves, the newest word of each key: a word replaces another of its key as a
    whole, and says itself since when shoppers are split so (`PolicyShares.since`). The guard has a key for each
    policy, so that what the guards of two workers say at once adds up.

    Attributes
    ----------
    operator
        What an operator said last.
    guard
        What the guard said last, by key. Older versions said all in one, under one key.
    since
        When the split last changed, seconds since the epoch by the broker's clock; 0 where it never did.

    Examples
    --------
    >>> said = Control().heard(OPERATOR_KEY, PolicyShares(weights={"a": 1, "b": 1, "c": 1}, trusted=("a",)), 100.0)
    >>> for policy, at in {"a": 200.0, "b": 300.0}.items():
    ...     word = said.dated(PolicyShares(weights={}, resting=(policy,), by=GUARD))
    ...     said = said.heard(key_of(word), word, at)
    >>> sorted(said.resting), said.since
    (['b'], 300.0)

    That the guard rests b again changes nothing, nor do an operator's other weights of the same ratio:

    >>> said.dated(word).since, said.dated(PolicyShares(weights={"a": 2, "b": 9, "c": 2}, trusted=("a",))).since
    (300.0, 300.0)
    """

    operator: PolicyShares = PolicyShares(weights={})
    guard: Mapping[bytes, PolicyShares] = MappingProxyType({})
    since: float = 0.0

    @property
    def by_guard(self) -> frozenset[str]:
        """The policies at rest by the guard's words: those that the operator does not trust."""
        named = {name for word in self.guard.values() for name in word.resting}
        return frozenset(named.difference(self.operator.trusted))

    @property
    def resting(self) -> frozenset[str]:
        """The policies at rest by anybody's word."""
        return self.by_guard.union(self.operator.resting)

    def split(self, control: str) -> Shares | None:
        """How shoppers are split; None where nobody has said any weights, so that each worker's settings hold.

        Parameters
        ----------
        control
            The policy that gets everybody where all rest.
        """
        return Shares(self.operator.weights, self.resting, control) if self.operator.weights else None

    def heard(self, key: bytes, word: PolicyShares, at: float) -> "Control":
        """What holds after one more record.

        Parameters
        ----------
        key, word
            What it says.
        at
            The broker's time of it, seconds since the epoch.
        """
        begun = at if word.since is None else word.since
        return self._with(key, word)._replace(since=max(self.since, begun))

    def dated(self, word: PolicyShares) -> PolicyShares:
        """A word with its `since`, as it is to be said to whom this is known."""
        after = self._with(key_of(word), word)
        return msgspec.structs.replace(word, since=self.since if _same_split(self, after) else None)

    def _with(self, key: bytes, word: PolicyShares) -> "Control":
        if word.by == GUARD:
            return self._replace(guard={**self.guard, key: word})
        return self._replace(operator=word)


def parse_word(value: bytes) -> PolicyShares:
    """What a record says.

    Raises
    ------
    ValueError
        If that is nothing that could hold.

    Examples
    --------
    >>> parse_word(b'{"weights": {"fixed": 0}}')
    Traceback (most recent call last):
    ValueError: one policy at least needs a weight above 0
    """
    try:
        word = _decoder.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    if word.weights:
        Shares(word.weights)
    return word


def key_of(word: PolicyShares) -> bytes:
    """The key under which a word is said; the guard says one of each policy.

    Examples
    --------
    >>> key_of(PolicyShares(weights={}, resting=("linucb",), by=GUARD))
    b'guard:linucb'
    """
    return f"{GUARD}:{','.join(word.resting)}".encode() if word.by == GUARD else OPERATOR_KEY


def _same_split(one: Control, other: Control) -> bool:
    """Whether each policy gets the same share of the shoppers by both, as far as that is said."""
    known = bool(one.operator.weights), bool(other.operator.weights)
    if known != (True, True):
        return known == (False, False) and one.resting == other.resting
    mine, theirs = _fractions(one), _fractions(other)
    return mine.keys() == theirs.keys() and all(math.isclose(mine[name], theirs[name]) for name in mine)


def _fractions(said: Control) -> dict[str, float]:
    """The share of each policy that gets shoppers and does not rest."""
    awake = {
        name: weight
        for name, weight in said.operator.weights.items()
        if weight > 0 and name not in said.resting
    }
    total = sum(awake.values())
    return {name: weight / total for name, weight in awake.items()}
