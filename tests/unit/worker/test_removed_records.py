"""Records that are removed under a running consumer are reported once, and committed over; a shorter log ends it."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from stream_app.kafka.removed_records import report_removed_records
from stream_app.worker.faust_transport import DirectConsumer

CLICKS = TopicPartition("events.click", 1)
CHANGELOG = TopicPartition("headrace-users-changelog", 1)


class Consumer(DirectConsumer):
    """The consumer without Faust; `processed` has the offsets that Faust would commit."""

    def __init__(self, committed: int | None) -> None:
        self.app = SimpleNamespace(topics=SimpleNamespace(acks_enabled_for=lambda name: name == CLICKS.topic))
        self.assigned = {CLICKS, CHANGELOG}
        self._is_positioned = True
        self.processed: dict[TopicPartition, int] = {}
        self._acked: dict[Any, list[int]] = {CLICKS: []}
        self._committed_offset = {CLICKS: committed}
        self._removed: dict[Any, tuple[int, int]] = {}
        self._begun: Any = {}
        self._reported: dict[Any, int] = {}
        self.lost: list[tuple[str, int, int]] = []
        self.on_lost = lambda *found: self.lost.append(found)
        self.skipped: list[tuple[str, int, int, int]] = []
        self.on_skipped = lambda *found: self.skipped.append(found)

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def _new_offset(self, tp: TopicPartition) -> int | None:
        return self.processed.pop(tp, None)

    def commit_now(self) -> dict[TopicPartition, int]:
        """The offsets that a commit writes."""
        offsets = self._filter_committable_offsets(self._acked)
        self._committed_offset.update(offsets)
        return offsets


def test_removed_records_are_committed_over_after_those_before_them() -> None:
    consumer = Consumer(committed=5)
    consumer.on_removed(CLICKS, 10, 20)
    assert consumer.commit_now() == {}
    consumer.processed = {CLICKS: 8}
    assert consumer.commit_now() == {CLICKS: 8}
    consumer.processed = {CLICKS: 10}
    assert consumer.commit_now() == {CLICKS: 20}
    assert consumer.commit_now() == {}
    assert consumer.skipped == [(*CLICKS, 10, 20)]


def test_records_removed_twice_in_a_row_are_committed_over() -> None:
    consumer = Consumer(committed=10)
    consumer.on_removed(CLICKS, 10, 20)
    consumer.on_removed(CLICKS, 20, 30)
    assert consumer.commit_now() == {CLICKS: 30}
    assert consumer.skipped == [(*CLICKS, 10, 20), (*CLICKS, 20, 30)]


def test_records_removed_before_anything_was_committed_are_committed_over() -> None:
    consumer = Consumer(committed=None)
    consumer.on_removed(CLICKS, 0, 20)
    assert consumer.commit_now() == {CLICKS: 20}


def test_no_record_is_reported_twice() -> None:
    consumer = Consumer(committed=5)
    for read, beginning in ((10, 20), (5, 20), (10, 25)):
        consumer.on_removed(CLICKS, read, beginning)
    assert consumer.skipped == [(*CLICKS, 10, 20), (*CLICKS, 20, 25)]


@pytest.mark.parametrize("tp", [CHANGELOG, CLICKS], ids=["changelog", "revoked"])
def test_nothing_of_a_changelog_or_a_revoked_partition_is_committed(tp: TopicPartition) -> None:
    consumer = Consumer(committed=10)
    if tp == CLICKS:
        consumer.assigned = set()
    consumer.on_removed(tp, 10, 20)
    assert consumer.commit_now() == {}


def test_the_start_of_a_log_that_became_shorter_is_committed() -> None:
    """The next start reads the records that took the offsets of lost ones, though the log is as long again."""
    consumer = Consumer(committed=10)
    consumer.on_shortened(CLICKS, 10, 2)
    consumer.processed = {CLICKS: 12}
    assert consumer.commit_now() == {CLICKS: 2}
    assert consumer.lost == [(*CLICKS, 10)]


@pytest.mark.parametrize("tp", [CHANGELOG, CLICKS], ids=["changelog", "before the seek"])
def test_other_logs_that_became_shorter_end_no_worker(tp: TopicPartition) -> None:
    consumer = Consumer(committed=10)
    consumer._is_positioned = tp != CLICKS
    consumer.on_shortened(tp, 10, 2)
    assert consumer.lost == []
    assert consumer.commit_now() == {}


@pytest.mark.parametrize(
    ("position", "removed", "shortened"),
    [(20, [(CLICKS, 10, 20)], []), (10, [], []), (2, [], [(CLICKS, 10, 2)])],
)
async def test_a_refused_position_tells_whether_records_were_removed_or_lost(
    position: int, removed: list[Any], shortened: list[Any]
) -> None:
    state = SimpleNamespace(awaiting_reset=True, has_valid_position=False, position=None)
    assignment = SimpleNamespace(state_value=lambda _: state)

    async def fetch(*_: Any) -> bool:
        return False

    async def reset(*_: Any) -> bool:
        state.has_valid_position, state.position = True, position
        return False

    fetcher = SimpleNamespace(_proc_fetch_request=fetch, _update_fetch_positions=reset)
    found: dict[str, list[Any]] = {"removed": [], "shortened": []}
    report_removed_records(
        SimpleNamespace(_fetcher=fetcher),
        lambda *each: found["removed"].append(each),
        lambda *each: found["shortened"].append(each),
    )
    request = SimpleNamespace(topics=[(CLICKS.topic, [(CLICKS.partition, 10, 1)])])
    await fetcher._proc_fetch_request(assignment, 1, request)
    await fetcher._update_fetch_positions(assignment, 1, [CLICKS])
    assert found == {"removed": removed, "shortened": shortened}
