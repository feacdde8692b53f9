"""The fold of the control topic, from the complete log and after compaction."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.experiment.control import OPERATOR_KEY, ControlState, assignment_key, parse_assignment
from topics.records import GUARDRAIL, PolicyAssignment

EQUAL_WEIGHTS = {"a": 1.0, "b": 1.0, "c": 1.0}


class Record(NamedTuple):
    key: bytes
    assignment: PolicyAssignment
    at: float


def read(log: Iterable[Record]) -> ControlState:
    state = ControlState()
    for record in log:
        state = state.apply(*record)
    return state


def compacted(log: list[Record], upto: int) -> list[Record]:
    """The log after Kafka has compacted the records before an index."""
    newest = {record.key: record for record in log[:upto]}
    return [*(record for record in log[:upto] if newest[record.key] is record), *log[upto:]]


class ControlTopic:
    """A log, and writers that have read it up to some record."""

    def __init__(self, control: str = "a") -> None:
        self.control = control
        self.log: list[Record] = []

    def publish(self, assignment: PolicyAssignment, *, lag: int = 0) -> None:
        """Append a record of a writer that has not read the last `lag` records."""
        known = read(self.log[: len(self.log) - lag])
        state = known.with_effective_time(assignment, self.control)
        self.log.append(Record(assignment_key(state), state, 10.0 * (1 + len(self.log))))

    def operator(self, lag: int = 0, **changes: object) -> None:
        known = read(self.log[: len(self.log) - lag]).operator
        self.publish(msgspec.structs.replace(known, note="", **changes), lag=lag)

    def guardrail(self, policy: str, lag: int = 0) -> None:
        self.publish(PolicyAssignment(weights={}, paused=(policy,), author=GUARDRAIL), lag=lag)


WEIGHTS = st.sampled_from([EQUAL_WEIGHTS, {"a": 2.0, "b": 2.0, "c": 2.0}, {"a": 1.0, "b": 3.0, "c": 0.0}])
SOME = st.sets(st.sampled_from("abc")).map(lambda names: tuple(sorted(names)))
ACTIONS = st.one_of(
    st.tuples(st.just("weights"), WEIGHTS, st.booleans()),
    st.tuples(st.just("paused"), SOME, st.booleans()),
    st.tuples(st.just("guardrail_exempt"), SOME, st.booleans()),
    st.tuples(st.just(GUARDRAIL), st.sampled_from("abc"), st.booleans()),
)


@given(st.lists(ACTIONS, max_size=12), st.data())
def test_compaction_preserves_the_control_state(
    actions: list[tuple[str, object, bool]], data: st.DataObject
) -> None:
    topic = ControlTopic()
    for action, value, concurrent in actions:
        last_by_operator = bool(topic.log) and topic.log[-1].assignment.author != GUARDRAIL
        if action == GUARDRAIL:
            topic.guardrail(str(value), lag=int(concurrent and bool(topic.log)))
        else:
            lag = int(concurrent and bool(topic.log) and not last_by_operator)
            topic.operator(lag=lag, **{action: value})
    upto = data.draw(st.integers(0, len(topic.log)))
    assert read(compacted(topic.log, upto)) == read(topic.log)


def test_period_starts_exactly_when_the_assignment_changes() -> None:
    topic = ControlTopic()
    starts = []
    for changes in (
        {"guardrail_exempt": ("c",)},  # no weights, and nothing paused
        {"paused": ("a",)},
        {"weights": EQUAL_WEIGHTS},
        {"weights": {"a": 7.0, "b": 2.0, "c": 2.0}},  # a is paused
        {"paused": ()},
        {"weights": {"a": 1e-9, "b": 2.0, "c": 2.0}},
    ):
        topic.operator(**changes)
        starts.append(read(topic.log).effective_time)
    assert starts == [0.0, 20.0, 30.0, 30.0, 50.0, 60.0]


def test_period_starts_when_a_policy_is_resumed_after_all_were_paused() -> None:
    topic = ControlTopic()
    topic.operator(weights={"a": 1.0, "b": 1.0}, paused=("a",))
    topic.guardrail("b")
    topic.operator(paused=(), guardrail_exempt=("b",))
    assert read(topic.log).effective_time == 30.0


def test_period_starts_when_weights_change_while_all_policies_are_paused_and_the_control_has_no_weight() -> (
    None
):
    topic = ControlTopic(control="c")
    topic.operator(weights={"a": 0.5, "b": 0.5}, paused=("a", "b"))
    topic.operator(weights={"a": 0.9, "b": 0.1})
    assert read(topic.log).effective_time == 20.0


def test_no_period_starts_when_weights_change_while_all_users_have_the_control_policy() -> None:
    topic = ControlTopic(control="a")
    topic.operator(weights={"a": 0.5, "b": 0.5}, paused=("a", "b"))
    topic.operator(weights={"a": 0.9, "b": 0.1})
    assert read(topic.log).effective_time == 10.0


def test_a_record_carries_its_own_effective_time() -> None:
    topic = ControlTopic()
    topic.operator(weights=EQUAL_WEIGHTS)
    topic.operator(guardrail_exempt=("a",))
    topic.guardrail("b")
    assert [record.assignment.effective_time for record in topic.log] == [None, 10.0, None]


def test_concurrent_guardrail_findings_hold_until_an_operator_exempts_the_policy() -> None:
    topic = ControlTopic()
    topic.operator(weights=EQUAL_WEIGHTS)
    topic.guardrail("a")
    topic.guardrail("b", lag=1)
    compacted_log = compacted(topic.log, len(topic.log))
    assert read(compacted_log).paused == {"a", "b"}
    topic.operator(guardrail_exempt=("a",))
    assert read(topic.log).paused == read(topic.log).paused_by_guardrail == {"b"}


@pytest.mark.parametrize("value", [b"{", b"{}", b'{"weights": {"a": -1}}', b'{"weights": {"a": 0}}'])
def test_invalid_record_is_rejected(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_assignment(value)


def test_assignment_is_unknown_before_weights_are_published() -> None:
    state = ControlState().apply(OPERATOR_KEY, PolicyAssignment(weights={}, paused=("a",)), 1.0)
    assert state.split("b") is None
    split = state.apply(OPERATOR_KEY, PolicyAssignment(weights=EQUAL_WEIGHTS, paused=("a",)), 2.0).split("b")
    assert split is not None
    assert [split.fraction(name) for name in "abc"] == [0.0, 0.5, 0.5]


def test_period_starts_when_all_users_move_to_another_policy() -> None:
    topic = ControlTopic()
    topic.operator(weights={"a": 1.0})
    topic.operator(weights={"b": 1.0})
    assert read(topic.log).effective_time == 20.0
    topic.operator(weights={"b": 5.0})
    assert read(topic.log).effective_time == 20.0
