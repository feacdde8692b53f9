"""What has been said of the split of shoppers between policies: a fold of the topic ``control``."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from stream_app.experiment.assignment import Assignment
from topics.records import GUARDRAIL, PolicyAssignment

_decoder: Final = msgspec.json.Decoder(PolicyAssignment)

OPERATOR_KEY: Final = b"assignment"
"""The key of an operator's word."""


class ControlState(NamedTuple):
    """What holds of what was said.

    It needs no more than what compaction leaves, the newest word of each key: a word replaces another of its key as a
    whole, and carries the time from which the split holds (`PolicyAssignment.effective_time`). The guardrail has a
    key for each policy, so that what the guards of two workers say at once adds up.

    Attributes
    ----------
    operator
        What an operator said last.
    guardrail
        What the guard said last, by key.
    effective_time
        When the split last changed, seconds since the epoch by the broker's clock; 0 where it never did.

    Examples
    --------
    >>> equal_split = PolicyAssignment(weights={"a": 1, "b": 1, "c": 1}, guardrail_exempt=("a",))
    >>> state = ControlState().apply(OPERATOR_KEY, equal_split, 100.0)
    >>> for policy, at in {"a": 200.0, "b": 300.0}.items():
    ...     assignment = PolicyAssignment(weights={}, paused=(policy,), author=GUARDRAIL)
    ...     assignment = state.with_effective_time(assignment, control="a")
    ...     state = state.apply(assignment_key(assignment), assignment, at)
    >>> sorted(state.paused), state.effective_time
    (['b'], 300.0)

    That the guard rests b again changes nothing, nor do an operator's other weights of the same ratio:

    >>> same_ratio = PolicyAssignment(weights={"a": 2, "b": 9, "c": 2}, guardrail_exempt=("a",))
    >>> [state.with_effective_time(each, "a").effective_time for each in (assignment, same_ratio)]
    [300.0, 300.0]
    """

    operator: PolicyAssignment = PolicyAssignment(weights={})
    guardrail: Mapping[bytes, PolicyAssignment] = MappingProxyType({})
    effective_time: float = 0.0

    @property
    def paused_by_guardrail(self) -> frozenset[str]:
        """The policies at rest by the guard's words: those that the operator does not trust."""
        named = {name for assignment in self.guardrail.values() for name in assignment.paused}
        return frozenset(named.difference(self.operator.guardrail_exempt))

    @property
    def paused(self) -> frozenset[str]:
        """The policies at rest by anybody's word."""
        return self.paused_by_guardrail.union(self.operator.paused)

    def split(self, control: str) -> Assignment | None:
        """How shoppers are split; None where nobody has said any weights, so that each worker's settings hold.

        Parameters
        ----------
        control
            The policy that gets everybody where all rest.
        """
        return Assignment(self.operator.weights, self.paused, control) if self.operator.weights else None

    def apply(self, key: bytes, assignment: PolicyAssignment, at: float) -> "ControlState":
        """What holds after one more record.

        Parameters
        ----------
        key, assignment
            What it says.
        at
            The broker's time of it, seconds since the epoch.
        """
        effective_time = at if assignment.effective_time is None else assignment.effective_time
        return self._with_assignment(key, assignment)._replace(
            effective_time=max(self.effective_time, effective_time)
        )

    def with_effective_time(self, assignment: PolicyAssignment, control: str) -> PolicyAssignment:
        """Set the effective time of an assignment before it is published.

        It is the current one if no policy's fraction of the users changes; otherwise None, the time of the record.

        Parameters
        ----------
        assignment
            The assignment to publish.
        control
            The policy that gets all users where all policies are paused.
        """
        after = self._with_assignment(assignment_key(assignment), assignment)
        return msgspec.structs.replace(
            assignment, effective_time=self.effective_time if _same_split(self, after, control) else None
        )

    def _with_assignment(self, key: bytes, assignment: PolicyAssignment) -> "ControlState":
        if assignment.author == GUARDRAIL:
            return self._replace(guardrail={**self.guardrail, key: assignment})
        return self._replace(operator=assignment)


def parse_assignment(value: bytes) -> PolicyAssignment:
    """What a record says.

    Raises
    ------
    ValueError
        If that is nothing that could hold.

    Examples
    --------
    >>> parse_assignment(b'{"weights": {"fixed": 0}}')
    Traceback (most recent call last):
    ValueError: one policy at least needs a weight above 0
    """
    try:
        assignment = _decoder.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    if assignment.weights:
        Assignment(assignment.weights)
    return assignment


def assignment_key(assignment: PolicyAssignment) -> bytes:
    """The key under which a word is said; the guard says one of each policy.

    Examples
    --------
    >>> assignment_key(PolicyAssignment(weights={}, paused=("linucb",), author=GUARDRAIL))
    b'guardrail:linucb'
    """
    return (
        f"{GUARDRAIL}:{','.join(assignment.paused)}".encode()
        if assignment.author == GUARDRAIL
        else OPERATOR_KEY
    )


def _same_split(before: ControlState, after: ControlState, control: str) -> bool:
    """Compare the fractions of the users that policies get; without weights, the paused policies."""
    one, other = before.split(control), after.split(control)
    if one is None or other is None:
        return one is None and other is None and before.paused == after.paused
    names = one.weights.keys() | other.weights.keys()
    return all(math.isclose(one.fraction(name), other.fraction(name)) for name in names)
