"""Damaged records of Headrace's own topics are skipped with a warning, whatever is wrong with them."""

from types import SimpleNamespace

import msgspec
import pytest

from stream_app.experiment.control import parse_assignment
from stream_app.kafka.event_logs import decode_event_logs
from stream_app.kafka.log_consumer import decode_or_warn
from topics.records import PolicyAssignment, Reward

DAMAGED_JSON = {
    "not UTF-8": b'{"note":"\xff","weights":{},"t":{"topic_id":"\xff"}}',
    "nested without an end": b'{"new":' + b"[" * 200_000,
    "nested too deep": b'{"new":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "empty": b"",
    "of another type": b"[]",
}
NESTED = b"\x81\xa3new" + b"\x91" * 200_000


@pytest.mark.parametrize("raw", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_damaged_records_of_control_are_refused_as_values(raw: bytes) -> None:
    assert decode_event_logs(raw) == {}
    with pytest.raises(ValueError, match=r"."):
        parse_assignment(raw)


@pytest.mark.parametrize(
    "raw", [None, b"", b"\x81\xa7user_id\xa1\xff", NESTED], ids=["none", "empty", "text", "deep"]
)
def test_a_damaged_record_of_a_log_is_skipped_with_a_warning(
    raw: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    record = SimpleNamespace(value=raw, partition=3, offset=17)
    assert decode_or_warn(msgspec.msgpack.Decoder(Reward), record, "rewards") is None
    assert "ignoring invalid record rewards[3]@17" in caplog.text


def test_a_sound_assignment_is_read() -> None:
    assert parse_assignment(b'{"weights":{"fixed":1}}') == PolicyAssignment(weights={"fixed": 1.0})
