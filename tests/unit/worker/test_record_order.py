"""The order in which fetched records are processed."""

from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream_app.worker.record_order import BrokerTimeOrder


@given(st.dictionaries(st.integers(0, 5), st.lists(st.integers(0, 50)).map(sorted), max_size=6))
def test_records_are_merged_by_broker_timestamp_and_partition_order_is_kept(
    times: dict[int, list[int]],
) -> None:
    fetched: dict[Any, list[Any]] = {
        tp: [SimpleNamespace(timestamp=time, offset=offset) for offset, time in enumerate(of)]
        for tp, of in times.items()
    }
    ordered = list(BrokerTimeOrder().iterate(fetched))
    assert [record.timestamp for _, record in ordered] == sorted(time for of in times.values() for time in of)
    for tp, records in fetched.items():
        assert [record for of, record in ordered if of == tp] == records


def test_impressions_precede_other_events_of_the_same_millisecond() -> None:
    clicks, impressions = TopicPartition("events.click", 0), TopicPartition("events.impression", 0)
    fetched = [(clicks, [SimpleNamespace(timestamp=7)]), (impressions, [SimpleNamespace(timestamp=7)])]
    for order in (fetched, fetched[::-1]):
        ordered = BrokerTimeOrder().iterate(dict(order))
        assert [tp for tp, _ in ordered] == [impressions, clicks]
