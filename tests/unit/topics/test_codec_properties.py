"""Properties of the codec: any bytes are accepted or rejected, never an error of another kind."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.example_events import NOW, VALID_EVENTS, rejection_reason, with_field
from topics.codec import Limits, RejectReason
from topics.events import EVENT_STRUCTS, Click, Event

# A slow, shared machine must not fail the test.
on_a_busy_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

event_types = st.sampled_from(EVENT_STRUCTS)
numbers = (
    st.integers() | st.floats() | st.integers(min_value=2**60) | st.sampled_from([0, -1, 2**63, 10**400])
)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@on_a_busy_machine
@given(event_types, st.binary(max_size=200))
def test_arbitrary_bytes_are_accepted_or_rejected(event_type: type[Event], raw: bytes) -> None:
    rejection_reason(raw, event_type)


@on_a_busy_machine
@given(event_types, st.data())
def test_mutations_of_a_valid_event_are_accepted_or_rejected(
    event_type: type[Event], data: st.DataObject
) -> None:
    raw = bytearray(json.dumps(VALID_EVENTS[event_type]).encode())
    for make_value, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=4)
    ):
        raw[make_value] = byte
    rejection_reason(bytes(raw), event_type)


@on_a_busy_machine
@given(event_types, st.data())
def test_arbitrary_values_are_accepted_or_rejected(event_type: type[Event], data: st.DataObject) -> None:
    names = st.sampled_from([field.name for field in msgspec.structs.fields(event_type)])
    event = {**VALID_EVENTS[event_type], **data.draw(st.dictionaries(names, json_values, max_size=3))}
    rejection_reason(json.dumps(event).encode(), event_type)


@on_a_busy_machine
@given(st.floats(-400, 400), st.booleans())
def test_the_clock_is_a_window_around_the_brokers_time(offset: float, written: bool) -> None:
    limits = Limits(max_future=60, max_age=120)
    at = datetime.fromtimestamp(NOW, UTC) + timedelta(milliseconds=round(offset * 1000))
    raw = with_field(Click, ts=at.isoformat() if written else round(at.timestamp() * 1000))
    late = at.timestamp() - NOW
    expected = (
        RejectReason.FUTURE_TIMESTAMP
        if late > 60
        else RejectReason.TIMESTAMP_TOO_OLD
        if late < -120
        else None
    )
    assert rejection_reason(raw, limits=limits) is expected


@on_a_busy_machine
@given(event_types, st.binary(max_size=64) | st.just(b"{}"), st.floats(0, 4e9))
def test_decoding_depends_on_the_record_alone(event_type: type[Event], raw: bytes, received: float) -> None:
    assert rejection_reason(raw, event_type, received=received) is rejection_reason(
        raw, event_type, received=received
    )
