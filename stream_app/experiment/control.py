"""The current assignment of users to policies: a fold of the topic ``control``."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

import msgspec

from stream_app.experiment.assignment import Assignment
from topics.records import GUARDRAIL, PolicyAssignment

_decoder: Final = msgspec.json.Decoder(PolicyAssignment)
_RecordT = TypeVar("_RecordT")

OPERATOR_KEY: Final = b"assignment"
"""Record key of an operator's assignment."""


class ControlState(NamedTuple):
    """The assignments in effect.

    The fold needs only the newest record of each key, which compaction retains: a record replaces the one before of
    its key as a whole, and has the time since which the split is in effect (`PolicyAssignment.effective_time`). The
    guardrail has a key for each policy, so that concurrent records of two workers add up.

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

    Neither a second pause of b nor weights of the same ratio change the split:

    >>> same_ratio = PolicyAssignment(weights={"a": 2, "b": 9, "c": 2}, guardrail_exempt=("a",))
    >>> [state.with_effective_time(each, "a").effective_time for each in (assignment, same_ratio)]
    [300.0, 300.0]
    """

    operator: PolicyAssignment = PolicyAssignment(weights={})  # latest assignment of an operator
    # latest assignments of the guardrail, by key
    guardrail: Mapping[bytes, PolicyAssignment] = MappingProxyType({})
    # time of the last change of the split, seconds since the epoch by the broker's clock; 0 without a change
    effective_time: float = 0.0

    @property
    def paused_by_guardrail(self) -> frozenset[str]:
        """Policies paused by the guardrail, without those that the operator exempts."""
        named = {name for assignment in self.guardrail.values() for name in assignment.paused}
        return frozenset(named.difference(self.operator.guardrail_exempt))

    @property
    def paused(self) -> frozenset[str]:
        """Policies paused by the guardrail or an operator."""
        return self.paused_by_guardrail.union(self.operator.paused)

    def split(self, control: str) -> Assignment | None:
        """The split of users; None before the first weights, where each worker uses its own settings.

        Parameters
        ----------
        control
            The policy that gets all users if all policies are paused.
        """
        return Assignment(self.operator.weights, self.paused, control) if self.operator.weights else None

    def apply(self, key: bytes, assignment: PolicyAssignment, at: float) -> "ControlState":
        """The state after one more record.

        Parameters
        ----------
        key, assignment
            Key and value of the record.
        at
            Timestamp of the record by the broker, seconds since the epoch.
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


def decode_control_record(decoder: msgspec.json.Decoder[_RecordT], value: bytes) -> _RecordT:
    """Decode a record of the topic ``control``.

    Raises
    ------
    ValueError
        If the JSON, or a value in it, is invalid.
    """
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def parse_assignment(value: bytes) -> PolicyAssignment:
    """Decode and validate a record.

    Raises
    ------
    ValueError
        If the JSON or a weight is invalid.

    Examples
    --------
    >>> parse_assignment(b'{"weights": {"fixed": 0}}')
    Traceback (most recent call last):
    ValueError: one policy at least needs a weight above 0
    """
    assignment = decode_control_record(_decoder, value)
    if assignment.weights:
        Assignment(assignment.weights)
    return assignment


def assignment_key(assignment: PolicyAssignment) -> bytes:
    """The record key of an assignment; the guardrail has one for each policy.

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
